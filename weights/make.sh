#!/usr/bin/env bash
# How the shipped weights were made: two cores and a few hours of patience; a GPU takes minutes (add --device cuda).
#
#     weights/make.sh NYU        NYU: the folder with nyu2_train.csv and nyu2_test.csv
#
# The indoor nets see the 795 labelled NYU-v2 training frames and rendered rooms, the road nets rendered roads alone.
# The cards are filled from the results that `measure` leaves in benchmarks/results.
#
# It gives nets like the shipped ones, not the same bits: those were trained in stages, each from the one before, while
# renderer and training still changed. Their cards say what the last stage was; what they call `harden` is --sharpen, in
# full from the first step on.
set -euo pipefail
nyu=${1:?usage: weights/make.sh NYU}
cd "$(dirname "$0")/.."
runs=runs/shipped

measure() { # NET DATA NAME
    depthcue compare-edges --weights "$1" --data "$2" --out "$runs/compare-$3"
    python benchmarks/keep_result.py "$runs/compare-$3/results.json" "compare-edges-$3"
}

# indoor: first on small pictures, where most is learned for the least time, then at the working size
depthcue train-depth --data "nyu:$nyu" --data scenes:indoor:1000 --size 128x96 --loss l1 --steps 1500 \
    --batch-size 32 --weight-decay 1e-5 --precision bf16 --name compact-indoor --out $runs/depth-indoor-small
depthcue train-depth --init $runs/depth-indoor-small/depth.safetensors --data "nyu:$nyu" --data "nyu:$nyu" \
    --data scenes:indoor:600 --loss l1 --steps 1900 --average 0 --batch-size 16 --weight-decay 1e-5 \
    --augmentation published --precision bf16 --half --name compact-indoor --out $runs/depth-indoor
python weights/ship.py $runs/depth-indoor/depth.safetensors compact-indoor
depthcue train --target compact-indoor --data "nyu:$nyu" --data scenes:indoor:600 --steps 6000 --batch-size 8 \
    --precision bf16 --half --name compact-indoor --out $runs/mask-indoor-first
# once more over other rooms, most masks nearly binary; then fewer of them, so that each lambda finds its level again
depthcue train --target compact-indoor --init $runs/mask-indoor-first/mask.safetensors --data "nyu:$nyu" \
    --data "nyu:$nyu" --data scenes:indoor:1200 --steps 5500 --batch-size 8 --learning-rate 7e-4 --sharpen 0.8 \
    --seed 5 --precision bf16 --half --name compact-indoor --out $runs/mask-indoor-binary
depthcue train --target compact-indoor --init $runs/mask-indoor-binary/mask.safetensors --data "nyu:$nyu" \
    --data "nyu:$nyu" --data scenes:indoor:1200 --steps 600 --batch-size 8 --learning-rate 5e-4 --sharpen 0.4 \
    --average 0.99 --seed 6 --precision bf16 --half --name compact-indoor --out $runs/mask-indoor-soft
# the share was chosen on training frames and rendered rooms
python weights/average.py $runs/mask-indoor-binary/mask.safetensors $runs/mask-indoor-soft/mask.safetensors 0.3 \
    $runs/mask-indoor.safetensors
python weights/ship.py $runs/mask-indoor.safetensors compact-indoor

depthcue train-depth --data scenes:road:700 --size 320x96 --steps 1100 --batch-size 16 --weight-decay 1e-5 \
    --augmentation published --precision bf16 --half --name compact-road --out $runs/depth-road-first
depthcue train-depth --init $runs/depth-road-first/depth.safetensors --data scenes:road:700 --size 320x96 \
    --steps 500 --average 0 --batch-size 16 --weight-decay 1e-5 --augmentation published --precision bf16 --half \
    --name compact-road --out $runs/depth-road
python weights/ship.py $runs/depth-road/depth.safetensors compact-road
depthcue train --target compact-road --data scenes:road:700 --steps 3000 --batch-size 8 --precision bf16 --half \
    --name compact-road --out $runs/mask-road
python weights/ship.py $runs/mask-road/mask.safetensors compact-road

measure compact-indoor "nyu:$nyu" nyu
measure compact-indoor scenes:indoor rooms
measure compact-road scenes:road roads
for kind in depth mask; do
    python weights/ship.py weights/compact-indoor-$kind.safetensors compact-indoor \
        --results benchmarks/results/compare-edges-nyu.json
    python weights/ship.py weights/compact-road-$kind.safetensors compact-road \
        --results benchmarks/results/compare-edges-roads.json
done
depthcue findings --weights compact-road --data scenes:road --out $runs/findings-roads
python benchmarks/keep_result.py $runs/findings-roads/results.json findings-roads
for lambda in 1 2 4; do
    depthcue train --target compact-indoor --init compact-indoor --lambda $lambda --data "nyu:$nyu" \
        --data scenes:indoor:500 --steps 300 --batch-size 8 --learning-rate 5e-4 --average 0.99 --precision bf16 \
        --out $runs/mask-indoor-$lambda
done
python benchmarks/dial_against_single.py --data "nyu:$nyu" \
    $(printf -- "--single $runs/mask-indoor-%s/mask.safetensors " 1 2 4)
python benchmarks/fill_readme.py
