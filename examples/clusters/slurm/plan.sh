#!/bin/bash
# One input on a Slurm cluster: a plan, an array of jobs that make its parts, and a commit once all of them have ended.
#   examples/clusters/slurm/plan.sh INPUT PLAN OUTPUT JOBS [OPTION...]
# PLAN is a directory on a disk that all nodes share. JOBS is how many jobs there are, or `80%8`: 80 jobs, of which 8 run at once. The
# options are those of `virpack plan`, such as --model and --part-tokens.
set -euo pipefail
input=$1 plan=$2 output=$3 jobs=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
virpack=${VIRPACK:-virpack}

"$virpack" plan "$input" -o "$plan" "$@"
array=$(sbatch --parsable --array="1-$jobs" "$here/part.sbatch" "$plan" "${jobs%%%*}")
sbatch --dependency="afterok:$array" --kill-on-invalid-dep=yes "$here/commit.sbatch" "$plan" "$output"
