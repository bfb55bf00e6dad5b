#!/usr/bin/env bash
# Table 1 and Fig. 5 of Hu et al. 2019 with networks of the paper's own architecture, trained here.
#
#     benchmarks/paper_tables.sh NYU [RUNS]
#
# NYU is the folder with nyu2_train.csv and nyu2_test.csv; RUNS keeps the trainings (default runs/paper), and a training
# that is there already is not done again. Made for a CUDA machine, where it has not run yet. The results that are kept
# come from two cores, at a small size (RESULTS.md says what of the paper's shape they show):
#
#     SIZE=96x72 BATCH=8 DEVICE=cpu TEACH_STEPS=1500 TEACH_DEPTH_STEPS=600 TEACH_MASK_STEPS=300 ORDER_STEPS=600 \
#         STEPS=0 MASK_STEPS=300 FIGURE_LIMIT=100 benchmarks/paper_tables.sh NYU
#
# with its stages run one by one, drn22's encoder on 600 rooms, the encoders and the order by earlier forms of teach.py.
#
# From nothing, the 795 photographs and rooms gave flat maps on two cores. BACKBONE and MASK_BACKBONE are what encoders
# begin with: `imagenet` (which downloads those weights), a file, or `taught`, where the networks learn from the shipped
# ones first (benchmarks/teach.py): the encoders their features, the decoders their maps and answers, the mask net the
# order of all pixels. STEPS with the paper's losses and ground truth follow for the depth net.
set -euo pipefail
nyu=${1:?usage: benchmarks/paper_tables.sh NYU [RUNS]}
runs=${2:-runs/paper}
cd "$(dirname "$0")/.."
size=${SIZE:-304x228} batch=${BATCH:-16} device=${DEVICE:-cuda} precision=${PRECISION:-bf16} limit=${LIMIT:-}
figure_limit=${FIGURE_LIMIT:-$limit}
backbone=${BACKBONE:-taught} mask_backbone=${MASK_BACKBONE:-taught} rooms=${ROOMS:-1000}
teach_steps=${TEACH_STEPS:-5000} teach_depth_steps=${TEACH_DEPTH_STEPS:-3000} steps=${STEPS:-4000}
teach_mask_steps=${TEACH_MASK_STEPS:-2000} order_steps=${ORDER_STEPS:-4000} mask_steps=${MASK_STEPS:-3000}
all=(--data "nyu:$nyu" --data "scenes:indoor:$rooms")
usual=("${all[@]}" --batch-size "$batch" --device "$device" --precision "$precision")

taught() {  # part, student, steps, file, more
    [ -f "$4" ] || python benchmarks/teach.py "$1" "$2" "${all[@]}" --size "$size" --steps "$3" --device "$device" \
        --out "$4" "${@:5}"
}
start=(--backbone "$backbone")
if [ "$backbone" = taught ]; then
    taught encoder hu-resnet50 "$teach_steps" "$runs/encoder.safetensors"
    taught decoder hu-resnet50 "$teach_depth_steps" "$runs/depth-taught.safetensors" \
        --backbone "$runs/encoder.safetensors" --batch-size 12 --learning-rate 1e-3
    start=(--init "$runs/depth-taught.safetensors")
fi
depth=$runs/depth/depth.safetensors
if [ "$steps" = 0 ]; then
    depth=$runs/depth-taught.safetensors
elif [ ! -f "$depth" ]; then
    depthcue train-depth --net hu-resnet50 "${start[@]}" --augmentation published --steps "$steps" --size "$size" \
        --loss depth+grad+normal --learning-rate 1e-4 --schedule cosine --average 0.999 "${usual[@]}" --out "$runs/depth"
fi

# A mask net that is told λ alone from nothing fills up or runs empty before it has an order of pixels, and a sigmoid
# hardly comes back from either; one that has learned the order of another net's masks begins in the middle. N sees
# nearly binary masks besides (--sharpen), as with the compact nets; their share begins at 0 and is reached half-way. A
# second training after the first (450 steps, λ 3) lost some of the order again, on training frames. λ 1 has 0.6 because
# it was trained before 0.9 had proved the better on them.
train_mask() {  # λ, steps, share of nearly binary masks, where it starts
    [ -f "$runs/mask-$1/mask.safetensors" ] || depthcue train --net drn22 --aside 0 --target "$depth" --lambda "$1" \
        --steps "$2" \
        --sharpen "$3" --learning-rate 2e-4 --schedule cosine "${@:4}" "${usual[@]}" --out "$runs/mask-$1"
}
start=(--backbone "$mask_backbone")
if [ "$mask_backbone" = taught ]; then
    taught encoder drn22 "$((2 * teach_mask_steps))" "$runs/mask-encoder.safetensors" --batch-size 12
    taught decoder drn22 "$teach_mask_steps" "$runs/mask-taught.safetensors" \
        --backbone "$runs/mask-encoder.safetensors" --batch-size 8 --learning-rate 1e-3
    taught order drn22 "$order_steps" "$runs/mask-ordered.safetensors" \
        --init "$runs/mask-taught.safetensors" --batch-size 8 --learning-rate 1e-3
    start=(--init "$runs/mask-ordered.safetensors")
fi
train_mask 1 "$((mask_steps * 5 / 6))" 0.6 "${start[@]}"
train_mask 2 "$((mask_steps / 2))" 0.9 "${start[@]}"
train_mask 3 "$mask_steps" 0.9 "${start[@]}"
for lambda in 4 5 6; do
    train_mask $lambda "$((mask_steps / 3))" 0.9 --init "$runs/mask-$((lambda - 1))/mask.safetensors"
done
masks=()
for lambda in {1..6}; do masks+=(--weights "$runs/mask-$lambda/mask.safetensors"); done
depthcue evaluate "${masks[@]}" --data "nyu:$nyu" --device "$device" \
    ${limit:+--limit "$limit"} --only-table --out "$runs/evaluate"
python benchmarks/keep_result.py "$runs/evaluate/results.json" paper-table1
depthcue compare-edges --weights "$runs/mask-3/mask.safetensors" --data "nyu:$nyu" --device "$device" \
    ${figure_limit:+--limit "$figure_limit"} --out "$runs/compare-edges"
python benchmarks/keep_result.py "$runs/compare-edges/results.json" paper-fig5
# are masks of networks that share no architecture alike, and does one network see through the other's?
depthcue compare-nets --weights "$runs/mask-3/mask.safetensors" --weights compact-indoor --target "$depth" \
    --target compact-indoor --data "nyu:$nyu" --device "$device" ${figure_limit:+--limit "$figure_limit"} \
    --out "$runs/compare-nets"
python benchmarks/keep_result.py "$runs/compare-nets/results.json" paper-agreement
