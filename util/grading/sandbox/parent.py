"""How does the grader have an untrusted program run, and what does it get back?

Call `warm_sandbox` and give its sandbox a `Program`.
"""

from __future__ import annotations

import compileall
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from util.errors import UserError
from util.grading.sandbox import wire

START_S = 600.0  # on a core that others want, with the lowest priority; it takes 0.2 s of CPU time
ANSWER_SLACK_S = 300.0  # as above, for ending a program and removing what it has left
END_S = 60.0  # likewise, for ending all
CHUNK_BYTES = 1 << 16  # read at a time: more would cost mapping memory
LAYERS = (  # what "full" isolation consists of
    "mount namespace",
    "pid namespace",
    "net namespace",
    "ipc namespace",
    "uts namespace",
    "private root",
    "Landlock",
    "seccomp",
    "limits",
)
# What is loaded before programs are forked; they may import the rest. numpy slows forking, so that programs
# without it are forked elsewhere. What takes most memory comes first: the others use what it leaves free.
_USUAL = (
    "sortedcontainers array cmath dataclasses datetime decimal enum fractions queue statistics struct "
    "bisect collections contextlib copy functools heapq io itertools json math operator os random re string "
    "sys threading time typing"
)
PRELOADED = {"plain": tuple(_USUAL.split()), "numpy": (*_USUAL.split(), "numpy")}
TIERS = ("weak", "no-namespace", "full")


class SandboxError(Exception):
    """The sandbox failed, not the program."""


@dataclass(frozen=True)
class Limits:
    """What one program may use: `time_s` of CPU time for each test, `problem_s` by the clock for all.

    The clock is a far backstop: it ends a test that does nothing for `time_s`, or takes 20 times as long.
    """

    time_s: float = 6.0
    problem_s: float = 1800.0  # for all tests of one problem together, by the clock
    memory_bytes: int = 2 << 30
    output_bytes: int = 16 << 20


@dataclass(frozen=True)
class Program:
    """Source texts, of which the first that compiles is run: as a program, or by calling its `function`."""

    sources: tuple[str, ...]
    function: str | None = None
    is_exact: bool = False  # whether each input names its function, and values keep their kinds


class TestOutcome(NamedTuple):
    """How one test ended. `output`: what was printed, or the encoded result of a call."""

    test: int  # position among the inputs given
    status: str  # one of wire.STATUSES
    output: bytes
    note: str
    code: (
        int  # of "exit": its status, negative for a signal; of "timeout": 1 by the clock, 2 that of all tests
    )
    source: int  # which of the sources was run
    is_first: bool  # the first test that its process ran: nothing can have been left over


@dataclass(frozen=True)
class Isolation:
    """Which layers stand between a program and this machine."""

    layers: tuple[str, ...]
    missing: dict[str, str] = field(default_factory=dict)  # layer -> what the kernel said
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def tier(self) -> str:
        """ "full", "no-namespace" (files, system calls and amounts are limited) or "weak"."""
        if all(layer in self.layers for layer in LAYERS):
            return "full"
        confined = "Landlock" in self.layers or "private root" in self.layers
        return "no-namespace" if confined and "seccomp" in self.layers else "weak"

    def warning(self) -> str | None:
        """One line for people when something is missing."""
        if self.tier == "full":
            return None
        return f"WARNING: programs run with {self.tier} isolation. Missing here: {self.gone()}"

    def gone(self) -> str:
        """The missing layers, each with what the kernel said."""
        return "; ".join(f"{layer} ({said})" for layer, said in self.missing.items())


class Sandbox:
    """A warm process that runs one program at a time; ends with this object, or with its process.

    `kind`, one of PRELOADED, says which modules are loaded already.
    """

    def __init__(self, *, kind: str = "plain", without: Sequence[str] = ()) -> None:
        if sys.platform != "linux":
            raise UserError(f"programs can only be run safely on Linux, and this is {sys.platform}")
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._buffer, self._read = bytearray(), 0  # what has come, and how much of it is done with
        folder = Path(__file__).parent
        # Compiled beforehand where that can be kept: what compiling leaves behind makes forking slower.
        compileall.compile_dir(folder, quiet=2)
        start = f"import sys; sys.path[:1] = [{str(folder)!r}]; import zygote; zygote.main()"
        command = ["-S", "-s", "-B", "-X", "utf8", "-c", start]
        paths = sysconfig.get_paths()
        self._socket, theirs = socket.socketpair()
        settings = {
            "socket": theirs.fileno(),
            "preload": PRELOADED[kind],
            "packages": sorted({paths["purelib"], paths["platlib"]}),
            "without": list(without),
            "command": command,
        }
        # A fixed hash seed: a program that prints a set is judged alike every time.
        environment = {"PYTHONHASHSEED": "0"}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *command, json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        try:
            report = json.loads(self._receive(time.monotonic() + START_S, 1 << 20).body)
        except SandboxError as error:
            raise SandboxError(f"the sandbox does not start: {error}") from error
        self.isolation = Isolation(
            tuple(report["layers"]), report["missing"], report["python"], report["packages"]
        )

    @property
    def process_id(self) -> int:
        """The process whose children are the sandbox."""
        return self._process.pid

    def run(self, program: Program, inputs: Sequence[bytes], limits: Limits) -> Generator[TestOutcome]:
        """Run a program on the inputs one after the other, in one process, until it fails or ends.

        Closing the iterator ends the program.
        """
        with self._lock:
            yield from self._run(program, inputs, limits)

    def _run(self, program: Program, inputs: Sequence[bytes], limits: Limits) -> Generator[TestOutcome]:
        number = next(self._numbers) % (1 << 31)
        prints = program.function is None
        given = () if prints else tuple(inputs)
        asked = (program.function, program.is_exact, program.sources, given, len(inputs))
        request = wire.Request(
            number,
            wire.pack(asked),
            tuple(inputs) if prints else None,
            len(inputs),
            limits.time_s,
            limits.problem_s,
            limits.memory_bytes,
            limits.output_bytes,
        )
        self._send(wire.pack(tuple(request)))
        deadline = time.monotonic() + limits.problem_s + ANSWER_SLACK_S
        most = limits.output_bytes
        test = 0
        is_done = False
        try:
            while True:
                said = self._receive(deadline, most)
                if said.status == wire.DONE:
                    is_done = True
                    if said.number != number:
                        raise SandboxError("an answer to another request")
                    return
                yield TestOutcome(
                    test,
                    wire.STATUSES[said.status],
                    said.body,
                    said.note.decode("utf-8", "replace"),
                    said.number,
                    min(said.source, len(program.sources) - 1),
                    is_first=test == 0 and said.status != wire.LOST,
                )
                test += 1
        except SandboxError:
            is_done = True
            raise
        finally:
            if not is_done:
                self._cancel(number, most)

    def _cancel(self, number: int, most: int) -> None:
        self._send(wire.pack(number))
        deadline = time.monotonic() + ANSWER_SLACK_S
        while self._receive(deadline, most).status != wire.DONE:
            pass

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(START_S)
            self._socket.sendall(data)
        except OSError as error:
            raise self._broken(f"the sandbox does not listen: {error}") from error

    def _receive(self, deadline: float, most: int) -> wire.Frame:
        while True:
            try:
                frame = wire.take_frame(self._buffer, self._read, most)
            except wire.BadMessage as error:
                raise self._broken(f"the sandbox speaks nonsense: {error}") from error
            if frame is not None:
                self._read = frame.end
                return frame
            del self._buffer[: self._read]
            self._read = 0
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self._socket.recv(CHUNK_BYTES)
            except OSError as error:  # also a time-out
                raise self._broken(f"the sandbox does not answer: {error}") from error
            if not data:
                raise self._broken("the sandbox has ended")
            self._buffer += data

    def _broken(self, what: str) -> SandboxError:
        """End the processes; `what` is wrong with them, and the last words that they leave."""
        self._end()
        said, stderr = b"", self._process.stderr
        if stderr is not None and not stderr.closed:
            os.set_blocking(stderr.fileno(), False)  # something that was left over may hold it open
            said = stderr.read() or b""
            stderr.close()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return SandboxError(f"{what}: {lines[-1]}" if lines else what)

    def _end(self) -> None:
        self._socket.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the processes and wait for them."""
        self._end()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@functools.cache
def _warm(process: int) -> dict[str, Sandbox]:
    return {}


def warm_sandbox(kind: str = "plain") -> Sandbox:
    """This process's own sandbox, started at its first use and kept; it ends when the process does."""
    kept = _warm(os.getpid())  # a forked process must not speak over its parent's line
    if kind not in kept:
        kept[kind] = Sandbox(kind=kind)
    return kept[kind]


def discard_sandbox(kind: str = "plain") -> None:
    """End this process's sandbox; the next use starts a fresh one."""
    sandbox = _warm(os.getpid()).pop(kind, None)
    if sandbox is not None:
        sandbox.close()


def isolation() -> Isolation:
    """Which layers work on this machine, found by trying them once."""
    return warm_sandbox().isolation
