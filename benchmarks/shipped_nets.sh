#!/usr/bin/env bash
# What the shipped nets look at: every result of compact-indoor and compact-road that RESULTS.md shows.
#
#     benchmarks/shipped_nets.sh NYU WALK FASTDEPTH KITTI OBJECTS DRIVE [RESULT...]
#
#     NYU        folder with nyu2_train.csv and nyu2_test.csv
#     WALK       a walk with depth and poses (`depthcue steadiness --data sequence:WALK`)
#     FASTDEPTH  fastdepth_nyu.onnx
#     KITTI      folder of KITTI frames with depth
#     OBJECTS    folder of cut-out road users (`depthcue guide probing`)
#     DRIVE      every tenth frame of a video of a drive
#
# Results are named as their files in benchmarks/results; default: all. fill_results.py writes them into RESULTS.md.
set -euo pipefail
nyu=${1:?usage: shipped_nets.sh NYU WALK FASTDEPTH KITTI OBJECTS DRIVE [RESULT...]} walk=${2:?} fastdepth=${3:?}
kitti=${4:?} objects=${5:?} drive=${6:?}
shift 6
cd "$(dirname "$0")/.."
fastdepth="onnx:$fastdepth,takes=rgb,predicts=metric"
shares=(--keep 0.05 --keep 0.1 --keep 0.2 --keep 0.3 --keep 0.5 --keep 0.7)
scorers=(--against sobel --against canny --against hed --against contrast --against random)
indoor=(--weights compact-indoor)
road=(--weights compact-road)
wanted=" $* "

keep() { # NAME COMMAND...: runs the command and keeps its results under that name
    local name=$1
    shift
    [ "$wanted" = "  " ] || [[ $wanted = *" $name "* ]] || return 0
    depthcue "$@" --out "runs/shipped/$name" -q
    python benchmarks/keep_result.py "runs/shipped/$name/results.json" "$name"
}

keep compare-edges-nyu compare-edges "${indoor[@]}" --data "nyu:$nyu" "${shares[@]}" "${scorers[@]}"
keep compare-edges-rooms compare-edges "${indoor[@]}" --data scenes:indoor --limit 60 "${shares[@]}" "${scorers[@]}"
keep evaluate-nyu evaluate "${indoor[@]}" --data "nyu:$nyu" --limit 40
keep findings-indoor findings "${indoor[@]}" --data scenes:indoor --data "nyu:$nyu" --limit 60
keep compare-nets compare-nets -w weights/fastdepth-mask.safetensors --target "$fastdepth" -w compact-indoor \
    --target compact-indoor --data "nyu:$nyu" --limit 60
keep steadiness-walk steadiness "${indoor[@]}" --data "sequence:$walk"
keep probe-compact-indoor probe all "${indoor[@]}" --target compact-indoor

keep compare-edges-roads compare-edges "${road[@]}" --data scenes:road --limit 60 "${shares[@]}" "${scorers[@]}"
keep compare-edges-kitti compare-edges "${road[@]}" --data "kitti:$kitti" "${shares[@]}" "${scorers[@]}"
keep findings-roads findings "${road[@]}" --data scenes:road --limit 60
keep findings-driving findings "${road[@]}" --data "kitti:$kitti" --data "folder:$drive"
keep steadiness-roads steadiness "${road[@]}" --data scenes:road:100
keep probe-compact-road probe all "${road[@]}" --target compact-road --frames "kitti:$kitti" --objects "$objects"
