#!/usr/bin/env bash
# The shipped model from shards and records, on one card:
#
#     training/final.sh SHARDS RECORDS LAMBDA.fasta.gz OUT [BEFORE.npz]
#
# A model from labels alone, OUT/plain, teaches OUT/fresh and OUT/onward, starts with branches (soup.py); the branch that `choose.py` takes, OUT/third, is a teacher of all
# that follow. Its own student OUT/longer, which goes on from it, has two teachers more, each from a start of its own. `choose.py` takes one of its branches: OUT/model.
set -euo pipefail
data=$1 records=$2 phage=$3 out=$4 before=${5:-}
here=$(dirname "$0")
mkdir -p "$out"
twice() { "$@" --compile || "$@"; } # where it does not compile, as it is
soup() { twice python3 "$here/soup.py" --data "$data" --lambda "$phage" --out "$out/$1" --seed "$2" --plan "$3" "${@:4}"; }
choose() { python3 "$here/choose.py" --data "$data" --records "$records" --lambda "$phage" "$@" | tee /dev/stderr | tail -n 1; }
twice python3 "$here/make.py" --data "$data" --development --out "$out/plain" --minutes "${STUDENT:-2.6}"
soup fresh 2027 third --teacher "$out/plain"
soup onward 2028 third --teacher "$out/plain" --start "$out/plain"
cp -r "$(choose "$out"/fresh/*)" "$out/third"
soup gentle 2040 gentle --teacher "$out"/{third,fresh/branch_3}
soup hard 2050 hard --teacher "$out"/{third,onward/branch_3}
soup longer 2070 longer --teacher "$out"/{third,hard/branch_1,gentle/branch_2} --start "$out/third"
cp -r "$(choose --before "$out/third" --kin 0.25 "$out"/longer/*)" "$out/model"
python3 "$here/score_records.py" --model "$out/model" --records "$records" --out "$out/runs" &
python3 "$here/evaluate.py" --model "$out/model" --data "$data" --out "$out/model/evaluation" --whole ${before:+--before "$before"}
wait
python3 "$here/scores_golden.py" --model "$out/model" --data "$data" --out "$out/model/golden.json"
