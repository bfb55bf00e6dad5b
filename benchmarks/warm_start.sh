#!/usr/bin/env bash
# What a mask net for a network gains when it starts from masks for other networks, which never met this one.
#
#     benchmarks/warm_start.sh NYU NETS WALK KITCHEN DRIVE FIRST [NAME...]
#
#     NYU, NETS, WALK, KITCHEN, DRIVE: as for weights/make.sh
#     FIRST   mask net for FastDepth alone: runs/shipped/mask-fastdepth-first/mask.safetensors of weights/make.sh
#
# Names: fastdepth compact-indoor pydnet-kitti compact-road; default: all. For each, a mask net is trained for the other
# three, some 6 to 13 minutes on one core; then come the curves (warm_start.py), 15 to 40 minutes each.
set -euo pipefail
usage='usage: warm_start.sh NYU NETS WALK KITCHEN DRIVE FIRST [NAME...]'
nyu=${1:?$usage} nets=${2:?$usage} walk=${3:?$usage} kitchen=${4:?$usage} drive=${5:?$usage} first=${6:?$usage}
shift 6
cd "$(dirname "$0")/.."
runs=runs/warm-start
fastdepth="onnx:$nets/fastdepth_nyu.onnx,takes=rgb,predicts=metric"
pydnet="onnx:$nets/pydnet_kitti.onnx,takes=rgb,predicts=inverse,relative=yes,shift_unknown=no"
pictures=(--data "nyu:$nyu" --data "folder:$drive" --data "nyu:$nyu" --data "folder:$walk" --data "folder:$kitchen"
    --data scenes:road:300)

without() { # NAME OPTIONS...: masks for the other networks
    depthcue train --net lite0 --aside 0 "${pictures[@]}" --batch-size 6 --learning-rate 1e-3 --sharpen 0.75 \
        --average 0.99 --half --name "without-$1" --out "$runs/without-$1" "${@:2}" -q
}

curve() { # NAME SPEC DATA OTHERS OPTIONS...
    python benchmarks/warm_start.py --out $runs --net "$1" "$2" "$3" "$4" "${@:5}"
}

[ $# -gt 0 ] || set -- fastdepth compact-indoor pydnet-kitti compact-road
for name in "$@"; do
    others=$runs/without-$name/mask.safetensors
    case $name in
    fastdepth) # nothing of FastDepth's: its mask net is no start
        without $name --backbone imagenet --init none --target compact-indoor --also "$pydnet" --also compact-road \
            --steps 500
        curve $name "$fastdepth" "nyu:$nyu" $others --steps 1000 ;;
    compact-indoor)
        without $name --init "$first" --target "$fastdepth" --also "$pydnet" --also compact-road --steps 300
        curve $name $name "nyu:$nyu" $others --steps 300 ;;
    pydnet-kitti)
        without $name --init "$first" --target "$fastdepth" --also compact-indoor --also compact-road --steps 300
        curve $name "$pydnet" "folder:$drive" $others --steps 300 ;;
    compact-road)
        without $name --init "$first" --target "$fastdepth" --also compact-indoor --also "$pydnet" --steps 300
        curve $name $name "folder:$drive" $others --steps 300 ;;
    *) echo "no such network: $name" >&2 && exit 2 ;;
    esac
done
