#!/usr/bin/env bash
# The fifth call of notes.md, on two cards: two starts with branches, each taught by the shipped model and by another; then the choice, with no
# held-out sequence:
#
#     training/fifth.sh SHARDS RECORDS LAMBDA.fasta.gz MODEL OTHER OTHER OUT
#
# The last line is the chosen model's folder.
set -euo pipefail
data=$1 records=$2 phage=$3 model=$4 out=$7
here=$(dirname "$0")
mkdir -p "$out"
plan() {
    CUDA_VISIBLE_DEVICES=$1 timeout "${LIMIT:-425}" python3 "$here/soup.py" --data "$data" --teacher "$model" "$4" --lambda "$phage" \
        --out "$out/$2" --plan "$2" --seed "$3" --until "${UNTIL:-408}" --compile > "$out/$2.txt" 2>&1 || true
}
plan 0 gentle 2040 "$5" &
plan 1 hard 2050 "$6" &
wait
tail -n 60 "$out"/*.txt
python3 "$here/choose.py" --data "$data" --records "$records" --lambda "$phage" --before "$model" --kin 0.25 "$out"/{gentle,hard}/*
