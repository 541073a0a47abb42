#!/usr/bin/env bash
# The chain of recipes/sky_t1.sh in minutes and without a GPU: the embedded model answers Warmup, and an endpoint on
# this machine with the same model rewrites what no rule covers. Such a small model copies nothing faithfully, so
# most rewrites are refused: that is what the check is for.
#
#   bash recipes/pipeline_demo.sh python demo-pipeline
#
# ENDPOINT and ENDPOINT_MODEL name an endpoint that runs already; then none is started.
set -euo pipefail

python=${1:?Python to use}
out=${2:?folder for runs and training set}
flags=${DEMO_FLAGS:-} # further flags for inference_and_check.py
cd "$(dirname "$0")/.."
mkdir -p "$out"

if [ -z "${ENDPOINT:-}" ]; then
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$python" -m util.engines.embedded_server --port "$port" >"$out/endpoint.log" 2>&1 &
    endpoint_process=$!
    trap 'kill $endpoint_process 2>/dev/null || true' EXIT
    ENDPOINT=http://127.0.0.1:$port/v1
    ENDPOINT_MODEL=embedded
    echo "waiting for the endpoint (its messages are in $out/endpoint.log)" >&2
    until "$python" -c "import urllib.request; urllib.request.urlopen('$ENDPOINT/models', timeout=2)" 2>/dev/null; do
        kill -0 $endpoint_process || { echo "the endpoint ended: see $out/endpoint.log" >&2; exit 1; }
        sleep 1
    done
fi

answer=("$python" inference_and_check.py --dataset Warmup --model "${MODEL:-embedded}" --temperatures 0.7 --n 4 --limit 10
    --max-tokens 48 --stop Question: --result-dir "$out/results")
rewrite=("$python" convert_format.py --input_dir "$out/results" --model "openai/$ENDPOINT_MODEL"
    --api-base "$ENDPOINT" --max-tokens 256)

# shellcheck disable=SC2086  # the flags are several words
"${answer[@]}" $flags
"${rewrite[@]}" --dry-run
"${rewrite[@]}"
# shellcheck disable=SC2086
"${answer[@]}" --check $flags
"$python" convert_to_data.py --input_dir "$out/results" --output "$out/train.json" --format llamafactory --seed 1 \
    --include-unformatted --decontaminate none --force --min-solution-words 1
runs=("$out"/results/*_Warmup_*)
# shellcheck disable=SC2086
"$python" response_rewrite.py --SILC --variants whole fcs fcs_plus1 fcs_reflection --dataset "${runs[0]}" \
    --target-model "${MODEL:-embedded}" --result-dir "$out/pairs" ${PAIR_FLAGS:---rewrite-model embedded --max-tokens 128}
echo "training file, card and dataset_info.json are in $out, preference pairs in $out/pairs" >&2
