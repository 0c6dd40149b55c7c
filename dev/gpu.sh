#!/usr/bin/env bash
# What must be shown on a GPU beside the comparison with PyTorch (BENCHMARKS.md has that command). No toolchain is needed
# there, only these, built elsewhere:
#
#     VIRPACK=virpack CONFORMANCE=conformance EXAMPLES=directory TOKENIZER=tokenizer.json PROTEINS=uniprot.fasta.gz \
#         GENOMES=plant_viruses.fasta.gz GOLDEN=directory TINY=directory dev/gpu.sh [step ...]
#
# `virpack` and EXAMPLES (cuda_attention, product_bench, same_bits) are release builds, `conformance` the test of virpack-device.
# Steps: conformance older bits killed sanitize golden precision files cards budget predict; without any, all of them, and `sizes`
# where PEER names the peer's script (esm2_gpu.py). `bits` and `killed` take real weights too where BITS names their directory, and
# all cards that DEVICES names (cuda:0). `golden` needs GOLDEN and TINY, directories of models of nucleotides with golden.json.
# SIZES (3B 650M), PEPTIDES (orf records a run, 20000) and KILLED (what killed.py takes) may be set. Models are made in SCRATCH
# (/tmp/virpack-gpu), `cards` in CARDS (/dev/shm).
set -u
cd "$(dirname "$0")"
SCRATCH=${SCRATCH:-/tmp/virpack-gpu} SIZES=${SIZES:-650M 3B} PEPTIDES=${PEPTIDES:-20000}
mkdir -p "$SCRATCH"
step() { printf '\n== %s (%s)\n' "$1" "$(date +%T)"; }
seconds() { local begin; begin=$(date +%s.%N); "$@"; echo "$(date +%s.%N) $begin" | awk '{printf "%.2f s\n", $1 - $2}'; }

# A test for each theme and precision (`cuda_f16::attention`). Without the variable they would be skipped where there is no card.
conformance() { VIRPACK_REQUIRE_CUDA=1 timeout 300 "$CONFORMANCE" cuda_ | tail -80; }

# The kernels of older cards, which the driver translates: conformance, packed and alone, and speed beside each other. NVRTC must not be
# newer than the driver's CUDA version.
older() {
    local arch
    for arch in 75 80; do VIRPACK_CUDA_ARCH=$arch conformance; done
    VIRPACK_CUDA_ARCH=75 timeout 120 "$EXAMPLES/same_bits" 650M "${DEVICES:-cuda:0}" f16 1000 60 || echo 'older: NOT the same'
    for arch in 80 75 75 80; do VIRPACK_CUDA_ARCH=$arch "$VIRPACK" bench --shape 650M --load orf --seconds 4 --rounds 1; done
}

# Rows and bits that differ between packed, packed otherwise, from back to front, alone, and on one card or several.
# Records of 1 to 1,022 residues: 2,000 of them where the model takes seconds for so many; of those, the last number alone.
bits() {
    local line
    while read -r line; do
        # shellcheck disable=SC2086
        timeout 120 "$EXAMPLES/same_bits" ${line/cards/${DEVICES:-cuda:0}} || echo "bits: $line: NOT the same"
    done <<< "${BITS:+$BITS cards f16 2000 200
$BITS cards bf16 2000 200
$BITS cards int8 2000 200
$BITS cards f32 1000 100
}35M cards f16 2000 100
150M cards f16 2000 100
150M cards bf16 1000 60
150M cards f32 200 30
650M cards f16 2000 100
650M cards bf16 1000 60
650M cards int8 1000 60
650M cards f32 60 10
3B cards f16 300 30
3B cards bf16 300 20"
}

# The same bits again from a run that was killed in the middle and resumed; as many records as take some seconds.
killed() {
    # shellcheck disable=SC2086
    timeout 500 python3 killed.py --virpack "$VIRPACK" --scratch "$SCRATCH/killed" --device "${DEVICES:-cuda:0}" \
        ${BITS:+$BITS:40000:f16,f32,bf16} ${KILLED:-150M:6000 650M:2000 3B:1500} || echo 'killed: NOT the same'
}

# Every published size beside the peer: the table of BENCHMARKS.md.
sizes() { python3 sizes.py --virpack "$VIRPACK" --peer "$PEER"; }

# A form of each kernel: the whole suite is hours under the sanitizer.
sanitize() {
    for tool in memcheck racecheck; do
        timeout 100 compute-sanitizer --tool $tool "$EXAMPLES/product_bench" f16 512 0 2>&1 | tail -1
        timeout 100 compute-sanitizer --tool $tool "$EXAMPLES/cuda_attention" f16 16,64 orf 2>&1 | tail -1
    done
}

# Models of nucleotides, packed, on the card, against what PyTorch gives: GOLDEN's, and TINY's of 8 and 12 heads
# (fixtures/dnabert_tiny).
golden() { python3 golden.py --virpack "$VIRPACK" --scratch "$SCRATCH" --published "$GOLDEN" --tiny "$TINY"; }

precision() { python3 precision.py --virpack "$VIRPACK" --fasta "$PROTEINS" --records 60 --scratch "$SCRATCH" $SIZES; }

# From a file on disk to a file of embeddings, beside the rate in memory.
files() {
    python3 random_models.py "$SCRATCH" $SIZES "orf:$PEPTIDES"
    for size in $SIZES; do
        seconds "$VIRPACK" embed "$SCRATCH/orf.fasta" --model "$SCRATCH/random_$size" -o "$SCRATCH/files.npy" --force
        "$VIRPACK" bench --shape "$size" --load orf --seconds 5 --rounds 1
    done
}

# One file through 1, 2, 4 and 8 cards, as many as there are, with 8M, 650M and 3B, then as many processes as cards: the table of
# BENCHMARKS.md.
cards() {
    # shellcheck disable=SC2086
    python3 cards.py --virpack "$VIRPACK" --models "$SCRATCH" --scratch "${CARDS:-/dev/shm}/virpack-cards" ${CARD_OPTIONS:---processes}
    rm -rf "${CARDS:-/dev/shm}/virpack-cards"
}

# The largest token budget there is room for, by asking for far too much; every row as with the usual one.
budget() {
    local size=${SIZES%% *}
    "$VIRPACK" embed "$PROTEINS" --model "$SCRATCH/random_$size" -o "$SCRATCH/usual.npy" --force
    "$VIRPACK" embed "$PROTEINS" --model "$SCRATCH/random_$size" -o "$SCRATCH/large.npy" --force --token-budget 30000000
    python3 -c "import numpy as n, sys; a, b = (n.load(f'$SCRATCH/{x}.npy') for x in ('usual', 'large')); \
print('largest relative difference', (n.linalg.norm(a - b, axis=1) / n.linalg.norm(a, axis=1)).max())"
}

# 20,000 chunks of 500 bases through all of predict, beside embed on the same peptides.
predict() {
    python3 random_models.py "$SCRATCH" 3B dnabert classifier --tokenizer "$TOKENIZER"
    zcat "$GENOMES" | awk '/^>/{kept = bases < 9.6e6} kept{print; if (!/^>/) bases += length}' > "$SCRATCH/genomes.fna"
    "$VIRPACK" frames "$SCRATCH/genomes.fna" --length 500 -o "$SCRATCH/genomes" --force
    seconds "$VIRPACK" embed "$SCRATCH/genomes_protein.faa" --model "$SCRATCH/random_3B" -o "$SCRATCH/peptides.npy" --force
    seconds "$VIRPACK" predict "$SCRATCH/genomes.fna" --protein-model "$SCRATCH/random_3B" --nucleotide-model "$SCRATCH/random_dnabert" \
        --classifier "$SCRATCH/500_random.safetensors" -o "$SCRATCH/verdicts" --force
}

for name in "${@:-conformance older bits killed sanitize golden precision files cards budget predict ${PEER:+sizes}}"; do
    for name in $name; do step "$name"; "$name"; done
done
