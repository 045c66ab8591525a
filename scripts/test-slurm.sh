#!/usr/bin/env bash
# Runs the batch script of docs/cluster.md on a Slurm of one node, which is set up here from Debian's packages, as root, and
# taken down again. Compares the merged loss with that of an uncut run. Not part of CI.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

need_packages slurm-wlm munge
cargo build --release --bin lm-infinite
program=$(realpath "${CARGO_TARGET_DIR:-target}/release")
work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# munge: who asks. Its files belong to its own user.
install -d -o munge -g munge -m 0711 "$work/munge"
dd if=/dev/urandom of="$work/munge/key" bs=1024 count=1 status=none
chown munge:munge "$work/munge/key"
chmod 400 "$work/munge/key"
chmod 711 "$work"
runuser -u munge -- munged --foreground --force --socket="$work/munge/socket" --key-file="$work/munge/key" \
  --log-file="$work/munge/log" --pid-file="$work/munge/pid" --seed-file="$work/munge/seed" &
pids+=($!)

host=$(hostname -s)
mkdir "$work/state" "$work/spool" "$work/jobs"
cat > "$work/slurm.conf" << CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
SlurmctldPort=26817
SlurmdPort=26818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf
sleep 1
slurmctld -D &
pids+=($!)
slurmd -D &
pids+=($!)
for _ in $(seq 30); do
  if sinfo --noheader --format=%T 2> /dev/null | grep -qE 'idle|mixed|alloc'; then break; fi
  sleep 1
done
sinfo

cd "$work/jobs"
sed -n '/^```bash$/,/^```$/p' "$OLDPWD/docs/cluster.md" | sed '1d;$d' > array.sh
export PATH=$program:$PATH TOKENS=${TOKENS:-400k}
job=$(sbatch --parsable --export=ALL array.sh)
sbatch --wait --parsable --export=ALL --dependency="afterok:$job" --output=merge.log \
  --wrap 'lm-infinite merge part-* --out whole' > /dev/null
cat merge.log | tail -n 3
lm-infinite perplexity --model tiny-rope --policy lm-infinite --tokens "$TOKENS" --bucket 1M --out uncut > /dev/null
python3 - << 'PY'
import csv

def loss(folder):
    rows = list(csv.DictReader(open(f"{folder}/nll_by_length.csv")))
    return {row["from_token"]: float(row["nll_nats"]) for row in rows if row["nll_nats"]}

merged, uncut = loss("whole"), loss("uncut")
assert merged.keys() == uncut.keys(), "other buckets"
worst = max(abs(merged[at] - uncut[at]) for at in uncut)
print(f"merged and uncut agree to {worst:.1e} nats in {len(uncut)} buckets")
assert worst < 1e-4
PY
