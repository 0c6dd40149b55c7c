#!/usr/bin/env bash
# The shipped model from shards and records, on one card or two:
#
#     training/final.sh SHARDS RECORDS OUT [BEFORE.npz]
#
# A teacher first; then two students at once, one with it and one without; the better on the validation chunks is OUT/model.
set -euo pipefail
data=$1 records=$2 out=$3 before=${4:-}
here=$(dirname "$0")
mkdir -p "$out"
make() {
    local command=(python3 "$here/make.py" --data "$data" --development "$@")
    "${command[@]}" --compile || "${command[@]}"
}
# Of two cards one trains the student without a teacher from the first minute on.
cards=$(python3 -c 'import torch; print(torch.cuda.device_count())')
plain() { CUDA_VISIBLE_DEVICES=$((cards > 1)) make --out "$out/plain" --minutes "${STUDENT:-2.6}" > "$out/plain.txt" 2>&1; }
((cards < 2)) || plain &
make --out "$out/teacher" --teacher-minutes "${TEACHER:-1.6}" --only-teacher
make --out "$out/taught" --teacher "$out/teacher/teacher.pt" --minutes "${STUDENT:-2.6}" > "$out/taught.txt" 2>&1 &
((cards > 1)) || plain &
wait
best=$(python3 - "$out" <<'PY'
import pathlib, re, sys
areas = {}
for name in ("taught", "plain"):
    log = pathlib.Path(sys.argv[1], name, "log.txt").read_text()
    areas[name] = sum(map(float, re.findall(r"exported, float16.*?validation ([0-9.]+)", log)))
print(max(areas, key=areas.get))
PY
)
echo "kept: $best"
cp -r "$out/$best" "$out/model"
python3 "$here/score_records.py" --model "$out/model" --records "$records" --out "$out/runs" &
python3 "$here/evaluate.py" --model "$out/model" --data "$data" --out "$out/model/evaluation" --whole ${before:+--before "$before"}
wait
python3 "$here/scores_golden.py" --model "$out/model" --data "$data" --out "$out/model/golden.json"
