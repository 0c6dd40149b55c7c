#!/usr/bin/env bash
# The third attempt of notes.md, on two cards: a teacher a fold, four students at once, the choice among them:
#
#     training/crossfit.sh SHARDS ESM2.npz LAMBDA.fasta.gz OUT RECORDS
#
# ESM2.npz: `crossfit.py --esm ESM2.npz --pack model.safetensors`, of a Hugging Face ESM-2 of 8 million parameters.
set -euo pipefail
data=$1 esm=$2 phage=$3 out=$4 records=$5
here=$(dirname "$0")
mkdir -p "$out"
for fold in 0 1 2 3; do
    CUDA_VISIBLE_DEVICES=$((fold % 2)) python3 "$here/crossfit.py" --data "$data" --esm "$esm" --fold $fold --out "$out/soft" \
        --minutes 2 --compile > "$out/teacher_$fold.txt" 2>&1 &
done
wait
soft=("$out"/soft/soft_?.npz)
more='{"transposon": 2.5, "plant transposon": 1.7, "organelle": 1.6}'
student() {
    CUDA_VISIBLE_DEVICES=$1 python3 "$here/make.py" --data "$data" --out "$out/$2" --seed "$3" --settings "$4" --more "$more" \
        --code-4 --development --compile --minutes 2.4 "${@:5}" > "$out/$2.txt" 2>&1 &
}
student 0 guided 2026 '{"short": 2}' --soft "${soft[@]}" --masks --esm "$esm"
student 0 alone 2027 '{"short": 2}' --soft "${soft[@]}"
student 1 softer 2028 '{"short": 2, "soft_viral": 0.6, "soft_cell": 0.7}' --soft "${soft[@]}" --masks --esm "$esm"
student 1 labels 2029 '{"short": 2}' --esm "$esm"
wait
python3 "$here/choose.py" --data "$data" --records "$records" --lambda "$phage" "$out"/{guided,alone,softer,labels}
