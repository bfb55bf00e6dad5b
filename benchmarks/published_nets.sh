#!/usr/bin/env bash
# What published networks look at, which nobody here trained: FastDepth, PyDNet (KITTI), PyDNet++ (Matterport).
#
#     benchmarks/published_nets.sh NYU NETS KITTI OBJECTS [STAGE...]
#
#     NYU      folder with nyu2_train.csv and nyu2_test.csv
#     NETS     folder with fastdepth_nyu.onnx, pydnet_kitti.onnx and pydnet_matterport.onnx
#     KITTI    folder of KITTI frames with depth
#     OBJECTS  folder of cut-out road users (`depthcue guide probing`)
#
# Stages: fastdepth kitti matterport; default: all three. The mask nets of the first two are shipped (weights/make.sh);
# the third, for a network that may be used for research alone, is trained here, some 25 minutes on one core. Results
# land in benchmarks/results, and fill_results.py writes them into RESULTS.md.
set -euo pipefail
nyu=${1:?usage: published_nets.sh NYU NETS KITTI OBJECTS [STAGE...]} nets=${2:?} kitti=${3:?} objects=${4:?}
shift 4
cd "$(dirname "$0")/.."
runs=runs/published
fastdepth="onnx:$nets/fastdepth_nyu.onnx,takes=rgb,predicts=metric"
pydnet="onnx:$nets/pydnet_kitti.onnx,takes=rgb,predicts=inverse,relative=yes,shift_unknown=no"
matterport="onnx:$nets/pydnet_matterport.onnx,takes=rgb,predicts=metric,relative=yes,shift_unknown=no"
shares=(--keep 0.05 --keep 0.1 --keep 0.2 --keep 0.3 --keep 0.5 --keep 0.7)
scorers=(--against sobel --against canny --against hed --against contrast --against random)

keep() { # COMMAND-NAME: runs it into a folder of that name and keeps its results
    local name=$1
    shift
    depthcue "$@" --out "$runs/$name" -q
    python benchmarks/keep_result.py "$runs/$name/results.json" "$name"
}

fastdepth() {
    local pair=(--weights weights/fastdepth-mask.safetensors --target "$fastdepth")
    keep compare-edges-fastdepth compare-edges "${pair[@]}" --data "nyu:$nyu" "${shares[@]}" "${scorers[@]}"
    keep evaluate-fastdepth evaluate "${pair[@]}" --data "nyu:$nyu" --limit 40
    keep findings-fastdepth findings "${pair[@]}" --data "nyu:$nyu" --data scenes:indoor --limit 60
    keep probe-fastdepth probe all --target "$fastdepth"
}

kitti() {
    local pair=(--weights weights/pydnet-kitti-mask.safetensors --target "$pydnet")
    keep compare-edges-pydnet-kitti compare-edges "${pair[@]}" --data "kitti:$kitti" "${shares[@]}" "${scorers[@]}"
    keep compare-edges-pydnet-roads compare-edges "${pair[@]}" --data scenes:road --limit 30 "${shares[@]}" \
        "${scorers[@]}"
    keep evaluate-pydnet-roads evaluate "${pair[@]}" --data scenes:road --limit 20
    keep findings-pydnet-kitti findings "${pair[@]}" --data "kitti:$kitti" --data scenes:road --limit 40
    keep probe-pydnet-kitti probe all --target "$pydnet" --frames "kitti:$kitti" --objects "$objects"
}

matterport() {
    # from the general mask net, which never met this network, on pictures as a user may have them
    depthcue train --target "$matterport" --data "nyu:$nyu" --limit 200 --steps 240 --batch-size 4 --patience 0 \
        --name pydnet-matterport --out $runs/mask-pydnet-matterport
    local pair=(--weights $runs/mask-pydnet-matterport/mask.safetensors --target "$matterport")
    keep compare-edges-pydnet-matterport compare-edges "${pair[@]}" --data "nyu:$nyu" --limit 12 --no-soft \
        "${shares[@]}" "${scorers[@]}"
    keep compare-nets-published compare-nets -w weights/fastdepth-mask.safetensors --target "$fastdepth" \
        -w $runs/mask-pydnet-matterport/mask.safetensors --target "$matterport" -w compact-indoor \
        --target compact-indoor --data "nyu:$nyu" --limit 16
    keep probe-pydnet-matterport probe all --target "$matterport" --scenes indoor --limit 6
}

[ $# -gt 0 ] || set -- fastdepth kitti matterport
for stage in "$@"; do "$stage"; done
