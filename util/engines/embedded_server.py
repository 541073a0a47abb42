"""How is the embedded model served as an OpenAI-compatible endpoint on this machine?

python -m util.engines.embedded_server --port 8000

It becomes vLLM's own server, for tests and for trying the steps that need an endpoint; the model's name is
"embedded". The CPU build's `vllm` command looks for itself under another name, so its module is run instead.
"""

from __future__ import annotations

import argparse
import os
import sys

from util.engines.embedded import CONTEXT_TOKENS, child_environment, embedded_model
from util.engines.vllm_local import cpu_dtype

ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",  # the server's other processes need the rest
    "VLLM_NO_USAGE_STATS": "1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, required=True, help="port on the loopback interface")
    parser.add_argument("--api-key", help="key that requests must show; default: none")
    args = parser.parse_args()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(embedded_model()), "--served-model-name", "embedded", "--dtype", cpu_dtype()]
    command += ["--host", "127.0.0.1", "--port", str(args.port), "--max-num-seqs", "8", "--enforce-eager"]
    command += ["--max-model-len", str(CONTEXT_TOKENS), "--max-num-batched-tokens", str(2 * CONTEXT_TOKENS)]
    command += ["--no-enable-chunked-prefill"]
    if args.api_key:
        command += ["--api-key", args.api_key]
    os.execve(sys.executable, command, child_environment() | ENVIRONMENT)


if __name__ == "__main__":
    main()
