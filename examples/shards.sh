#!/bin/sh
# Two shards of one input, as two machines would make them, joined: the rows of a run over all of it.
set -eu
cd "$(dirname "$0")"
virpack=${VIRPACK:-virpack}
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
for shard in 1 2; do
    "$virpack" embed proteins.fasta --model esm2_tiny --device cpu --shard "$shard/2" -o "$out/$shard.shard"
done
"$virpack" merge "$out"/*.shard -o "$out/joined.npy"
"$virpack" embed proteins.fasta --model esm2_tiny --device cpu -o "$out/whole.npy"
cmp "$out/joined.npy.records.tsv" "$out/whole.npy.records.tsv"
[ "$(wc -c <"$out/joined.npy")" -eq "$(wc -c <"$out/whole.npy")" ]
echo 'two shards make one output'
