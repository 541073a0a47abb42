"""Does our loop, with a write per sample, keep up with vLLM itself?

python benchmarks/generation.py [--rounds 2] [--n 4]        # one LLM.chat call over all (goal: at least 0.99)
python benchmarks/generation.py --ray [--rounds 2] [--n 8]  # two Ray replicas, two processes (at least 0.97)
python benchmarks/generation.py --beside-programs           # with graders of programs, alone (0.85)
python benchmarks/adaptive.py                               # --until-correct, fixed n: tokens (at most 0.6)
python benchmarks/adaptive.py --paper                       # the same: steps (at most 1.1), without a model

Both ways run the embedded model on the same Warmup prompts with the same seeds and engine arguments, in turn.
Engine steps and the CPU seconds of the processes do not depend much on what else the machine does; the wall
clock does. With --ray each replica and each plain process has one thread; the CPU seconds of the cluster's
own processes count too. benchmarks/adaptive.py is the third comparison, about tokens instead of speed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tasks import load_task  # noqa: E402
from util.data import rows as hub_rows  # noqa: E402
from util.engines import open_engine  # noqa: E402
from util.engines.options import EngineOptions  # noqa: E402
from util.engines.ray_models import ModelHost  # noqa: E402
from util.engines.vllm_local import worker_environment, worker_options  # noqa: E402
from util.engines.vllm_worker import SERVED  # noqa: E402
from util.generation.loop import Job, Plan, generate, write_problems  # noqa: E402
from util.generation.rounds import sample_seed  # noqa: E402
from util.grading.code import GRADE_TIMEOUT_S, grade_code  # noqa: E402
from util.grading.code.suites import suite_of  # noqa: E402
from util.grading.pool import GradingPool  # noqa: E402
from util.machines.cores import usable_cores  # noqa: E402
from util.machines.ray_cluster import Cluster, ClusterPlace, Needs, wait_for_nodes  # noqa: E402
from util.machines.replicas import Replicas  # noqa: E402
from util.records import Problem, Request  # noqa: E402
from util.runs.folder import Run  # noqa: E402

OPTIONS = EngineOptions(model="embedded")
MAX_TOKENS, TEMPERATURE = 64, 0.7


def our_loop(n: int) -> dict:
    """The suite's own way: a journal line per sample, grading off."""
    plan = Plan("embedded", (TEMPERATURE,), n, MAX_TOKENS, seed=0)
    task = load_task("Warmup")
    with tempfile.TemporaryDirectory() as folder, Run(Path(folder) / "run", settings={}, made_with={}) as run:
        problems = hub_rows.problems(task, hub_rows.open_rows(task.source))
        asked = write_problems(run, problems, task.prompt, "embedded")
        log = Path(folder) / "engine.log"
        tokens: list[int] = []
        job = Job(run, asked, plan, None)
        with closing(open_engine(EngineOptions(model="embedded", log=log))) as engine:
            began, own_cpu = time.monotonic(), time.process_time()
            for _ in generate([job], engine=engine, on_sample=lambda job, count: tokens.append(count)):
                pass
            wall, own_cpu = time.monotonic() - began, time.process_time() - own_cpu
        steps, cpu = SERVED.findall(log.read_text())[-1]
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


def beside_programs(chat: Callable[[], dict]) -> dict:
    """What `chat` returns while every core grades programs, half of which run until their time is over."""
    tests = json.dumps({"inputs": ["1\n"] * 5, "outputs": ["1\n"] * 5})
    problem = Problem("1", "", suite_of({"input_output": tests}, "apps"))
    programs = iter(range(1_000_000))
    with GradingPool(usable_cores(), partial(grade_code, problem)) as pool:

        def submit() -> None:
            source = "while True: pass" if next(programs) % 2 else "print(input())"
            pool.submit(None, f"```python\n{source}\n```", GRADE_TIMEOUT_S)

        for _ in range(60 * usable_cores()):
            submit()
        pool.completed(block=True)  # graders and sandboxes are up
        found = chat()
        assert pool.pending, "the programs have ended before the engine"
        return found


class ChatProcess:
    """LLM.chat in a process of its own that stays, for many short rounds."""

    def __init__(self, n: int) -> None:
        self._process = _plain_process(n, part=0, environment=worker_environment(OPTIONS, on_cpu=True))
        _wait_until_loaded([self._process])

    def chat(self) -> dict:
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _plain_process(n: int, *, part: int, environment: dict) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, __file__, "--one-call", "--n", str(n), "--part", str(part)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _wait_until_loaded(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        while process.stdout.readline() != b"loaded\n":
            assert process.poll() is None, "vLLM could not start"


def two_plain(n: int) -> dict:
    """LLM.chat over half of everything in each of two processes, at the same time."""
    environment = worker_environment(OPTIONS, on_cpu=True) | {"OMP_NUM_THREADS": "1"}
    processes = [_plain_process(n, part=part, environment=environment) for part in range(2)]
    _wait_until_loaded(processes)
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    results = [json.loads(process.communicate()[0].split(b"\n")[-2]) for process in processes]
    sums = {name: sum(result[name] for result in results) for name in ("tokens", "samples", "steps", "cpu")}
    return sums | {"wall": max(result["wall"] for result in results)}


def two_on_ray(n: int, cluster: RayHead) -> dict:
    """The same requests through two replicas on a Ray cluster with two CPUs."""
    options = EngineOptions(model="embedded", engine="ray", replicas=2, ray_address=cluster.address)
    requests = []
    for problem in hub_rows.problems(load_task("Warmup"), hub_rows.open_rows(load_task("Warmup").source)):
        messages = [{"role": "user", "content": load_task("Warmup").prompt(problem, "embedded")}]
        for index in range(n):
            seed = sample_seed(0, problem.id, TEMPERATURE, index)
            requests.append(Request(problem.id, messages, TEMPERATURE, index, seed, MAX_TOKENS))
    place = ClusterPlace(Cluster(cluster.address), "replica", ModelHost, (options,), Needs(gpus=0, cpus=1))
    with closing(Replicas(place, 2, wait_for_all=True)) as engine:
        began, cpu = time.monotonic(), cluster.cpu_s()
        answers = [answer for _, answer in engine.generate(requests)]
        wall, cpu = time.monotonic() - began, cluster.cpu_s() - cpu
    tokens = sum(answer.completion_tokens for answer in answers)
    return {"tokens": tokens, "samples": len(answers), "cpu": cpu, "wall": wall}


class RayHead:
    """A cluster of this machine alone, with two CPUs."""

    def __enter__(self) -> RayHead:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        command = [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--head",
            f"--port={port}",
            "--block",
        ]
        self._process = subprocess.Popen(
            [*command, "--num-cpus=2", "--num-gpus=0", "--include-dashboard=false", "--disable-usage-stats"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_nodes(self.address, 1, 120)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def cpu_s(self) -> float:
        """CPU seconds so far of this process, the cluster's and all that they started."""
        import psutil

        ours = psutil.Process()
        spent = [process.cpu_times() for process in (ours, *ours.children(recursive=True))]
        return sum(times.user + times.system for times in spent)


def serve_one_call(n: int, part: int | None) -> None:
    from vllm import LLM, SamplingParams

    task = load_task("Warmup")
    chats, sampling = [], []
    for number, problem in enumerate(hub_rows.problems(task, hub_rows.open_rows(task.source))):
        if part is not None and number % 2 != part:
            continue
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
    if part is not None:
        print("loaded", flush=True)
    for _ in sys.stdin if part is not None else [""]:
        began, cpu, steps = time.monotonic(), time.process_time(), 0
        outputs = llm.chat(chats, sampling, use_tqdm=False)
        cpu, wall = time.process_time() - cpu, time.monotonic() - began
        tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        found = {"tokens": tokens, "samples": len(outputs), "steps": steps, "cpu": cpu, "wall": wall}
        print(json.dumps(found), flush=True)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--n", type=int, default=4, help="samples per prompt")
    parser.add_argument("--ray", action="store_true", help="two Ray replicas against two plain processes")
    parser.add_argument("--beside-programs", action="store_true", help="with graders of programs, and alone")
    parser.add_argument("--one-call", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_call:
        serve_one_call(args.n, args.part)
    if args.ray:
        with RayHead() as cluster:
            compare(
                {
                    "two Ray replicas": lambda: two_on_ray(args.n, cluster),
                    "two processes": lambda: two_plain(args.n),
                },
                args.rounds,
            )
    elif args.beside_programs:
        with closing(ChatProcess(args.n)) as engine:
            engine.chat()  # the first one is slower
            ways = {"beside programs": lambda: beside_programs(engine.chat), "alone": engine.chat}
            compare(ways, args.rounds)
            print("load", *os.getloadavg())
    else:
        compare({"our loop": lambda: our_loop(args.n), "one LLM.chat": lambda: one_call(args.n)}, args.rounds)


def compare(ways: dict[str, Callable[[], dict]], rounds: int) -> None:
    """Run each way in turn and print the middle of the rounds, and of each round's ratio."""
    results: dict[str, list[dict]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            results[name].append(run())
            print(f"{name:16} {results[name][-1]}", flush=True)
    (ours, ours_at), (other, other_at) = results.items()
    for figure, amount in (("a step", "steps"), ("a CPU second", "cpu"), ("a second", "wall")):
        if not all(amount in result for result in (*ours_at, *other_at)):
            continue
        rates = [[result["tokens"] / result[amount] for result in at] for at in (ours_at, other_at)]
        ratio = statistics.median(mine / its for mine, its in zip(*rates, strict=True))
        middle = [statistics.median(rate) for rate in rates]
        print(
            f"tokens {figure:13} {ours} {middle[0]:8.1f}  {other} {middle[1]:8.1f}  "
            f"ratio {ratio:.3f} (middle of {rounds} rounds)"
        )


if __name__ == "__main__":
    main()
