#!/bin/sh
# Two jobs that share an input, as two machines would: the rows of one run over all of it.
set -eu
cd "$(dirname "$0")/.."
virpack=${VIRPACK:-virpack}
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
"$virpack" plan proteins.fasta --model esm2_tiny -o "$out/plan" --part-tokens 300
for job in 1 2; do
    "$virpack" embed --plan "$out/plan" --device cpu --part "$job/2" &
done
wait
"$virpack" commit "$out/plan" -o "$out/joined.npy"
"$virpack" embed proteins.fasta --model esm2_tiny --device cpu -o "$out/whole.npy"
cmp "$out/joined.npy" "$out/whole.npy"
cmp "$out/joined.npy.records.tsv" "$out/whole.npy.records.tsv"
echo 'two jobs make the file of one run'
