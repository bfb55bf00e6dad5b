#!/usr/bin/env bash
# Table 1 and Fig. 5 of Hu et al. 2019 with networks of the paper's own architecture, trained here.
#
#     benchmarks/paper_tables.sh NYU [RUNS]
#
# NYU is the folder with nyu2_train.csv and nyu2_test.csv; RUNS keeps the trainings (default runs/paper), and a training
# that is there already is not done again. Made for a CUDA machine, where it has not run yet. On a CPU the whole can be
# gone through at a small size in some hours,
#
#     SIZE=96x72 FIRST_STEPS=1500 STEPS=1200 LOSS=depth LEARNING_RATE=5e-4 AVERAGE=0.99 BATCH=8 \
#         FIRST_MASK_STEPS=250 MASK_STEPS=40 DEVICE=cpu benchmarks/paper_tables.sh NYU
#
# but networks as young as that tell nothing: their masks are full or empty on photographs.
#
# A depth net from nothing first makes FIRST_STEPS with l1 on photographs and rendered rooms, strongly augmented: the
# paper's losses alone end in flat maps there. Then, or at once where BACKBONE names a file of ImageNet weights (or
# `imagenet`, which downloads them) and FIRST_STEPS is 0, it makes STEPS with LOSS on the photographs alone, augmented
# as published.
set -euo pipefail
nyu=${1:?usage: benchmarks/paper_tables.sh NYU [RUNS]}
runs=${2:-runs/paper}
cd "$(dirname "$0")/.."
size=${SIZE:-304x228} batch=${BATCH:-16} device=${DEVICE:-cuda} precision=${PRECISION:-bf16} limit=${LIMIT:-}
backbone=${BACKBONE:-none} first_steps=${FIRST_STEPS:-5000} steps=${STEPS:-4000}
loss=${LOSS:-depth+grad+normal} learning_rate=${LEARNING_RATE:-2e-4} average=${AVERAGE:-0.999}
mask_steps=${MASK_STEPS:-1500} first_mask_steps=${FIRST_MASK_STEPS:-${MASK_STEPS:-1500}}
first_lambda=${FIRST_LAMBDA:-2} figure_lambda=${FIGURE_LAMBDA:-3} rooms=${ROOMS:-1000}
all=(--data "nyu:$nyu" --data "scenes:indoor:$rooms")
usual=(--size "$size" --batch-size "$batch" --device "$device" --precision "$precision")

depth=$runs/depth/depth.safetensors start=(--backbone "$backbone")
if [ ! -f "$depth" ] && [ "$first_steps" -gt 0 ]; then
    first=$runs/depth-first/depth.safetensors
    [ -f "$first" ] || depthcue train-depth --net hu-resnet50 "${start[@]}" "${all[@]}" --steps "$first_steps" \
        --loss l1 --learning-rate 6e-4 --schedule cosine --average 0.999 "${usual[@]}" --out "$runs/depth-first"
    start=(--init "$first")
fi
[ -f "$depth" ] || depthcue train-depth --net hu-resnet50 "${start[@]}" --data "nyu:$nyu" --augmentation published \
    --steps "$steps" --loss "$loss" --learning-rate "$learning_rate" --schedule cosine --average "$average" \
    "${usual[@]}" --out "$runs/depth"
# The first λ is one at which a full mask and an empty one cost as much: below it a mask from nothing fills up, above it
# runs empty, and a sigmoid hardly comes back from either. Every other starts from its neighbour on the first one's side.
train_mask() {  # λ, steps, where to start from
    [ -f "$runs/mask-$1/mask.safetensors" ] || depthcue train --net drn22 --target "$depth" "${all[@]}" --lambda "$1" \
        --steps "$2" ${3:+--init "$runs/mask-$3/mask.safetensors"} "${usual[@]:2}" --out "$runs/mask-$1"
}
train_mask "$first_lambda" "$first_mask_steps" ""
for ((lambda = first_lambda - 1; lambda >= 1; lambda--)); do train_mask $lambda "$mask_steps" $((lambda + 1)); done
for ((lambda = first_lambda + 1; lambda <= 6; lambda++)); do train_mask $lambda "$mask_steps" $((lambda - 1)); done
masks=()
for lambda in {1..6}; do masks+=(--weights "$runs/mask-$lambda/mask.safetensors"); done
depthcue evaluate "${masks[@]}" --data "nyu:$nyu" --device "$device" \
    ${limit:+--limit "$limit"} --only-table --out "$runs/evaluate"
python benchmarks/keep_result.py "$runs/evaluate/results.json" paper-table1
depthcue compare-edges --weights "$runs/mask-$figure_lambda/mask.safetensors" --data "nyu:$nyu" --device "$device" \
    ${limit:+--limit "$limit"} --out "$runs/compare-edges"
python benchmarks/keep_result.py "$runs/compare-edges/results.json" paper-fig5
