#!/usr/bin/env bash
# An experiment on the nodes of one Slurm job, which are a Ray cluster of their own for as long as the job lasts.
#
# Edit    the #SBATCH lines (nodes, time, GPUs). What is run comes from the environment: SPADIT_EXPERIMENT, SPADIT_DATA,
#         SPADIT_STORE, SPADIT_VENV, SPADIT_GPUS; what follows the script's name are further options of the run.
# Data    and store lie on the file system that all nodes share, and so does the folder that you submit from.
# Auth    every process has RAY_AUTH_MODE=token; the token is made for this job, in a file that only you can read.
# Submit  SPADIT_DATA=/shared/data SPADIT_STORE=/shared/results sbatch slurm.sh --dataset my_tissue
# Watch   tail -f spadit-JOBID.log (what Ray says is in spadit-JOBID-ray.log)
#         spadit status --store /shared/results
# Go on   by itself: before the time limit what runs is written to the store, and the job queues again; it does so too
#         when a node fails or the job is preempted. After any other end, submit the same again: what has a record in
#         the store is not computed twice. To stop it early in that way: scancel --batch --signal=USR1 JOBID

#SBATCH --job-name=spadit
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --mem=0
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=spadit-%j.log
# Whole nodes: where a Ray runs already no other is started, and at the end all your Rays on a node are stopped.
#SBATCH --exclusive
# With GPUs: take away one # of the next line, and submit with SPADIT_GPUS=auto.
##SBATCH --gres=gpu:4

set -euo pipefail

experiment=${SPADIT_EXPERIMENT:-quickstart}
data=${SPADIT_DATA:-/shared/data}
store=${SPADIT_STORE:-/shared/results}
gpus=${SPADIT_GPUS:-0}
restarts=${SPADIT_RESTARTS:-20} # at most so often does the job queue again
# shellcheck disable=SC1091
source "${SPADIT_VENV:-/shared/spadit/.venv}/bin/activate"

# Slurm runs this script on the first node, which becomes Ray's head. A node's own name may mean 127.0.1.1 to it, so its
# address is given; where it has several, set SPADIT_HEAD_IP to one that the other nodes reach.
head_ip=${SPADIT_HEAD_IP:-$(hostname -I | cut -d ' ' -f 1)}
export address=$head_ip:${SPADIT_PORT:-6379}

export log=$PWD/spadit-$SLURM_JOB_ID.log job=$PWD/.spadit-job-$SLURM_JOB_ID
rm -rf "$job"
trap 'rm -rf "$job"' EXIT
(
    umask 077
    mkdir "$job"
    python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$job/token"
)
unset RAY_AUTH_TOKEN RAY_ADDRESS # Ray takes the first before the file, the second before the address
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$job/token

export OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0
export RAY_TMPDIR=/tmp/ray-$SLURM_JOB_ID          # logs and sockets, on each node; a socket's path has to be short
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600 # seconds for all nodes to be there; Ray's own 30 are few

on_each_node() {
    (umask 077 && mkdir -p "$RAY_TMPDIR")
    local code=0
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "$SLURM_CPUS_ON_NODE" -- \
        bash -c 'echo $$ > "$job/driver" && exec "$@" >> "$log" 2>&1' driver "$@" || code=$?
    rm -rf "$RAY_TMPDIR"
    return "$code"
}
export -f on_each_node

# SIGINT goes to the driver and to nobody else: it has the workers write what they have, which takes half a minute at
# most. `ray symmetric-run`, given the same signal, kills the driver at once; --signal without "B:" gives it to both.
asked=
stop() {
    asked=yes woken=yes
    kill -INT "$(cat "$job/driver")" 2> /dev/null || kill -TERM "${step:-}" 2> /dev/null || true
}
trap stop USR1

# A task may use all processors of its node. The nodes behind the first notice after a minute that Ray has ended there.
srun --cpu-bind=none --output=spadit-%j-ray.log --open-mode=append bash -c 'on_each_node "$@"' node \
    spadit run "$experiment" --data "$data" --store "$store" --address auto \
    --gpus-per-trial "$gpus" --checkpoint-every 60 "$@" &
step=$!
woken=yes
while [ -n "$woken" ]; do # a signal ends the wait, not the step
    woken= code=0
    wait "$step" || code=$?
done

if [ -n "$asked" ] && [ "$code" -ne 0 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$restarts" ]; then
    scontrol requeue "$SLURM_JOB_ID"
elif [ ! -e "$job/driver" ]; then # `ray symmetric-run` ends with 0 when its `ray start` fails
    echo "Ray did not start on the first node, so nothing was run; see spadit-$SLURM_JOB_ID-ray.log." >&2
    exit 1
fi
exit "$code"
