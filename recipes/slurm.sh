#!/usr/bin/env bash
# One command over the nodes of a Slurm job: a Ray head on the first node, a Ray node on each other one, then the
# command on the first. Submit it from the suite's folder:
#
#   sbatch --nodes 4 --gpus-per-node 8 --time 1-0 recipes/slurm.sh inference_and_check.py --dataset NUMINA \
#       --model Qwen/QwQ-32B-Preview --tp 4 --replicas 8 --max-tokens 16384 --result-dir results
#
# In an array, without Ray: each task is a job of its own with one node, and all work on one run (--shard auto):
#
#   sbatch --array 1-8 --gpus-per-node 8 --time 1-0 recipes/slurm.sh inference_and_check.py --dataset NUMINA \
#       --model Qwen/QwQ-32B-Preview --tp 4 --dp 2 --max-tokens 16384 --result-dir results
#
# Results must lie on a disk that the first node, or every task, can write. The command begins no request that would
# not end within the time limit, and three minutes before it stops; everything is kept, and the job is queued again,
# as after a preemption. The same command then resumes. `scancel` ends it for good. Environment: PYTHON (the same
# path on all nodes), RAY_PORT.
#SBATCH --job-name=distillery
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: sbatch --nodes N recipes/slurm.sh SCRIPT.py FLAGS..." >&2; exit 2; }
cd "${SLURM_SUBMIT_DIR:?submit this script with sbatch}"
[ -f "$1" ] || { echo "no $1 in $PWD: submit from the folder of the suite" >&2; exit 2; }
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ] && [ "${1##*/}" != inference_and_check.py ]; then
    echo "the tasks of an array share one run of inference_and_check.py: submit $1 without --array" >&2
    exit 2
fi
python=$(command -v "${PYTHON:-python}")
started=()
again=
ended=
command_process=
stop() {
    trap '' TERM INT USR1
    kill "${started[@]}" 2>/dev/null || true
    wait || true
    if [ -n "$again" ]; then scontrol requeue "$SLURM_JOB_ID"; fi
}
stop_command() { ended=yes; [ -z "$command_process" ] || kill -TERM "$command_process" 2>/dev/null || true; }
trap stop EXIT
trap '[ -n "$ended" ] || again=yes; stop_command' USR1 # not after scancel
trap stop_command TERM INT

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    where=(--shard auto)
else
    ray=$(dirname "$python")/ray
    port=${RAY_PORT:-$((20000 + SLURM_JOB_ID % 10000))}
    mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
    address=${nodes[0]}:$port
    # Only who knows this word may use the cluster: whoever reaches a Ray cluster runs programs on it.
    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
    RAY_AUTH_TOKEN=$("$python" -c 'import secrets; print(secrets.token_hex(32))')

    srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" \
        "$ray" start --head --port "$port" --include-dashboard=false --disable-usage-stats --block &
    started+=($!)
    if [ ${#nodes[@]} -gt 1 ]; then
        "$python" -m util.machines --address "$address" --nodes 1
        others=$(IFS=,; echo "${nodes[*]:1}")
        srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --nodelist="$others" \
            "$ray" start --address "$address" --disable-usage-stats --block &
        started+=($!)
    fi
    "$python" -m util.machines --address "$address" --nodes ${#nodes[@]}
    where=(--engine ray --ray-address "$address")
fi
[ -z "$ended" ] || exit 143 # a signal came before there was a command to end

"$python" "$@" "${where[@]}" &
command_process=$!
status=0
wait "$command_process" || status=$?
# A signal ends the first `wait`; the command then takes a moment to write its summary.
while kill -0 "$command_process" 2>/dev/null; do
    status=0
    wait "$command_process" || status=$?
done
# Status 1 in the second half of the time: what is left would not have ended. Status 2 needs a person.
if [ "$status" -eq 1 ] && [ -n "${SLURM_JOB_END_TIME:-}" ]; then
    left=$((SLURM_JOB_END_TIME - $(date +%s)))
    if [ $((2 * left)) -lt $((SLURM_JOB_END_TIME - ${SLURM_JOB_START_TIME:-$SLURM_JOB_END_TIME})) ]; then again=yes; fi
fi
case $status in 0 | 2) again= ;; esac # it was done before it could stop, or cannot go on by itself
exit "$status"
