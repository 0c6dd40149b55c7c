#!/usr/bin/env bash
# The sixth call of notes.md, on two cards: students of models that have no start in common, one from random weights and one that goes on from the
# shipped model; then the choice, with no held-out sequence:
#
#     training/sixth.sh SHARDS RECORDS LAMBDA.fasta.gz MODEL OUT OTHER...
#
# MODEL is the shipped one; it and OTHER are the teachers. The last line is the chosen model's folder.
set -euo pipefail
data=$1 records=$2 phage=$3 model=$4 out=$5 others=("${@:6}")
here=$(dirname "$0")
mkdir -p "$out"
plan() {
    CUDA_VISIBLE_DEVICES=$1 timeout "${LIMIT:-410}" python3 "$here/soup.py" --data "$data" --teacher "$model" "${others[@]}" --lambda "$phage" \
        --out "$out/$2" --plan "$2" --seed "$3" --until "${UNTIL:-395}" --asked "$out/asked" --compile "${@:4}" > "$out/$2.txt" 2>&1 || true
}
plan 0 apart 2060 &
plan 1 longer 2070 --start "$model" &
wait
tail -n 60 "$out"/*.txt
python3 "$here/choose.py" --data "$data" --records "$records" --lambda "$phage" --before "$model" --kin 0.25 "$out"/{apart,longer}/*
