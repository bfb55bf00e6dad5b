#!/usr/bin/env bash
# Table 1 and Fig. 5 of Hu et al. 2019 with networks of the paper's own architecture, trained here.
#
#     benchmarks/paper_tables.sh NYU [RUNS]
#
# NYU is the folder with nyu2_train.csv and nyu2_test.csv; RUNS keeps the trainings (default runs/paper), and a training
# that is there already is not done again. Made for a CUDA machine (about 20 minutes on a large one); on a CPU give it a
# small size and an hour:
#
#     SIZE=64x48 LOSS=l1 LEARNING_RATE=6e-4 STEPS=800 FIRST_MASK_STEPS=150 MASK_STEPS=40 DEVICE=cpu \
#         benchmarks/paper_tables.sh NYU
#
# The depth net starts from ImageNet weights where BACKBONE names a file of them (or `imagenet`, which downloads them).
# From nothing and in few steps the paper's losses end in flat maps (RMSE 1.40 m after 1000 steps of 8 pictures of
# 96x72); l1 does not.
set -euo pipefail
nyu=${1:?usage: benchmarks/paper_tables.sh NYU [RUNS]}
runs=${2:-runs/paper}
cd "$(dirname "$0")/.."
size=${SIZE:-304x228} steps=${STEPS:-8000} batch=${BATCH:-16}
mask_steps=${MASK_STEPS:-1500} first_mask_steps=${FIRST_MASK_STEPS:-${MASK_STEPS:-1500}}
device=${DEVICE:-cuda} precision=${PRECISION:-bf16} backbone=${BACKBONE:-none} limit=${LIMIT:-}
lambdas=${LAMBDAS:-"1 2 3 4 5 6"} figure_lambda=${FIGURE_LAMBDA:-3}
rooms=${ROOMS:-1000} loss=${LOSS:-depth+grad+normal} learning_rate=${LEARNING_RATE:-3e-4}
data=(--data "nyu:$nyu" --data "scenes:indoor:$rooms")
usual=(--device "$device" --precision "$precision" --batch-size "$batch")

depth=$runs/depth/depth.safetensors
[ -f "$depth" ] || depthcue train-depth --net hu-resnet50 "${data[@]}" --size "$size" --steps "$steps" \
    --loss "$loss" --learning-rate "$learning_rate" --schedule cosine --average 0.999 \
    --backbone "$backbone" "${usual[@]}" --out "$runs/depth"
masks=()
count=$first_mask_steps
for lambda in $lambdas; do
    mask=$runs/mask-$lambda/mask.safetensors
    # each from the one before: a sparser mask is found sooner from a fuller one
    [ -f "$mask" ] || depthcue train --net drn22 --target "$depth" "${data[@]}" --lambda "$lambda" \
        --steps "$count" ${masks:+--init "${masks[-1]}"} "${usual[@]}" --out "$runs/mask-$lambda"
    masks+=("$mask")
    count=$mask_steps
done
depthcue evaluate $(printf -- '--weights %s ' "${masks[@]}") --data "nyu:$nyu" --device "$device" \
    ${limit:+--limit "$limit"} --only-table --out "$runs/evaluate"
python benchmarks/keep_result.py "$runs/evaluate/results.json" paper-table1
depthcue compare-edges --weights "$runs/mask-$figure_lambda/mask.safetensors" --data "nyu:$nyu" --device "$device" \
    ${limit:+--limit "$limit"} --out "$runs/compare-edges"
python benchmarks/keep_result.py "$runs/compare-edges/results.json" paper-fig5
