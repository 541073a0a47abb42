"""Rewards for reinforcement learning: the suite's grader as a function for verl, TRL and verifiers, and as a
small HTTP server.

python rewards.py serve --port 8765
python rewards.py lines

In a trainer, load this file by its path. It imports nothing of the suite, which need not be installed there
and may meet another package called util: the graders run in a process of their own.
"""

from __future__ import annotations

if __name__ == "__main__":
    from util import hold_signals

    hold_signals()

import asyncio
import atexit
import itertools
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sized
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Any, BinaryIO

    from util.grading.reward_service import RewardService
    from util.grading.rewards import Kind

ROOT = Path(__file__).resolve().parent
TIMEOUT_S = 60.0  # for a response, or for all tests of a program
LOOK_S = 5.0  # how often graders that say nothing are looked at
SLACK_S = 240.0  # within which graders are up, beyond the time for a response
AGAIN_S = 60.0  # graders that end without an answer are started again after so long
STOP_S = 5.0  # graders that are asked to end are killed after that
READ_BYTES = 1 << 16
FACTS = ("task", "question", "choices", "finish_reason", "time_limit_s")  # what grading may need besides
TOKEN_VARIABLE = "REWARDS_TOKEN"
TOKEN_CHARS = 16  # fewest of a token

# ---------------------------------------------------------------- what trainers call


def compute_score(
    data_source: Any,
    solution_str: Any,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    undecided: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    workers: int | None = None,
    isolation: str | None = None,
    python: str | None = None,
    **_: Any,
) -> dict[str, Any]:
    """verl's reward: `score` is 1.0, 0.0, or `undecided` where the grader cannot tell.

    `timeout_s` is for a response, or for all tests of a program; `workers` the number of graders (the cores);
    `isolation` the weakest under which programs may run (no-namespace); `python` one that has the suite's
    requirements (the trainer's). Never raises.
    """
    graders = _shared.graders(timeout_s, workers, isolation, python)
    answer = graders.ask(_message(data_source, solution_str, ground_truth, extra_info)).result()
    return _score(answer, undecided)


async def compute_score_async(
    data_source: Any,
    solution_str: Any,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    undecided: float = 0.0,
    timeout_s: float = TIMEOUT_S,
    workers: int | None = None,
    isolation: str | None = None,
    python: str | None = None,
    **_: Any,
) -> dict[str, Any]:
    """`compute_score` for asyncio: other tasks run while a response is graded."""
    graders = _shared.graders(timeout_s, workers, isolation, python)
    message = _message(data_source, solution_str, ground_truth, extra_info)
    answer = await asyncio.wrap_future(graders.ask(message))
    return _score(answer, undecided)


def grpo_reward(
    prompts: Any = None,
    completions: Sequence[Any] = (),
    *,
    undecided: float | None = None,
    max_completion_tokens: int | None = None,
    timeout_s: float = TIMEOUT_S,
    workers: int | None = None,
    isolation: str | None = None,
    python: str | None = None,
    **columns: Any,
) -> list[float | None]:
    """TRL's reward function for rows of the format trl-grpo; None, which TRL leaves out, where undecided.

    A completion of `max_completion_tokens` tokens counts as cut off. Options are given by functools.partial.
    """
    graders = _shared.graders(timeout_s, workers, isolation, python)
    futures = []
    given = [] if completions is None else list(completions)
    for number, completion in enumerate(given):
        row = {name: _cell(column, number, len(given)) for name, column in columns.items()}
        tokens = row.get("completion_ids")
        if max_completion_tokens is not None and isinstance(tokens, Sized):
            row["finish_reason"] = "length" if len(tokens) >= max_completion_tokens else "stop"
        truth = row.get("ground_truth", row.get("answer", row.get("solution")))
        futures.append(graders.ask(_message(row.get("data_source"), completion, truth, row)))
    return [_score(future.result(), undecided)["score"] for future in futures]


def rubric(*, undecided: float = 0.0, **options: Any) -> Any:
    """A rubric of verifiers before 0.4, for rows of the format rl-jsonl (`answer` and `info`)."""
    import verifiers  # type: ignore[import-not-found]

    if not hasattr(verifiers, "Rubric"):
        raise ImportError("verifiers has no rubrics from 0.4 on: await compute_score_async in a @vf.reward")

    async def correct(completion: Any, answer: Any = None, info: Any = None, **_: Any) -> float:
        facts = _as_dict(info)
        found = await compute_score_async(
            facts.get("data_source"), completion, answer, facts, undecided=undecided, **options
        )
        return found["score"]

    return verifiers.Rubric(funcs=[correct], weights=[1.0])


def _cell(column: Any, number: int, count: int) -> Any:
    is_column = isinstance(column, list | tuple) and len(column) == count
    return column[number] if is_column else column


def _as_dict(info: Any) -> dict[str, Any]:
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except (ValueError, RecursionError):
            return {}
    return info if isinstance(info, dict) else {}


def _message(data_source: Any, solution: Any, truth: Any, facts: Any) -> dict[str, Any]:
    """What graders are told of a call; they say what is wrong with it."""
    known = {name: facts.get(name) for name in FACTS} if isinstance(facts, dict) else {}
    told = {"data_source": data_source, "solution": _text_of(solution), "ground_truth": truth, **known}
    return {name: value for name, value in told.items() if value is not None}


def _text_of(solution: Any) -> Any:
    """The text of a solution that may be a list of messages: what the model said last."""
    if isinstance(solution, list) and solution and isinstance(solution[-1], dict):
        content = solution[-1].get("content")
        if isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict)]
            return "".join(part for part in parts if isinstance(part, str))
        return content
    return solution


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no JSON")


def _score(answer: Mapping[str, Any], undecided: float | None) -> dict[str, Any]:
    """An answer in numbers and texts, the same fields for each: verl makes a column of each."""
    correct = answer["correct"]
    return {
        "score": undecided if correct is None else float(correct),
        "acc": float(correct is True),
        "undecided": float(correct is None),
        **{name: str(answer[name]) for name in ("reason", "detail", "extracted", "grader", "suite")},
    }


def _unanswered(why: str) -> dict[str, Any]:
    return {
        "correct": None,
        "reason": "grader_error",
        "detail": why,
        "extracted": "",
        "grader": "",
        "suite": "",
    }


# ---------------------------------------------------------------- the graders, seen from a trainer


class _Process:
    """One process of graders: calls go to its standard input, answers come from its standard output."""

    def __init__(self, command: list[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
        # Not forked: this process may have threads and a GPU.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,  # Ctrl-C is the trainer's business
        )
        self.ended_because = ""
        self.answered = 0
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._numbers = itertools.count()
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._heard = time.monotonic()
        for work in (self._write, self._read):
            threading.Thread(target=work, name="rewards", daemon=True).start()

    def ask(self, message: bytes, *, silent_s: float) -> Future[dict[str, Any]]:
        """The answer to a call, the inside of a JSON object; `silent_s`: see `_read`."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self.ended_because:
                future.set_result(_unanswered(self.ended_because))
                return future
            number = next(self._numbers)
            if not self._waiting:
                self._heard = time.monotonic()
            self._silent_s = silent_s
            self._waiting[number] = future
        self._lines.put(b'{"id": %d%s%s}\n' % (number, b", " if message else b"", message))
        return future

    def end(self, why: str) -> None:
        """Kill it; whoever waits for an answer gets none."""
        with self._lock:
            self.ended_because = self.ended_because or why
        self._process.kill()

    def close(self) -> None:
        """Let it end by itself, and kill it if it does not."""
        self._lines.put(None)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def let_go(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    # -- in threads

    def _write(self) -> None:
        stream = self._process.stdin
        assert stream is not None
        try:
            while (line := self._lines.get()) is not None:
                view = memoryview(line)
                while view:
                    view = view[stream.write(view) :]
        except OSError:  # it has ended, and `_read` sees to that
            return
        finally:
            stream.close()

    def _read(self) -> None:
        """Take answers until it ends; graders that say nothing for `silent_s` while calls wait are killed."""
        stream, heard = self._process.stdout, b""
        assert stream is not None
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        while True:
            if not poll.poll(LOOK_S * 1000):
                if self._waiting and time.monotonic() - self._heard > self._silent_s:
                    self.end(f"the graders were silent for {self._silent_s:g} s")
                continue
            data = os.read(stream.fileno(), READ_BYTES)
            if not data:
                break
            self._heard = time.monotonic()
            *lines, heard = (heard + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        stream.close()
        self._lines.put(None)
        status = self._process.wait()
        with self._lock:
            self.ended_because = self.ended_because or (
                f"the graders ended (exit status {status}), see standard error"
            )
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            _settle(future, _unanswered(self.ended_because))

    def _take(self, answer: dict[str, Any]) -> None:
        self.answered += 1
        with self._lock:
            future = self._waiting.pop(answer.pop("id"), None)
        if future is not None:
            _settle(future, answer)


def _settle(future: Future[dict[str, Any]], answer: dict[str, Any]) -> None:
    if future.set_running_or_notify_cancel():  # False where an asyncio task gave up
        future.set_result(answer)


class _Graders:
    """Graders with one set of options; their process is started by the first call, and again if it dies."""

    def __init__(
        self, timeout_s: float, workers: int | None, isolation: str | None, python: str | None
    ) -> None:
        self._command = [
            python or sys.executable,
            str(ROOT / "rewards.py"),
            *("lines", "--parent", str(os.getpid())),
            *("--timeout-s", str(timeout_s)),
            *(() if workers is None else ("--workers", str(workers))),
            *(() if isolation is None else ("--require-isolation", str(isolation))),
        ]
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._silent_s = SLACK_S
        if isinstance(timeout_s, int | float):
            self._silent_s += 2 * timeout_s  # a program that the clock ended is tried again
        self._started = 0.0
        self._said: Counter[str] = Counter()

    def ask(self, message: dict[str, Any]) -> Future[dict[str, Any]]:
        """The answer to a call; never raises."""
        answer: Future[dict[str, Any]] = Future()
        try:
            line = json.dumps(message, default=_plain).encode()[1:-1]
        except (TypeError, ValueError, RecursionError) as error:
            told = f"the call is no JSON ({type(error).__name__}): give texts, numbers and lists of them"
            answer.set_result(self._told({**_unanswered(told), "reason": "bad_call"}))
            return answer
        self._ask(line, answer, tries=2)
        return answer

    def _ask(self, line: bytes, answer: Future[dict[str, Any]], *, tries: int) -> None:
        process = self._running()
        if isinstance(process, str):
            _settle(answer, self._told(_unanswered(process)))
            return

        def hand_on(found: Future[dict[str, Any]]) -> None:
            if process.ended_because and found.result()["reason"] == "grader_error" and tries > 1:
                self._ask(line, answer, tries=tries - 1)
            else:
                _settle(answer, self._told(found.result()))

        process.ask(line, silent_s=self._silent_s).add_done_callback(hand_on)

    def _running(self) -> _Process | str:
        """The process, or why there is none."""
        with self._lock:
            process, now = self._process, time.monotonic()
            if process is not None and not process.ended_because:
                return process
            if process is not None and not process.answered and now - self._started < AGAIN_S:
                return process.ended_because
            self._started = now
            try:
                self._process = _Process(self._command)
            except (OSError, RuntimeError, ValueError) as error:  # no memory, no threads, the end of all
                return f"the graders cannot be started: {error}"
            return self._process

    def _told(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer; why there is no verdict stands in the log, the first time and then ever more rarely."""
        if answer["correct"] is None:
            self._said[answer["reason"]] += 1
            times = self._said[answer["reason"]]
            if times & (times - 1) == 0:
                told = f"no verdict ({answer['reason']}, {times} so far): {answer['detail']}"
                logging.getLogger("rewards").warning("%s", told.encode("unicode_escape").decode())
        return answer

    def let_go(self) -> None:
        """In a child that was forked: leave the process to the parent."""
        if self._process is not None:
            self._process.let_go()

    def close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()


class _Shared:
    """The graders of this process, by their options. A child that is forked starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._graders: dict[tuple[str, ...], _Graders] = {}
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._close)

    def __reduce__(self) -> tuple[type[_Shared], tuple[()]]:
        """Another process that the functions travel to, such as a worker of Ray, has graders of its own."""
        return _Shared, ()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._inherited, self._graders = self._graders, {}
        for graders in self._inherited.values():
            graders.let_go()

    def graders(self, *options: Any) -> _Graders:
        key = tuple(map(repr, options))
        with self._lock:
            if key not in self._graders:
                self._graders[key] = _Graders(*options)
            return self._graders[key]

    def _close(self) -> None:
        for graders in self._graders.values():
            graders.close()


_shared = _Shared()

# ---------------------------------------------------------------- the command


def parse(argv: Sequence[str]) -> argparse.Namespace:
    from util import cli
    from util.settings import at_least, number_in

    parser = cli.Parser(__doc__ or "")
    modes = parser.add_subparsers(dest="mode", metavar="COMMAND", required=True)
    for name, words in (
        ("serve", "answer calls over HTTP: POST /reward"),
        ("lines", "answer calls on standard input, one JSON object a line, on standard output"),
    ):
        mode = modes.add_parser(name, prog=f"{parser.prog} {name}", help=words, description=f"{words}.")
        mode.add_argument(
            "--workers", type=at_least(1), metavar="N", help="graders at a time; default: one for each core"
        )
        mode.add_argument(
            "--timeout-s",
            type=number_in(1, 3600),
            default=TIMEOUT_S,
            metavar="SECONDS",
            help=f"for a response, or for all tests of a program; beyond it nobody can tell ({TIMEOUT_S:g})",
        )
        cli.add_settings(mode, "require_isolation")
        if name == "lines":
            mode.add_argument(
                "--parent", type=at_least(1), metavar="PID", help="end with this process, however it ends"
            )
            continue
        mode.add_argument(
            "--host",
            default="127.0.0.1",
            metavar="ADDRESS",
            help=f"where to listen (127.0.0.1); any but this machine's own needs a token in {TOKEN_VARIABLE} "
            "or --token-file",
        )
        mode.add_argument(
            "--port", type=at_least(0, 65535), default=8765, metavar="N", help="(8765); 0 takes a free one"
        )
        mode.add_argument(
            "--token-file", type=Path, metavar="FILE", help="file with the token that clients have to send"
        )
        mode.add_argument(
            "--undecided",
            type=_value,
            default=0.0,
            metavar="NUMBER|none",
            help="score where the grader cannot tell, or none (0.0)",
        )
        mode.add_argument(
            "--request-mb", type=at_least(1), default=16, metavar="N", help="most megabytes of a request (16)"
        )
    return parser.parse_args(argv)


def _value(text: str) -> float | None:
    import argparse

    if text == "none":
        return None
    value = float(text)
    if not -1e9 <= value <= 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no score: give a number or none")
    return value


def run(args: argparse.Namespace) -> int:
    from util.grading.reward_service import RewardService, answer_lines, end_with
    from util.machines.cores import usable_cores

    token = _token(args) if args.mode == "serve" else None
    if args.mode == "lines" and args.parent is not None:
        end_with(args.parent)
    with RewardService(
        _kinds(),
        workers=args.workers or usable_cores(),
        timeout_s=args.timeout_s,
        isolation=args.require_isolation,
    ) as service:
        if args.mode == "serve":
            _serve(args, service, token)
        else:
            with _own_streams() as (calls, answers):
                answer_lines(service, calls, answers)
    return 0


def _kinds() -> dict[str, Kind]:
    """How responses are judged: by the grader of a benchmark, under its name and its data set's, or as
    problems of one's own are."""
    from tasks import FAMILIES, FILES, load_task
    from tasks.own import GRADERS
    from util.grading.code import grade_code
    from util.grading.rewards import Kind, kind_of

    kinds = {name: kind_of(grade, is_code=False) for name, grade in GRADERS.items()}
    kinds["code"] = Kind(grade_code, is_code=True)
    for task in map(load_task, (*FILES, *FAMILIES)):
        kind = kind_of(task.grade, is_code=task.is_code)
        kinds[task.name.lower()] = kind
        kinds.setdefault(task.source.path.lower(), kind)
    return kinds


@contextmanager
def _own_streams() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Standard input and output for calls and answers alone: whatever else prints goes to standard error."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    with calls, answers:
        yield calls, answers


def _serve(args: argparse.Namespace, service: RewardService, token: str | None) -> None:
    from util.grading.reward_service import serve_http
    from util.terminal import print_result, say

    def tell(port: int) -> None:
        host = f"[{args.host}]" if ":" in args.host else args.host
        say(f"{service.suite} answers at http://{host}:{port}/reward; Ctrl-C ends it")
        print_result({"address": f"http://{host}:{port}", "suite": service.suite})

    asyncio.run(
        serve_http(
            service,
            host=args.host,
            port=args.port,
            token=token,
            undecided=args.undecided,
            request_bytes=args.request_mb << 20,
            on_listening=tell,
        )
    )


def _token(args: argparse.Namespace) -> str | None:
    """The token that clients have to send; raises UserError where one is needed and none is given."""
    from util.errors import UserError, why
    from util.grading.reward_service import is_loopback

    token, where = os.environ.get(TOKEN_VARIABLE, "").strip(), TOKEN_VARIABLE
    if args.token_file is not None:
        where = f"--token-file {args.token_file}"
        try:
            token = args.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{where} cannot be read ({why(error)}): name a text file with the token"
            ) from error
        if not token:
            raise UserError(f"{where} is empty: write a token into it")
    if token and (len(token) < TOKEN_CHARS or not token.isascii() or not token.isprintable()):
        raise UserError(
            f"the token of {where} will not do: give {TOKEN_CHARS} characters or more, letters and digits"
        )
    if not token and not is_loopback(args.host):
        raise UserError(
            f"--host {args.host} can be reached from other machines: put a token into {TOKEN_VARIABLE} or "
            "--token-file, or listen at 127.0.0.1"
        )
    return token or None


if __name__ == "__main__":
    from util import cli

    cli.main(parse, run)
