#!/usr/bin/env bash
# One command over several machines that you reach with ssh: a Ray head here, a Ray node on each other machine, then
# the command here. When it ends, however it ends, so do the nodes.
#
#   bash recipes/ssh_cluster.sh hosts.txt inference_and_check.py --dataset NUMINA --model Qwen/QwQ-32B-Preview \
#       --tp 4 --replicas 8 --max-tokens 16384 --result-dir results
#
# hosts.txt: the other machines, one per line as ssh knows them (user@host, or a name of ~/.ssh/config); they need the same
# Python packages, at PYTHON's path. Results are written here. Ctrl-C keeps everything; the same command resumes.
# Environment: PYTHON, HEAD (this machine's name or address as the others see it), RAY_PORT, SSH (ssh and its flags).
set -euo pipefail

hosts_file=${1:?file of hosts, one per line}
shift
[ $# -gt 0 ] || { echo "usage: bash recipes/ssh_cluster.sh HOSTS SCRIPT.py FLAGS..." >&2; exit 2; }
python=$(command -v "${PYTHON:-python}")
ray=$(dirname "$python")/ray
port=${RAY_PORT:-6379}
address=${HEAD:-$(hostname -f)}:$port
mapfile -t hosts < <(sed 's/#.*//; s/[[:space:]]//g; /^$/d' "$hosts_file")
[ ${#hosts[@]} -gt 0 ] || { echo "$hosts_file names no host; on one machine use --dp" >&2; exit 2; }
# shellcheck disable=SC2206  # several words
ssh=(${SSH:-ssh -o BatchMode=yes})
# Only who knows this word may use the cluster: whoever reaches a Ray cluster runs programs on it.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$("$python" -c 'import secrets; print(secrets.token_hex(32))')

# What runs there first reads the word (on a command line everybody could read it), and lives as long as its standard
# input: it ends with this script even if that is killed.
remote="read -r RAY_AUTH_TOKEN; export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
'$ray' start --address '$address' --disable-usage-stats --block </dev/null & node=\$!
cat >/dev/null; kill \$node; wait \$node"

folder=$(mktemp -d)
started=()
inputs=()
command_process=
stop() {
    trap '' TERM INT
    for input in "${inputs[@]}"; do exec {input}>&-; done
    kill "${started[0]}" 2>/dev/null || true
    wait || true
    rm -rf "$folder"
}
stop_command() { [ -z "$command_process" ] || kill -TERM "$command_process" 2>/dev/null || true; }
trap stop EXIT
trap stop_command TERM INT

"$ray" start --head --port "$port" --include-dashboard=false --disable-usage-stats --block >"$folder/head.log" 2>&1 &
started+=($!)
cd "$(dirname "$0")/.."
"$python" -m util.machines --address "$address" --nodes 1
for host in "${hosts[@]}"; do
    mkfifo "$folder/$host.input"
    "${ssh[@]}" "$host" "$remote" <"$folder/$host.input" >"$folder/$host.log" 2>&1 &
    started+=($!)
    exec {input}>"$folder/$host.input"
    inputs+=("$input")
    echo "$RAY_AUTH_TOKEN" >&"$input"
done
if ! "$python" -m util.machines --address "$address" --nodes $((1 + ${#hosts[@]})); then
    tail -n 3 "$folder"/*.log >&2
    exit 1
fi

"$python" "$@" --engine ray --ray-address "$address" &
command_process=$!
status=0
wait "$command_process" || status=$?
# A signal ends the first `wait`; the command then takes a moment to write its summary.
while kill -0 "$command_process" 2>/dev/null; do
    status=0
    wait "$command_process" || status=$?
done
exit "$status"
