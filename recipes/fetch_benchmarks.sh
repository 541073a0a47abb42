#!/usr/bin/env bash
# The questions of all benchmarks, fetched once, so that exports keep them out without a connection:
#
#   bash recipes/fetch_benchmarks.sh
#
# They go to the cache of the hub's client (HF_HOME, or ~/.cache/huggingface), which can be copied to machines without a
# connection. What is there costs no request, so run it again after a failure. Names as arguments fetch these only.
# GPQADiamond is available on request: ask on its page, then run `hf auth login` or set HF_TOKEN. Environment: PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."

"${PYTHON:-python}" - "$@" <<'END'
import sys

from convert_to_data import TRAINING_POOLS
from tasks import FILES, full_name, load_task
from util.data.rows import open_rows
from util.errors import UserError
from util.terminal import say

lacking = []
for name in sys.argv[1:] or (name for name in FILES if name not in TRAINING_POOLS):
    try:
        rows = open_rows(load_task(full_name(name, what="benchmark")).source)
        for file in rows.files:
            rows.local(file)
        say(f"{name} is here, at {rows.revision}")
    except UserError as error:
        say(f"{name}: {error}")
        lacking.append(name)
if lacking:
    say(f"not fetched: {' '.join(lacking)}; what is fetched stays: run the same command again")
    sys.exit(1)
END
