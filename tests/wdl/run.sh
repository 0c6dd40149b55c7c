#!/usr/bin/env bash
# The WDL tasks, checked and run without containers, on FASTA and on BAM. MINIWDL_PYTHON is a Python that has miniwdl, VIRPACK the
# program (target/debug/virpack).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${MINIWDL_PYTHON:-python3}
virpack=${VIRPACK:-$PWD/target/debug/virpack}
out=$(mktemp -d)
trap 'rm -r "$out"' EXIT
PATH=$(dirname "$virpack"):$PATH
wdl=examples/clusters/wdl/virpack.wdl reads=crates/virpack-seq/tests/fixtures/reads.bam

"$python" -m WDL check --strict --suppress CommandShellCheck "$wdl" tests/wdl/drop_in.wdl >"$out/check.log" || { cat "$out/check.log"; exit 1; }

run() { "$python" tests/wdl/bare.py run "$@" >"$out/run.log" 2>&1 || { cat "$out/run.log"; exit 1; }; }

# Holds an archive against a run without WDL: VirNucPro's two files, then the contigs.
holds() {
    local archive=$1 contigs=$2 input=$3 base=$4
    shift 4
    "$virpack" predict "$input" -o "$out/$base" --quiet --compat broad --unique-ids "$@"
    mkdir "$out/$base.tgz"
    tar -xzf "$archive" -C "$out/$base.tgz"
    cmp "$out/$base.tgz/$base.virnucpro.tsv" "$out/$base/prediction_results.txt"
    cmp "$out/$base.tgz/$base.virnucpro_highestscore.csv" "$out/$base/prediction_results_highestscore.csv"
    cmp "$contigs" "$out/$base/contigs.tsv"
}

# Two samples, FASTA and BAM.
run "$wdl" reads_input=examples/metagenome.fasta reads_input="$reads" --dir "$out/both/."
both=$out/both/out
holds "$both"/virnucpro_scores/0/metagenome.virnucpro.tgz "$both"/contig_classifications/0/metagenome.contigs_classified.tsv \
    examples/metagenome.fasta metagenome --length 300 --contigs
holds "$both"/virnucpro_scores/1/reads.virnucpro.tgz "$both"/contig_classifications/1/reads.contigs_classified.tsv "$reads" reads \
    --length 300 --contigs

# README's table, from the chunks of README's first command.
run "$wdl" reads_input=examples/metagenome.fasta expected_length=500 --dir "$out/readme/."
mkdir "$out/table"
cp "$out/readme/out/sequences/0/metagenome.virpack.tsv" "$out/table/sequences.tsv"
tests/clusters/readme_table.sh "$out/table"

# A workflow of VirNucPro's tasks.
run tests/wdl/drop_in.wdl reads_input=examples/contigs.fasta --dir "$out/drop_in/."
holds "$out"/drop_in/out/virnuc_pro_scores/contigs.virnucpro.tgz "$out"/drop_in/out/virnucpro_contigs_classified/contigs.contigs_classified.tsv \
    examples/contigs.fasta contigs --length 500 --contigs --contig-min-chunks 2 --contig-min-viral 0.2 --contig-min-nonviral 0.2
echo "four workflow runs gave the files of virpack and README's table"
