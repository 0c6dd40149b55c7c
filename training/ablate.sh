#!/usr/bin/env bash
# The runs of notes.md's first call, all at once on one card:
#
#     training/ablate.sh SHARDS OUT MINUTES
set -euo pipefail
data=$1 out=$2 minutes=$3
here=$(dirname "$0")
run() {
    local name=$1
    shift
    mkdir -p "$out/$name"
    # The sizes of then; a later --sizes takes their place.
    python3 "$here/make.py" --data "$data" --out "$out/$name" --minutes "$minutes" \
        --sizes '{"codon_hidden": 96, "codon_intermediate": 96, "peptide_layers": 3}' "$@" > "$out/$name.txt" 2>&1 &
}
run base
run first_groups --first-groups
run no_codons --settings '{"codons": false}'
run no_partial --settings '{"partial": false}'
run wide_codons --sizes '{"codon_hidden": 112, "codon_intermediate": 112, "peptide_layers": 2}'
run robust --settings '{"robust": 0.5}'
run none_made_up --settings '{"made_up": 0.0}'
run strong --settings '{"noise": 0.35, "decay": 0.1}'
wait
grep -H "exported\|called" "$out"/*.txt
