#!/usr/bin/env bash
# The shipped model from shards and records, on one card:
#
#     training/final.sh SHARDS RECORDS LAMBDA.fasta.gz OUT [BEFORE.npz]
#
# A model from labels alone, OUT/plain, teaches the next one: a start, branches, their averages (soup.py). `choose.py` takes one of these: OUT/model.
set -euo pipefail
data=$1 records=$2 phage=$3 out=$4 before=${5:-}
here=$(dirname "$0")
mkdir -p "$out"
twice() { "$@" --compile || "$@"; } # where it does not compile, as it is
twice python3 "$here/make.py" --data "$data" --development --out "$out/plain" --minutes "${STUDENT:-2.6}"
twice python3 "$here/soup.py" --data "$data" --teacher "$out/plain" --lambda "$phage" --out "$out/soup" --seed 2027
chosen=$(python3 "$here/choose.py" --data "$data" --records "$records" --lambda "$phage" "$out"/soup/* | tee /dev/stderr | tail -n 1)
cp -r "$chosen" "$out/model"
python3 "$here/score_records.py" --model "$out/model" --records "$records" --out "$out/runs" &
python3 "$here/evaluate.py" --model "$out/model" --data "$data" --out "$out/model/evaluation" --whole ${before:+--before "$before"}
wait
python3 "$here/scores_golden.py" --model "$out/model" --data "$data" --out "$out/model/golden.json"
