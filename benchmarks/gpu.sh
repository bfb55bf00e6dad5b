#!/usr/bin/env bash
# What only a GPU can show, in stages of some minutes each.
#
#     NYU=DIR DRIVE=VIDEO benchmarks/gpu.sh STAGE...
#
#     tests       the tests that carry the marker gpu; none may skip
#     bench       both shipped pairs in torch (fp16, bf16, CUDA graphs), ONNX Runtime and TensorRT, beside the limits of
#                 arithmetic and memory that the same run measures
#     authors     drn22 from files to masks, against the way of the paper's code
#     training    a step of the paper's mask net, against the way of the paper's code
#     throughput  `depthcue mask` on DRIVE, against the bare runner
#     paper       Table 1 and Fig. 5 with the paper's networks at 304x228; NYU is the folder with nyu2_train.csv
#
# Results land in OUT (default benchmarks/results). The shipped weights are made by weights/make.sh, whose trainings take
# a GPU where there is one. A rehearsal without a GPU, in minutes: DEVICE=cpu QUICK=1 OUT=FOLDER benchmarks/gpu.sh bench
# authors training throughput. No GPU has run it yet.
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 2; }
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda} out=${OUT:-benchmarks/results}
if [ -n "${QUICK:-}" ]; then
    seconds=0.2 rounds=1 steps=1 frames=4 batch=2 size=152x112
else
    seconds=3 rounds=3 steps=6 frames=256 batch=8 size=304x228
fi

tests() { DEPTHCUE_REQUIRE_GPU=1 python -m pytest -q -m gpu tests; }

bench() {
    local pair
    for pair in compact-indoor compact-road; do
        depthcue bench --weights "$pair" --device "$device" --seconds $seconds --out "runs/bench-$pair-$device"
        python benchmarks/keep_result.py "runs/bench-$pair-$device/results.json" "bench-$pair-$device" "$out"
    done
}

authors() {
    python benchmarks/against_authors.py --weights drn22 --size $size --frames $frames --device "$device" \
        --rounds $rounds --out "$out/against-authors-$device.json"
}

training() {
    python benchmarks/mask_training_cost.py --device "$device" --size $size --batch-size $batch --steps $steps \
        --rounds $rounds --out "$out/mask-training-cost-$device.json"
}

throughput() {
    python benchmarks/mask_throughput.py "${DRIVE:?DRIVE is the video to mask}" --rounds $rounds \
        --out "$out/mask-throughput-$device.json"
}

paper() { DEVICE=$device benchmarks/paper_tables.sh "${NYU:?NYU is the folder with nyu2_train.csv}"; }

for stage in "$@"; do
    case $stage in
        tests | bench | authors | training | throughput | paper) "$stage" ;;
        *) echo "there is no stage $stage: tests, bench, authors, training, throughput, paper" >&2; exit 2 ;;
    esac
done
