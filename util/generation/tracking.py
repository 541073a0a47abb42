"""Which experiment trackers hear how a command gets on, and what it comes to?

Call `check_installed`, then open a `Tracking`. Each tracker is a process of its own that is written to and
never waited for while the command works: it may fail, hang or die, which is one line, and the work goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from util.engines.prices import dollars
from util.errors import UserError
from util.generation.judging import Grading
from util.generation.loop import Outcome
from util.results.headline import OF_ATTEMPTED, Headline
from util.terminal import say

PROJECT = "distillery"
EVERY_S = 10.0  # how often they hear of progress
FINISH_S = 30.0  # how long the end of a command waits for all of them together
LOOK_S = 0.02  # how often it looks
MOST_WAITING = 1 << 20  # bytes that a tracker may be behind; what comes then is left out
SHOWN = 200  # characters of why one failed
KEPT_FROM_THEM = ("OPENAI_API_KEY",)
NOT_SENT = ("system_prompt", "prefill")  # settings that are texts; the hash of the first one is sent


def check_installed(names: Sequence[str]) -> None:
    """Raises UserError for a tracker whose package is not here."""
    for name in names:
        found = find_spec(name)
        if found is None or found.origin is None:  # a mere folder, such as the one that wandb writes to
            raise UserError(
                f"--log {name} needs the package {name}: `pip install -r requirements/log-{name}.txt`, or "
                "leave the flag out"
            )


class Tracking:
    """Tells the trackers of these names; with none it does nothing."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        name: str,
        folder: Path,
        settings: Callable[[], Mapping[str, Any]],
        finish_s: float = FINISH_S,
    ) -> None:
        self._finish_s = finish_s
        self._next = 0.0
        self._trackers = [_Tracker(each, folder / f"{each}.log") for each in dict.fromkeys(names)]
        if not self._trackers:
            return
        known = {key: value for key, value in settings().items() if value is not None and key not in NOT_SENT}
        for tracker in self._trackers:
            begun = {"project": PROJECT, "name": name, "folder": str(folder), "settings": known}
            tracker.send({"tracker": tracker.name, **begun})

    def progress(self, numbers: Callable[[], Mapping[str, float]]) -> None:
        """Tell how the command gets on, unless that was told a moment ago."""
        if not self._trackers or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        self._send({"progress": {**numbers()}})

    def result(self, numbers: Mapping[str, float]) -> None:
        """Tell what the command comes to."""
        self._send({"result": {**numbers}})

    def _send(self, message: dict) -> None:
        for tracker in self._trackers:
            tracker.send(message)

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        """Wait a while for what they have not sent yet; where the command is ending in haste, not at all."""
        end = time.monotonic() + (self._finish_s if kind is None else 0)
        for tracker in self._trackers:
            tracker.close(end, in_haste=kind is not None)


class _Tracker:
    """One tracker's process: what it has not taken yet waits here."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._log = log
        self._log_begins = 0
        self._waiting = bytearray()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes] | None:
        environment = {key: value for key, value in os.environ.items() if key not in KEPT_FROM_THEM}
        program = Path(__file__).with_name("tracker.py")
        try:
            with open(self._log, "ab") as log:
                self._log_begins = log.tell()
                process = subprocess.Popen(
                    [sys.executable, "-P", str(program)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={**environment, "CUDA_VISIBLE_DEVICES": ""},
                    start_new_session=True,  # Ctrl-C is our business
                )
        except OSError as error:
            say(f"WARNING: {self.name} cannot be started ({error.strerror}): nothing is logged there")
            return None
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
        return process

    def send(self, message: dict) -> None:
        """Hand a message over as far as the tracker takes it; never waits."""
        if self._process is None:
            return
        if len(self._waiting) < MOST_WAITING:
            self._waiting += json.dumps(message).encode() + b"\n"
        self._write()

    def close(self, end: float, *, in_haste: bool) -> None:
        """Wait until `end` at the latest and end what hangs then; in haste, leave it alone."""
        while self._waiting and self._process is not None and time.monotonic() < end:
            self._write()
            time.sleep(LOOK_S)
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()  # that is the end of what it hears
        while self._process.poll() is None and time.monotonic() < end:
            time.sleep(LOOK_S)
        if self._process.returncode:
            self._gone()
        elif self._process.returncode is None and not in_haste:
            self._kill()
            say(f"WARNING: {self.name} did not finish in time and was ended: it may lack the end")
        else:
            self._tell_link()

    def _write(self) -> None:
        """Write what fits into the pipe; a tracker that is gone is said once."""
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            while self._waiting:
                del self._waiting[: os.write(process.stdin.fileno(), self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._gone()

    def _gone(self) -> None:
        process = self._process
        assert process is not None
        self._kill()
        why = self._last_line() or f"exit status {process.returncode}"
        say(f"WARNING: {self.name} takes nothing more ({why}; see {self._log}): the run goes on without it")

    def _kill(self) -> None:
        """End it with all that it has started."""
        process, self._process = self._process, None
        assert process is not None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        for stream in filter(None, (process.stdin, process.stdout)):
            stream.close()

    def _tell_link(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        said = self._process.stdout.read()  # None where it is not there yet
        self._process.stdout.close()
        if said and said.strip():
            say(f"{self.name}: {said.decode('utf-8', 'replace').strip()}")

    def _last_line(self) -> str:
        """The end of what it said in its log since it began."""
        try:
            with open(self._log, "rb") as file:
                file.seek(max(self._log_begins, file.seek(0, os.SEEK_END) - 4096))
                lines = file.read().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:SHOWN] for line in reversed(lines) if line.strip()), "")


# --- what is told ---


def progress_of(
    outcomes: Iterable[Outcome],
    *,
    model: str,
    of: int | None,
    gradings: Mapping[str, Grading | None],
    in_batches: bool = False,
) -> dict[str, float]:
    """How requests get on: done samples, tokens a second, spend, and each benchmark's accuracy so far."""
    all_of = [outcome for outcome in outcomes if outcome.generated]
    prompt_tokens = sum(outcome.prompt_tokens for outcome in all_of)
    completion_tokens = sum(outcome.completion_tokens for outcome in all_of)
    found: dict[str, float] = {
        "samples": sum(outcome.generated for outcome in all_of),
        **({"samples_asked": of} if of else {}),
        "failed_requests": sum(outcome.failed for outcome in all_of),
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
    }
    if all_of:
        begun = min(outcome.asked_at for outcome in all_of)
        seconds = max(outcome.asked_at + outcome.seconds for outcome in all_of) - begun
        found |= {"seconds": seconds, "tokens_per_s": completion_tokens / max(seconds, 1e-3)}
    spent = dollars(model, prompt_tokens, completion_tokens, in_batches=in_batches)
    if spent is not None:
        found["dollars"] = spent
    for name, grading in gradings.items():
        if grading is not None and grading.judged:
            found[f"{name}/accuracy_so_far"] = grading.correct / grading.judged
    return found


def result_of(name: str, found_at: Mapping[str, Headline]) -> dict[str, float]:
    """The headline of a benchmark at each temperature, in names that all trackers take."""
    numbers: dict[str, float] = {}
    for temperature, found in found_at.items():
        place = name if len(found_at) == 1 else f"{name}/temperature {temperature}"
        counts = ("samples", "judged", "correct", "undecided", "missing", "truncated", "no_answer")
        said: dict[str, float | None] = {count: getattr(found, count) for count in counts}
        said |= {"completed_accuracy": found.completed_accuracy, "completion_tokens": found.completion_tokens}
        if found.avg is not None:
            said |= {"avg": found.avg.value, "avg_low": found.avg.low, "avg_high": found.avg.high}
        said |= {name: found.by_judge[name] for name in (OF_ATTEMPTED, "F1") if found.by_judge is not None}
        for kind, values in (("pass", found.pass_at), ("maj", found.maj_at)):
            said |= {f"{kind}_at_{k}": value.value for k, value in values.items()}
        for kind, followed in found.rules.items():
            said |= {f"{kind}_strict": followed.strict, f"{kind}_loose": followed.loose}
        numbers |= {f"{place}/{key}": value for key, value in said.items() if value is not None}
    return numbers
