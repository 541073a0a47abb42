"""How close does the client for endpoints come to what an endpoint can do, and does it stay small?

python benchmarks/api_client.py

A local endpoint (tests/faulty_endpoint.py in a process of its own) answers after a fixed time and has 512
slots; another has 100 and refuses more, which `--concurrency auto` has to find out; then 100,000 short
requests show what one costs and whether memory or that cost grows. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from util.engines.openai_api import OpenAIEngine  # noqa: E402
from util.records import Completion, Request  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the client for endpoints against a local endpoint")
    parser.add_argument(
        "--service-s", type=float, default=4.0, help="seconds that the endpoint takes per answer"
    )
    parser.add_argument("--slots", type=int, default=512, help="answers that the endpoint works on at once")
    parser.add_argument("--rounds", type=int, default=10, help="requests per slot")
    parser.add_argument("--found-slots", type=int, default=100, help="slots that are to be found out")
    parser.add_argument("--find-s", type=float, default=20.0, help="seconds to find them out")
    parser.add_argument("--found-s", type=float, default=60.0, help="seconds to measure after that")
    parser.add_argument("--requests", type=int, default=100_000, help="short requests for the second part")
    args = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    full = measure_share_of_limit(args.service_s, args.slots, args.rounds, concurrency=args.slots)
    found = measure_finding_out(args.found_slots, args.find_s, args.found_s)
    short = measure_growth(args.requests)
    print(json.dumps({"full": full, "found_out": found, "short": short}))


def measure_share_of_limit(service_s: float, slots: int, rounds: int, *, concurrency: int | None) -> dict:
    """The endpoint's limit is `slots` answers per `service_s`: which share of it does the client get?"""
    count = slots * rounds
    with endpoint("--service-s", str(service_s), "--slots", str(slots)) as url:
        engine = OpenAIEngine(model="test-model", api_base=(url,), concurrency=concurrency)
        warm_up(engine)
        started, cpu = time.monotonic(), time.process_time()
        for _ in answers(engine, count):
            pass
        wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
        engine.close()
    return {
        "requests": count,
        "wall_s": round(wall_s, 2),
        "limit_s": rounds * service_s,
        "share_of_limit": round(rounds * service_s / wall_s, 4),
        "cpu_ms_per_request": round(1000 * cpu_s / count, 3),
        "most_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def measure_finding_out(slots: int, find_s: float, seconds: float) -> dict:
    """Which share of an endpoint's slots is used once they were found out, and how often does it refuse?"""
    counts: list[int] = []
    with endpoint("--service-s", "1", "--slots", str(slots), counts=counts) as url:
        engine = OpenAIEngine(model="test-model", api_base=(url,), concurrency=None)
        warm_up(engine)
        done, started = 0, time.monotonic()
        endless = iter(answers(engine, sys.maxsize))
        for _ in endless:
            now = time.monotonic() - started
            done += now >= find_s
            if now >= find_s + seconds:
                break
        endless.close()
        engine.close()
    return {
        "slots": slots,
        "share_of_slots": round(done / (slots * seconds), 4),
        "refused": counts[0],
        "in_seconds": find_s + seconds,
    }


def measure_growth(count: int) -> dict:
    """What a short request costs in each tenth of a long run, and how much memory the run takes."""
    tenths, rss_mb = [], []
    with endpoint("--service-s", "0.05") as url:
        engine = OpenAIEngine(model="test-model", api_base=(url,), concurrency=128)
        warm_up(engine)
        started = cpu = time.process_time()
        for done, _ in enumerate(answers(engine, count), 1):
            if done % (count // 10) == 0:
                now = time.process_time()
                tenths.append(round(1000 * (now - cpu) / (count // 10), 3))
                rss_mb.append(_rss_mb())
                cpu = now
        engine.close()
    return {
        "requests": count,
        "cpu_ms_per_request": round(1000 * (cpu - started) / count, 3),
        "cpu_ms_per_request_by_tenth": tenths,
        "rss_mb_by_tenth": rss_mb,
        "most_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def answers(engine: OpenAIEngine, count: int) -> Iterator[Completion]:
    """All answers, each checked to be the one to its request."""
    for request, outcome in engine.generate(requests(count)):
        if (
            not isinstance(outcome, Completion)
            or outcome.text != f"answer to {request.messages[-1]['content']}"
        ):
            raise SystemExit(f"request {request.problem_id} ended as {outcome}")
        yield outcome


def requests(count: int) -> Iterator[Request]:
    """Short requests, all different."""
    for number in range(count):
        messages = [{"role": "user", "content": f"question {number}"}]
        yield Request(str(number), messages, 0.7, 0, number, 100)


def warm_up(engine: OpenAIEngine) -> None:
    """Have everything imported and the endpoint probed before the clock runs."""
    for _ in answers(engine, 1):
        pass


@contextmanager
def endpoint(*flags: str, counts: list[int] | None = None) -> Iterator[str]:
    """A local endpoint in a process of its own; gives its address, and puts into `counts` what it refused."""
    command = [sys.executable, str(ROOT / "tests" / "faulty_endpoint.py"), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            happened = json.loads(process.stdout.readline())
            if counts is not None:
                counts.append(happened.get("refused", 0))


def _rss_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 2**20


if __name__ == "__main__":
    main()
