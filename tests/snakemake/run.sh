#!/usr/bin/env bash
# The Snakefile of examples/clusters, linted and run: README's table, and the file of one run from parts; a job that fails at first is
# tried again. SNAKEMAKE is the program, VIRPACK virpack (target/debug/virpack).
set -euo pipefail
cd "$(dirname "$0")/../.."
snakemake=${SNAKEMAKE:-snakemake}
virpack=$(realpath "${VIRPACK:-target/debug/virpack}")
root=$PWD
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# Snakemake keeps its state where it runs, and caches under the home directory.
ln -s "$root/examples" "$out/examples"
export HOME=$out XDG_CACHE_HOME=$out/cache

# A virpack that is killed once in each job of parts.
mkdir "$out/bin"
cat >"$out/bin/virpack" <<EOF
#!/bin/sh
case "\$*" in *"--part "*) mkdir "$out/tried-\$(echo "\$*" | tr -c 'a-z0-9\n' _)" 2>/dev/null && kill -9 \$\$ ;; esac
exec "$virpack" "\$@"
EOF
chmod +x "$out/bin/virpack"
cd "$out"
run() { PATH=$out/bin:$PATH "$snakemake" -s examples/clusters/snakemake/Snakefile --configfile examples/clusters/snakemake/config.yaml "$@"; }
# An environment for each rule would need a package that is published.
run --lint >lint.log 2>&1 || true
if grep '^    \* ' lint.log | grep -v 'Specify a conda environment or container'; then cat lint.log >&2; exit 1; fi
grep -q 'Lints for rule\|Congratulations' lint.log || { cat lint.log >&2; exit 1; }
run --cores 2 --retries 1 >run.log 2>&1 || { cat run.log logs/*.log logs/*/*.log >&2; exit 1; }
[ "$(ls -d tried-* | wc -l)" -eq 2 ] || { echo 'no job was killed' >&2; exit 1; }
"$root/tests/clusters/readme_table.sh" verdicts/metagenome
[ -s verdicts/contigs/sequences.tsv ]
"$virpack" embed examples/proteins.fasta --model examples/esm2_tiny --device cpu -o whole.npy --quiet
cmp proteins.npy whole.npy
# Nothing is left to do.
run --cores 2 >again.log 2>&1
grep -q 'Nothing to be done' again.log || { cat again.log >&2; exit 1; }
echo "Snakemake's jobs made README's table and the file of one run, each job of parts killed once"
