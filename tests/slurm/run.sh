#!/usr/bin/env bash
# The jobs of examples/clusters/slurm on a Slurm of one node, which this script starts and ends: an array of parts of which one is queued
# again in the middle, the commit that waits for it, and an array of verdicts. Runs as root, without systemd; needs slurmctld, slurmd,
# slurm-client and munge. VIRPACK is the program (target/debug/virpack).
set -euo pipefail
cd "$(dirname "$0")/../.."
VIRPACK=$(realpath "${VIRPACK:-target/debug/virpack}")
# Debian has the daemons in sbin.
export VIRPACK PATH=$PATH:/usr/sbin
out=$(mktemp -d)
daemons=()
finish() {
    local status=$?
    if [ $status -ne 0 ]; then tail -n 20 "$out"/*.log >&2 || true; fi
    scancel --user root 2>/dev/null || true
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm -rf "$out"
}
trap finish EXIT

host=$(hostname -s)
chmod 755 "$out"
mkdir -m 755 "$out/munge" "$out/state" "$out/spool" "$out/jobs"
head -c 1024 /dev/urandom >"$out/munge/key"
chmod 400 "$out/munge/key"
port=$((20000 + RANDOM % 20000))
export SLURM_CONF=$out/slurm.conf
# `cred_expire` is what a job that is queued again waits for, 2 minutes by default. The node has two cards, as far as Slurm knows.
cat >"$SLURM_CONF" <<EOF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$out/munge/socket,cred_expire=5
StateSaveLocation=$out/state
SlurmdSpoolDir=$out/spool
SlurmctldPidFile=$out/slurmctld.pid
SlurmdPidFile=$out/slurmd.pid
SlurmctldLogFile=$out/slurmctld.log
SlurmdLogFile=$out/slurmd.log
SlurmctldPort=$port
SlurmdPort=$((port + 1))
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
MailProg=/bin/true
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
EOF
touch "$out/card0" "$out/card1"
echo "NodeName=$host Name=gpu File=$out/card[0-1]" >"$out/gres.conf"

munged --foreground --force --key-file="$out/munge/key" --socket="$out/munge/socket" --pid-file="$out/munge/pid" \
    --log-file="$out/munged.log" --seed-file="$out/munge/seed" 2>"$out/munged.err.log" &
daemons+=($!)
slurmctld -D -i 2>"$out/slurmctld.err.log" &
daemons+=($!)
slurmd -D 2>"$out/slurmd.err.log" &
daemons+=($!)

# Waits until a command succeeds.
until_it_holds() {
    local seconds=$1
    shift
    for ((i = 0; i < seconds * 5; i++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    echo "not within $seconds s: $*" >&2
    return 1
}
is_idle() { sinfo -h -o %T | grep -q idle; }
has_ended() { [ -z "$(squeue -h -j "$1" -t all -O state:20 2>/dev/null | grep -v -E 'COMPLETED|FAILED|CANCELLED|TIMEOUT')" ]; }
has_part() { ls "$out/plan/_parts/"[0-9]*.json; }
state() { squeue -h -j "$1" -t all -r -o '%T'; }
if ! until_it_holds 60 is_idle; then
    # Where a container forbids what they need, nothing of virpack is at fault.
    echo "SKIPPED: Slurm's daemons do not start on this machine:"
    tail -n 3 "$out"/*.log
    exit 0
fi

# 3,000 proteins.
awk 'BEGIN { srand(7); a = "LAGVSERTIDPKQNFYMHWC"; for (r = 0; r < 3000; r++) { s = ""; n = 50 + int(rand() * 400)
    for (i = 0; i < n; i++) s = s substr(a, 1 + int(rand() * 20), 1); print ">p" r "\n" s } }' >"$out/proteins.fasta"
examples=$PWD/examples
cd "$out/jobs"
"$examples/clusters/slurm/plan.sh" "$out/proteins.fasta" "$out/plan" "$out/joined.npy" '4%2' --model "$examples/esm2_tiny" --part-tokens 20000 \
    >"$out/submitted.log"
commit=$(awk '{print $NF}' "$out/submitted.log")
array=$(squeue -h -t all -n virpack -o %F | head -n 1)
until_it_holds 60 has_part
scontrol requeue "${array}_1"
until_it_holds 180 has_ended "$commit"
[ "$(state "$array" | sort -u)" = COMPLETED ] && [ "$(state "$commit")" = COMPLETED ] || { squeue -t all >&2; tail -n 5 "$out"/jobs/*.log >&2; exit 1; }
scontrol show job "${array}_1" | grep -q 'Restarts=1'
"$VIRPACK" embed "$out/proteins.fasta" --model "$examples/esm2_tiny" --device cpu -o "$out/whole.npy" --quiet
cmp "$out/joined.npy" "$out/whole.npy"
cmp "$out/joined.npy.records.tsv" "$out/whole.npy.records.tsv"

"$examples/clusters/slurm/predict.sh" "$out/verdicts" 2 "$examples/metagenome.fasta" "$examples/contigs.fasta" >"$out/submitted.log"
array=$(awk '{print $NF}' "$out/submitted.log")
until_it_holds 180 has_ended "$array"
[ "$(state "$array" | sort -u)" = COMPLETED ] || { squeue -t all >&2; tail -n 5 "$out"/jobs/*.log >&2; exit 1; }
"$examples/../tests/clusters/readme_table.sh" "$out/verdicts/metagenome"
[ -s "$out/verdicts/contigs/sequences.tsv" ]

# The script of docs/howto/clusters.md, on a node that may have one processor.
cp "$examples/contigs.fasta" .
awk '/^## Slurm/ {on = 1} on && /^```/ {code = !code; if (!code) exit; next} on && code' "$examples/../docs/howto/clusters.md" |
    sed 's/--cpus-per-task=8/--cpus-per-task=1/; s/--mem=16G/--mem=0/' >virpack.sbatch
mkdir -p "$out/bin" && ln -sf "$VIRPACK" "$out/bin/virpack"
job=$(PATH=$out/bin:$PATH sbatch --parsable virpack.sbatch)
until_it_holds 60 has_ended "$job"
[ "$(state "$job")" = COMPLETED ] && [ -s verdicts/sequences.tsv ] || { squeue -t all >&2; tail -n 5 virpack-*.log >&2; exit 1; }
echo "Slurm's jobs made the file of one run, one of them queued again, and README's table"
