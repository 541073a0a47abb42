"""How close does the client for endpoints come to what an endpoint can do, and does it stay small?

python benchmarks/api_client.py
python benchmarks/api_client.py --sweep 1024 4096 16384 --service-s 60 --rounds 6

A local endpoint (tests/faulty_endpoint.py in a process of its own) answers after a fixed time and has 512
slots; another has 100 and refuses more, which `--concurrency auto` has to find out; then come answers of
30,000 characters, streamed and not, and 100,000 short requests, which show what one costs and whether memory
or that cost grows. `--sweep` measures these numbers in flight alone. Each share of the endpoint's limit
stands beside that of a bare client, which only sends and receives; steady is what is between the first
round of answers and the last. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from util.engines.openai_api import OpenAIEngine  # noqa: E402
from util.records import Completion, Request  # noqa: E402


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The flags."""
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
    parser.add_argument("--long", type=int, default=1024, help="long answers that are under way at once")
    parser.add_argument("--chars", type=int, default=30_000, help="characters of a long answer")
    parser.add_argument(
        "--sweep", type=int, nargs="+", metavar="N", help="measure only these numbers in flight"
    )
    return parser.parse_args(argv)


def main() -> None:
    args = parse()
    logging.basicConfig(format="%(message)s")
    if args.sweep:
        sweep = [measure_share_of_limit(args.service_s, slots, args.rounds) for slots in args.sweep]
        print(json.dumps({"sweep": sweep}))
        return
    full = measure_share_of_limit(args.service_s, args.slots, args.rounds)
    found = measure_finding_out(args.found_slots, args.find_s, args.found_s)
    long = [measure_long(args.service_s, args.long, args.chars, stream) for stream in ("never", "always")]
    short = measure_growth(args.requests)
    print(json.dumps({"full": full, "found_out": found, "long": long, "short": short}))


def measure_share_of_limit(service_s: float, slots: int, rounds: int) -> dict:
    """The endpoint's limit is `slots` answers per `service_s`: which share of it does the client get?"""
    count, moments = slots * rounds, []
    with endpoint("--service-s", str(service_s), "--slots", str(slots)) as url:
        engine = OpenAIEngine(model="test-model", api_base=(url,), concurrency=slots)
        warm_up(engine)
        started, cpu = time.monotonic(), time.process_time()
        for _ in answers(engine, count):
            moments.append(time.monotonic() - started)
        cpu_s = time.process_time() - cpu
        engine.close()
        most_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        bare = asyncio.run(bare_moments(url, slots, rounds))
    return {
        "in_flight": slots,
        "requests": count,
        "share_of_limit": shares(moments, service_s, slots, rounds),
        "share_of_bare_client": shares(bare, service_s, slots, rounds),
        "cpu_ms_per_request": round(1000 * cpu_s / count, 3),
        "most_rss_mb": most_rss_mb,
    }


def shares(moments: list[float], service_s: float, slots: int, rounds: int) -> dict:
    """Which share of an endpoint's limit these moments of answers show, on the whole and without its ends."""
    steady_s = moments[(rounds - 1) * slots - 1] - moments[slots - 1]
    return {
        "whole": round(rounds * service_s / moments[-1], 4),
        "steady": round((rounds - 2) * service_s / steady_s, 4) if rounds > 2 else None,
    }


async def bare_moments(url: str, slots: int, rounds: int) -> list[float]:
    """When a client that does nothing but send and receive has its answers, over as many connections."""
    loop, address, moments = asyncio.get_running_loop(), urlsplit(url), []
    body = json.dumps({"model": "test-model", "messages": [{"role": "user", "content": "question"}]})
    head = f"POST {address.path}/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    ended, opening = asyncio.Event(), asyncio.Semaphore(64)
    started = time.monotonic()

    class Bare(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport, self.left = transport, rounds
            self.transport.write((head + body).encode())

        def data_received(self, _: bytes) -> None:  # an answer is so short that it comes at once
            moments.append(time.monotonic() - started)
            self.left -= 1
            if self.left:
                self.transport.write((head + body).encode())
                return
            self.transport.close()
            if len(moments) == slots * rounds:
                ended.set()

    async def connect() -> None:
        async with opening:
            await loop.create_connection(Bare, address.hostname, address.port)

    await asyncio.gather(*(connect() for _ in range(slots)))
    await ended.wait()
    return moments


def measure_long(service_s: float, in_flight: int, chars: int, stream: str) -> dict:
    """What long answers cost that come all at once; streamed ones have an event for each five characters."""
    before_mb, most_mb = _rss_mb(), 0
    with endpoint("--service-s", str(service_s), "--chars", str(chars)) as url:
        engine = OpenAIEngine(model="test-model", api_base=(url,), concurrency=in_flight, stream=stream)
        warm_up(engine, " word" * (chars // 5))
        cpu = time.process_time()
        for done, _ in enumerate(answers(engine, in_flight, " word" * (chars // 5))):
            most_mb = max(most_mb, _rss_mb() if done % 10 == 0 else 0)
        cpu_s = time.process_time() - cpu
        engine.close()
    return {
        "in_flight": in_flight,
        "stream": stream,
        "cpu_ms_per_answer": round(1000 * cpu_s / in_flight, 2),
        "cpu_us_per_event": round(1e6 * cpu_s / in_flight / (chars / 5), 2) if stream == "always" else None,
        "rss_kb_per_answer": round(1024 * (most_mb - before_mb) / in_flight),
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


def answers(engine: OpenAIEngine, count: int, fill: str = "") -> Iterator[Completion]:
    """All answers, each checked to be the one to its request."""
    for request, outcome in engine.generate(requests(count)):
        if (
            not isinstance(outcome, Completion)
            or outcome.text != f"answer to {request.messages[-1]['content']}{fill}"
        ):
            raise SystemExit(f"request {request.problem_id} ended as {outcome}")
        yield outcome


def requests(count: int) -> Iterator[Request]:
    """Short requests, all different."""
    for number in range(count):
        messages = [{"role": "user", "content": f"question {number}"}]
        yield Request(str(number), messages, 0.7, 0, number, 100_000)


def warm_up(engine: OpenAIEngine, fill: str = "") -> None:
    """Have everything imported and the endpoint probed before the clock runs."""
    for _ in answers(engine, 1, fill):
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
