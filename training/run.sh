#!/usr/bin/env bash
# From the data to exported files, their numbers and the baseline's:
#
#     training/run.sh DATA OUT
#
# Shards go to OUT/shards, the model to OUT/model, the numbers to OUT/model/evaluation. The classifier and its training want
# a GPU; the rest does not.
set -euo pipefail
data=$1 out=$2
here=$(dirname "$0")
python3 "$here/data.py" --data "$data" --out "$out/shards"
python3 "$here/baseline.py" --data "$out/shards" --out "$out/baseline.npz"
python3 "$here/make.py" --data "$out/shards" --out "$out/model" --minutes 5.3 --compile
python3 "$here/evaluate.py" --model "$out/model" --data "$out/shards" --out "$out/model/evaluation" --baseline "$out/baseline.npz"
