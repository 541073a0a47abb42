"""Does our loop, with a write per sample, keep up with one LLM.chat call over all? (goal: at least 0.99)

python benchmarks/generation.py [--rounds 2] [--n 4]

Both ways run the embedded model on the same Warmup prompts with the same seeds and engine arguments, in turn.
Engine steps and the CPU seconds of the engine's process do not depend on what else the machine does; the wall
clock does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tasks import load_task  # noqa: E402
from util import hub  # noqa: E402
from util.engines import EngineOptions, open_engine  # noqa: E402
from util.engines.vllm_local import worker_environment, worker_options  # noqa: E402
from util.pipeline import Job, Plan, generate, write_problems  # noqa: E402
from util.runs import Run  # noqa: E402
from util.sampling import sample_seed  # noqa: E402

OPTIONS = EngineOptions(model="embedded")
MAX_TOKENS, TEMPERATURE = 64, 0.7


def our_loop(n: int) -> dict:
    """The suite's own way: a journal line per sample, grading off."""
    plan = Plan("embedded", (TEMPERATURE,), n, MAX_TOKENS, seed=0)
    task = load_task("Warmup")
    with tempfile.TemporaryDirectory() as folder, Run(Path(folder) / "run", settings={}, made_with={}) as run:
        problems = hub.problems(task, hub.open_rows(task.source))
        asked = write_problems(run, problems, task.prompt, "embedded")
        log = Path(folder) / "engine.log"
        tokens: list[int] = []
        job = Job(run, asked, plan, None)
        with closing(open_engine(EngineOptions(model="embedded", log=log))) as engine:
            began, own_cpu = time.monotonic(), time.process_time()
            for _ in generate([job], engine=engine, on_progress=tokens.append):
                pass
            wall, own_cpu = time.monotonic() - began, time.process_time() - own_cpu
        steps, cpu = re.findall(r"served in (\d+) engine steps and ([\d.]+) s CPU", log.read_text())[-1]
    cpu = float(cpu) + own_cpu
    return {"tokens": sum(tokens), "samples": len(tokens), "steps": int(steps), "cpu": cpu, "wall": wall}


def one_call(n: int) -> dict:
    """LLM.chat over everything, in a process of its own with the same environment."""
    done = subprocess.run(
        [sys.executable, __file__, "--one-call", "--n", str(n)],
        env=worker_environment(OPTIONS, on_cpu=True),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return json.loads(done.stdout.split(b"\n")[-2])


def serve_one_call(n: int) -> None:
    from vllm import LLM, SamplingParams

    task = load_task("Warmup")
    chats, sampling = [], []
    for problem in hub.problems(task, hub.open_rows(task.source)):
        for index in range(n):
            chats.append([{"role": "user", "content": task.prompt(problem, "embedded")}])
            seed = sample_seed(0, problem.id, TEMPERATURE, index)
            sampling.append(SamplingParams(temperature=TEMPERATURE, max_tokens=MAX_TOKENS, seed=seed))
    llm = LLM(**worker_options(OPTIONS, on_cpu=True)["engine_args"])
    steps = 0
    step = llm.llm_engine.step

    def counted():
        nonlocal steps
        steps += 1
        return step()

    llm.llm_engine.step = counted
    began, cpu = time.monotonic(), time.process_time()
    outputs = llm.chat(chats, sampling, use_tqdm=False)
    cpu, wall = time.process_time() - cpu, time.monotonic() - began
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    print(json.dumps({"tokens": tokens, "samples": len(outputs), "steps": steps, "cpu": cpu, "wall": wall}))
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--n", type=int, default=4, help="samples per prompt")
    parser.add_argument("--one-call", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_call:
        serve_one_call(args.n)
    rounds = {"our loop": [], "one LLM.chat": []}
    for _ in range(args.rounds):
        rounds["our loop"].append(our_loop(args.n))
        rounds["one LLM.chat"].append(one_call(args.n))
    middle = {}
    for name, results in rounds.items():
        middle[name] = {
            "tokens a step": statistics.median(r["tokens"] / r["steps"] for r in results),
            "tokens a CPU second": statistics.median(r["tokens"] / r["cpu"] for r in results),
            "tokens a second": statistics.median(r["tokens"] / r["wall"] for r in results),
        }
        print(f"{name:13} {results}")
    for figure, ours in middle["our loop"].items():
        other = middle["one LLM.chat"][figure]
        print(f"{figure:20} ours {ours:8.1f}  LLM.chat {other:8.1f}  ratio {ours / other:.3f}")


if __name__ == "__main__":
    main()
