#!/usr/bin/env bash
# The shipped model from shards and records, on one card or two:
#
#     training/final.sh SHARDS RECORDS OUT [BEFORE.npz]
#
# The student without a teacher is OUT/model. With TAUGHT=1 a teacher is trained too, then a student with it, OUT/taught, for comparison.
set -euo pipefail
data=$1 records=$2 out=$3 before=${4:-}
here=$(dirname "$0")
mkdir -p "$out"
make() {
    local command=(python3 "$here/make.py" --data "$data" --development "$@")
    "${command[@]}" --compile || "${command[@]}"
}
plain() { make --out "$out/plain" --minutes "${STUDENT:-2.6}" > "$out/plain.txt" 2>&1; }
if [ -z "${TAUGHT:-}" ]; then
    plain
else
    # Of two cards the second trains the student without a teacher from the first minute on; one card trains both students at once.
    cards=$(python3 -c 'import torch; print(torch.cuda.device_count())')
    if ((cards > 1)); then CUDA_VISIBLE_DEVICES=1 plain & fi
    make --out "$out/teacher" --teacher-minutes "${TEACHER:-1.6}" --only-teacher
    if ((cards < 2)); then plain & fi
    student=$!
    make --out "$out/taught" --teacher "$out/teacher/teacher.pt" --minutes "${STUDENT:-2.6}" > "$out/taught.txt" 2>&1
    wait "$student"
fi
cp -r "$out/plain" "$out/model"
python3 "$here/score_records.py" --model "$out/model" --records "$records" --out "$out/runs" &
python3 "$here/evaluate.py" --model "$out/model" --data "$data" --out "$out/model/evaluation" --whole ${before:+--before "$before"}
wait
python3 "$here/scores_golden.py" --model "$out/model" --data "$data" --out "$out/model/golden.json"
