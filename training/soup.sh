#!/usr/bin/env bash
# The fourth attempt of notes.md, on two cards: averages of branches that go on from the second version, and from a start of their own;
# then what leaving out data of unclear terms costs:
#
#     training/soup.sh SHARDS MODEL LAMBDA.fasta.gz OUT
#
# MODEL: the second version, the teacher of both and the start of one.
set -euo pipefail
data=$1 model=$2 phage=$3 out=$4
here=$(dirname "$0")
mkdir -p "$out"
soup() {
    CUDA_VISIBLE_DEVICES=$1 timeout "$3" python3 "$here/soup.py" --data "$data" --teacher "$model" --lambda "$phage" \
        --out "$out/$2" --compile "${@:4}" > "$out/$2.txt" 2>&1
}
fresh() { soup 0 fresh 465 --until "${FRESH:-420}" --seed 2027 || true; }
onward() {
    soup 1 onward 400 --until "${ONWARD:-300}" --seed 2028 --start "$model" || true
    # Shorter than the shipped model's training, whose log has its areas after as many steps.
    CUDA_VISIBLE_DEVICES=1 timeout "${REST:-125}" python3 "$here/make.py" --data "$data" --development --compile --minutes 1.2 \
        --settings '{"steps": 2000}' --without "more phage" transposon "plant transposon" rRNA --out "$out/unclear" > "$out/unclear.txt" 2>&1 || true
}
fresh &
onward &
wait
tail -n 60 "$out"/*.txt
