#!/bin/sh
# Tokens a second of ESM-2 on the CPU by threads, float32 and bfloat16, and the same of PyTorch where PYTHON has torch and transformers:
#
#     [PYTHON=python3] [SHAPE=150M] [LOAD=orf] [SECONDS_EACH=4] dev/cpu_threads.sh target/release/virpack [THREADS...]
#
# A row for each number of threads, 1, 2, 4, 8 and 16 unless others are named. The machine is to be quiet.
set -eu
virpack=$1
shift
[ $# -gt 0 ] || set -- 1 2 4 8 16
shape=${SHAPE:-150M}
load=${LOAD:-orf}
seconds=${SECONDS_EACH:-4}

rate() {
    "$virpack" bench --device cpu --shape "$shape" --load "$load" --dtype "$1" --threads "$2" --seconds "$seconds" \
        --rounds 1 2>/dev/null | sed -n 's/^mean *\([0-9,]*\) tokens.*/\1/p'
}

peer() {
    [ -n "${PYTHON:-}" ] || { echo "-"; return; }
    "$PYTHON" "$(dirname "$0")/cpu_threads.py" "$shape" "$load" "$1" "$2" "$seconds"
}

echo "$shape, $load, tokens a second"
echo "| threads | virpack f32 | virpack bf16 | Hugging Face f32 | Hugging Face bf16 |"
echo "| --- | --- | --- | --- | --- |"
for threads; do
    echo "| $threads | $(rate f32 "$threads") | $(rate bf16 "$threads") | $(peer float32 "$threads") | $(peer bfloat16 "$threads") |"
done
