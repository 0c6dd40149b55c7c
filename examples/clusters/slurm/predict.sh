#!/bin/bash
# Verdicts on many samples on a Slurm cluster: an array with a job for each, of which JOBS run at once.
#   examples/clusters/slurm/predict.sh OUTPUT JOBS SAMPLE...
# OUTPUT/NAME/ gets the tables of SAMPLE, NAME being the file's name up to its first dot.
set -euo pipefail
output=$1 jobs=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$output"
for sample in "$@"; do
    name=${sample##*/}
    printf '%s\t%s\n' "${name%%.*}" "$(realpath "$sample")"
done >"$output/samples.tsv"
twice=$(cut -f 1 "$output/samples.tsv" | sort | uniq -d)
[ -z "$twice" ] || { echo "two samples are called $twice: their tables would be in one directory" >&2; exit 1; }
sbatch --array="1-$#%$jobs" "$here/predict.sbatch" "$output"
