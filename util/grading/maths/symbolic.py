"""What does a symbolic engine say of two answers that the first tiers cannot decide?

Call `same`; `use` switches the engine on or off for the process.

math-verify (on sympy and latex2sympy2_extended) runs in one long-lived child process with a memory limit. A
comparison may use so much CPU time of the child, and no less on a busy machine; one that needs more costs the
child its life, and the next one starts a new child. Nothing here is imported or started before the first
question, which waits for the start: of 982 short answers of the development set none needs the engine.

The child is a plain program at the other end of a pipe: unlike the process pools it never imports the main
module of its parent again, so a script without `if __name__ == "__main__"`, a notebook or `python - < file`
can grade too, and a question costs a tenth of a millisecond on top of the engine's own time.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import threading
import time
from typing import Any

from util.grading.maths.tokens import LETTERS

CPU_S = 1.5  # of the child for one comparison
WALL_S = 20.0  # the far end of one comparison, with all waits before it
START_S = 20.0  # of wall time on top, for a start: it imports sympy (3 s of CPU time)
LOOK_S = 0.1  # how often the CPU time of a child at work is read; looks are counted, as Ctrl-Z stops no clock
MEMORY_BYTES = 2 << 30
MOST_CHARS = 300  # of one answer; longer ones are not worth the engine's time
QUESTIONS_PER_CHILD = 2000  # sympy's caches grow

_READY, _YES, _NO, _FAILED = b"ready", b"yes", b"no", b"failed"


class Busy(RuntimeError):
    """The engine had no time on this machine: a later grading of the same answer may find some."""


class Unanswered(RuntimeError):
    """The engine has no answer, and would have none another time."""


def enabled() -> bool:
    """Whether this process asks the engine when a caller does not say."""
    return _engine.enabled


def use(enabled: bool) -> None:
    """Switch the engine on or off for this process (`--no-symbolic`)."""
    _engine.enabled = enabled


def same(gold: str, prediction: str) -> bool:
    """Whether the engine finds two answers equal.

    Raises Unanswered where it fails, needs too much CPU time or is not installed, and Busy where this machine
    gave it none.
    """
    if max(len(gold), len(prediction)) > MOST_CHARS:
        raise Unanswered(f"it reads answers of up to {MOST_CHARS} characters")
    names = [text.partition("=")[0].strip(" $") for text in (gold, prediction) if "=" in text]
    if len(names) == 2 and names[0] != names[1]:
        raise Unanswered("it compares right sides alone")
    for text in (gold, prediction):
        if unknown := _not_understood(text):
            raise Unanswered(f"it is not known to read {unknown}")
    return _engine.ask(gold, prediction)


# Of any other command the engine may read a part or a product: divergence and curl are one to it.
_READ = (LETTERS - {"partial"}) | frozenset(
    (
        "frac dfrac tfrac sqrt int lim sum prod infty to rightarrow left right cdot times div sin cos tan"
        " cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp binom cup cap setminus in emptyset"
        " mathbb le leq ge geq lt gt ne neq pm quad qquad displaystyle limits mathrm text begin end pmatrix"
        " bmatrix vmatrix matrix ldots dots cdots lfloor rfloor lceil rceil circ min max big Big bigl bigr"
        " Bigl Bigr mid boxed"
    ).split()
)
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_APPLIED = re.compile(
    r"(?<![a-zA-Z\\])[a-zA-Z](?:_\w)?'*\s*\(\s*\\?[a-zA-Z]\s*[,)]"
)  # f(x), for it a product
_DIFFERENTIAL = re.compile(r"(?<![a-zA-Z\\])d\s*\\?[a-zA-Z]|\\mathrm\s*\{\s*d\s*\}")
_INDEX = re.compile(r"_(?:\{[^{}]*\}|\w)")
_BOUNDS = re.compile(r"\\(?:sum|prod|lim)(?:\\limits)?\s*_\s*\{[^{}]*\}")
_RUNNING = re.compile(r"\\(?:sum|prod|lim)(?:\\limits)?\s*_\s*\{\s*([a-zA-Z])\b")
_LIMIT = re.compile(r"\\lim(?:\\limits)?\s*_\s*\{\s*(\\?[a-zA-Z]+)\s*\\(?:to|rightarrow)\b")


def _not_understood(text: str) -> str:
    """What stands in an answer that the engine would read as something else; "" where there is nothing."""
    for name in _COMMAND.findall(text):
        if name not in _READ:
            return f"\\{name}"
    if "!!" in text:
        return "!!"
    if (r"\int" in text or r"\lim" in text or r"\sum" in text) and (applied := _APPLIED.search(text)):
        return applied.group()
    if text.count(r"\int") > len(_DIFFERENTIAL.findall(text)):
        return "an integral without its differential"
    for name in _RUNNING.findall(text):
        if re.search(rf"_(?:\{{[^{{}}]*{name}[^{{}}]*\}}|{name})", _BOUNDS.sub("", text)):
            return f"terms with the index {name}"
    rest = _INDEX.sub("", text)
    for name in _LIMIT.findall(text):
        if not re.search(rf"(?<![a-zA-Z\\]){re.escape(name)}(?![a-zA-Z])", rest):
            return f"a limit of what does not hold {name}"
    return ""


def close() -> None:
    """End the child process; the next question starts another."""
    with _engine.lock:
        _engine.stop()


class _EngineChild:
    """The child process of this process, started at the first question."""

    def __init__(self) -> None:
        self.enabled = True
        self.lock = threading.Lock()
        self.owner = 0  # the process that started the child: one forked later may not use it
        self.child: Any = None
        self.pipe: Any = None
        self.ready = False  # whether the child has said so
        self.asked = 0
        self.missing = False

    def ask(self, gold: str, prediction: str) -> bool:
        if not self.lock.acquire(timeout=WALL_S):
            raise Busy("it is at work for another thread")
        try:
            if self.owner != os.getpid():
                self.child, self.owner = None, os.getpid()
            if self.child is None and not self.missing:
                self.missing = not _installed()
                if not self.missing:
                    self.start()
            if self.missing or not self.wait_for_start():  # `start` may have given up
                raise Unanswered("it is not installed")
            return self.answer(gold, prediction)
        finally:
            self.lock.release()

    def answer(self, gold: str, prediction: str) -> bool:
        question = f"{gold}\0{prediction}".encode("utf-8", "replace")
        try:
            before = self.cpu_s()
            self.pipe.send_bytes(question)
            looks = 0
            while not self.pipe.poll(LOOK_S):
                looks += 1
                if self.cpu_s() - before > CPU_S:
                    self.start()  # in place of the one that takes too long
                    raise Unanswered(f"it needs more than {CPU_S:g} s of CPU time")
                if looks * LOOK_S > WALL_S:
                    self.start()
                    raise Busy(f"{CPU_S:g} s of CPU time did not pass within {WALL_S:g} s")
            said = self.pipe.recv_bytes()
        except (EOFError, OSError):
            self.start()
            raise Unanswered("it met its memory limit or a fault of its own") from None
        self.asked += 1
        if self.asked >= QUESTIONS_PER_CHILD:
            self.start()
        if said == _FAILED:
            raise Unanswered("it cannot read or compare them")
        return said == _YES

    def cpu_s(self) -> float:
        """Seconds of CPU time that the child has used; wall time where the system does not tell."""
        try:
            with open(f"/proc/{self.child.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return time.monotonic()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def start(self) -> None:
        """Start a child, and end the one before."""
        import subprocess
        from multiprocessing import Pipe
        from pathlib import Path

        if self.child is None:
            atexit.register(self.stop)
        self.stop()
        ours, theirs = Pipe()
        root = str(Path(__file__).resolve().parents[3])
        path = [root, *(entry or os.getcwd() for entry in sys.path)]
        program = (
            f"import sys; sys.path[:] = {path!r}; from util.grading.maths.symbolic import serve;"
            f" serve({theirs.fileno()}, {os.getpid()})"
        )
        command = [sys.executable, "-c", program]
        try:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        except OSError as error:
            self.give_up(str(error))
            return
        theirs.close()
        self.pipe, self.ready, self.asked = ours, False, 0

    def wait_for_start(self) -> bool:
        """Whether a child runs; False, for good, where none can. Raises Busy where it takes longer."""
        if self.ready:
            return True
        try:
            if not any(self.pipe.poll(LOOK_S) for _ in range(round(START_S / LOOK_S))):
                raise Busy("it is still starting")
            said = self.pipe.recv_bytes()
        except (EOFError, OSError):
            said = b"it ended at once"
        self.ready = said == _READY
        if not self.ready:
            self.give_up(said.decode("utf-8", "replace"))
        return self.ready

    def give_up(self, why: str) -> None:
        from util.terminal import say  # a grader that never gives up is imported faster without

        say(f"grading continues without the symbolic engine, which does not start: {why}")
        self.missing = True
        self.stop()

    def stop(self) -> None:
        if self.child is not None and self.owner == os.getpid():
            self.pipe.close()
            self.child.kill()
            self.child.wait()
        self.child = None


_engine = _EngineChild()


def _installed() -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("math_verify", "sympy"))


# ---------------------------------------------------------------- in the child


def serve(descriptor: int, parent: int) -> None:
    """Answer questions until the parent closes its end; with bounded memory, quiet, and never after it."""
    import logging
    import resource
    import signal
    from multiprocessing.connection import Connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.dup2(2, 1)  # what the engine prints is no verdict
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(3000)
    pipe = Connection(descriptor)
    try:
        import math_verify  # noqa: F401
    except (ImportError, MemoryError) as error:
        pipe.send_bytes(f"{type(error).__name__}: {error}".encode())
        return
    _warm_up()
    pipe.send_bytes(_READY)
    while (question := _next(pipe)) is not None:
        pipe.send_bytes(_answer(*question.split("\0", 1)))


def _next(pipe: Any) -> str | None:
    try:
        return pipe.recv_bytes().decode("utf-8", "replace")
    except (EOFError, OSError):
        return None


def _warm_up() -> None:
    """The first parse of each construction is many times slower than the next."""
    _answer(r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}")
    _answer(r"\int_0^1 x^2 \, dx + \lim_{x \to 0} x", r"\frac{1}{3}")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _answer(gold: str, prediction: str) -> bytes:
    try:
        return _YES if _compare(gold, prediction) else _NO
    except (ArithmeticError, MemoryError, RecursionError, TypeError, ValueError):
        return _FAILED
    except (AttributeError, LookupError, NotImplementedError, AssertionError, SyntaxError):
        return _FAILED  # sympy met something that it has no answer for


def _compare(gold: str, prediction: str) -> bool:
    """math-verify with its own alarms off, since the child itself can be killed."""
    from math_verify import LatexExtractionConfig, parse, verify

    configuration = [LatexExtractionConfig()]
    left, right = (
        parse(
            text if "$" in text or "\\(" in text else f"${text}$",
            extraction_config=configuration,
            fallback_mode="no_fallback",
            parsing_timeout=None,
        )
        for text in (gold, prediction)
    )
    if not left or not right:
        raise ValueError("unread")
    return bool(verify(left, right, timeout_seconds=None))
