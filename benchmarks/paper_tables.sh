#!/usr/bin/env bash
# Table 1 and Fig. 5 of Hu et al. 2019 with networks of the paper's own architecture, trained here.
#
#     benchmarks/paper_tables.sh NYU [RUNS]
#
# NYU is the folder with nyu2_train.csv and nyu2_test.csv; RUNS keeps the trainings (default runs/paper), and a training
# that is there already is not done again. Made for a CUDA machine, where it has not run yet. The results that are kept
# come from two cores, at a small size, in about two hours:
#
#     SIZE=96x72 BATCH=8 DEVICE=cpu TEACH_STEPS=1500 TEACH_MASK_STEPS=600 FIRST_STEPS=700 STEPS=700 \
#         FIRST_MASK_STEPS=250 MASK_STEPS=150 benchmarks/paper_tables.sh NYU
#
# The encoders begin with BACKBONE and MASK_BACKBONE: `imagenet`, which downloads those weights, a file of them, or
# `taught`, for which the shipped depth net teaches them its features. The depth net's decoder then makes FIRST_STEPS
# alone, with l1: the paper's losses from nothing end in flat maps, and a decoder that knows nothing undoes what the
# encoder knows. STEPS with the paper's losses follow for the whole net.
set -euo pipefail
nyu=${1:?usage: benchmarks/paper_tables.sh NYU [RUNS]}
runs=${2:-runs/paper}
cd "$(dirname "$0")/.."
size=${SIZE:-304x228} batch=${BATCH:-16} device=${DEVICE:-cuda} precision=${PRECISION:-bf16} limit=${LIMIT:-}
backbone=${BACKBONE:-taught} teach_steps=${TEACH_STEPS:-5000} first_steps=${FIRST_STEPS:-2000} steps=${STEPS:-4000}
mask_backbone=${MASK_BACKBONE:-taught} teach_mask_steps=${TEACH_MASK_STEPS:-3000}
first_mask_steps=${FIRST_MASK_STEPS:-1500} mask_steps=${MASK_STEPS:-1500} sharpen=${SHARPEN:-0}
figure_lambda=${FIGURE_LAMBDA:-3} rooms=${ROOMS:-1000}
all=(--data "nyu:$nyu" --data "scenes:indoor:$rooms")
usual=(--batch-size "$batch" --device "$device" --precision "$precision")

taught() {  # student, steps, file
    [ -f "$3" ] || python benchmarks/teach_encoder.py "$1" "${all[@]}" --size "$size" --steps "$2" \
        --device "$device" --out "$3"
}
if [ "$backbone" = taught ]; then
    backbone=$runs/encoder.safetensors
    taught hu-resnet50 "$teach_steps" "$backbone"
fi
if [ "$mask_backbone" = taught ]; then
    mask_backbone=$runs/mask-encoder.safetensors
    taught drn22 "$teach_mask_steps" "$mask_backbone"
fi

first=$runs/depth-first/depth.safetensors depth=$runs/depth/depth.safetensors
[ -f "$first" ] || depthcue train-depth --net hu-resnet50 --backbone "$backbone" --freeze-encoder "${all[@]}" \
    --steps "$first_steps" --loss l1 --learning-rate 5e-4 --schedule cosine --average 0.99 --size "$size" \
    "${usual[@]}" --out "$runs/depth-first"
[ -f "$depth" ] || depthcue train-depth --net hu-resnet50 --init "$first" "${all[@]}" --augmentation published \
    --steps "$steps" --loss depth+grad+normal --learning-rate 1e-4 --schedule cosine --average 0.99 --size "$size" \
    "${usual[@]}" --out "$runs/depth"

# A mask net that is told λ alone from the start fills up or runs empty before it has an order of pixels, and a sigmoid
# hardly comes back from either. So the first one learns the order at sparsenesses drawn by chance (--sharpen); those of
# the paper's λ start from it, each from its neighbour.
train_mask() {  # name, λ, steps, share of sharpened masks, --backbone or --init and what it takes
    [ -f "$runs/$1/mask.safetensors" ] || depthcue train --net drn22 --target "$depth" "${all[@]}" --lambda "$2" \
        --steps "$3" --sharpen "$4" "${@:5}" "${usual[@]}" --out "$runs/$1"
}
train_mask mask-first 3 "$first_mask_steps" 1 --backbone "$mask_backbone" --freeze-encoder --learning-rate 5e-4
before=mask-first
for lambda in 3 2 1 4 5 6; do
    if [ $lambda = 4 ]; then before=mask-3; fi
    train_mask mask-$lambda $lambda "$mask_steps" "$sharpen" --init "$runs/$before/mask.safetensors"
    before=mask-$lambda
done
masks=()
for lambda in {1..6}; do masks+=(--weights "$runs/mask-$lambda/mask.safetensors"); done
depthcue evaluate "${masks[@]}" --data "nyu:$nyu" --device "$device" \
    ${limit:+--limit "$limit"} --only-table --out "$runs/evaluate"
python benchmarks/keep_result.py "$runs/evaluate/results.json" paper-table1
depthcue compare-edges --weights "$runs/mask-$figure_lambda/mask.safetensors" --data "nyu:$nyu" --device "$device" \
    ${limit:+--limit "$limit"} --out "$runs/compare-edges"
python benchmarks/keep_result.py "$runs/compare-edges/results.json" paper-fig5
