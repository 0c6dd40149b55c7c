#!/usr/bin/env bash
# From the data to exported files, their numbers and the score of a record:
#
#     training/run.sh DATA OUT
#
# Shards go to OUT/shards, records to OUT/records, the model to OUT/model, the numbers to OUT/model/evaluation. Training wants a GPU; the
# rest does not.
set -euo pipefail
data=$1 out=$2
here=$(dirname "$0")
mkdir -p "$out"
python3 "$here/data.py" --data "$data" --out "$out/shards" --split "$out/masks.pickle"
python3 "$here/records.py" --data "$data" --out "$out/records" --split "$out/masks.pickle"
"$here/final.sh" "$out/shards" "$out/records" "$data/nucleotide/lambda_phage.fa.gz" "$out"
python3 "$here/verdicts.py" --records "$out/records" --runs "$out/runs" --out "$out/model" --test
