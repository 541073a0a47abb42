"""What does a symbolic engine say of two answers that the first tiers cannot decide?

math-verify (on sympy and latex2sympy2_extended) runs in one long-lived child process with a memory limit. A
comparison that takes too long costs the child its life, and the next one starts a new child. Nothing here is
imported or started before the first question.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import Any

TIMEOUT_S = 0.9  # of one comparison
WAIT_S = 0.98  # for an answer, also while a child is replaced: a grading must not hang
START_S = 8.0  # for the first child: it imports sympy
MEMORY_BYTES = 2 << 30
MAX_CHARS = 300  # of one answer; longer ones are not worth the engine's time
TASKS_PER_CHILD = 2000  # sympy's caches grow


class Busy(RuntimeError):
    """The engine is not ready: a later grading of the same answer may find one."""


def enabled() -> bool:
    """Whether this process asks the engine when a caller does not say."""
    return _engine.enabled


def use(enabled: bool) -> None:
    """Switch the engine on or off for this process (`--no-symbolic`)."""
    _engine.enabled = enabled


def same(gold: str, prediction: str) -> bool | None:
    """Whether the engine finds two answers equal; None where it fails, takes too long or is not installed.

    Raises Busy while it starts, and for a moment after a comparison that took too long.
    """
    if max(len(gold), len(prediction)) > MAX_CHARS:
        return None
    return _engine.ask(gold, prediction)


def close() -> None:
    """End the child process; the next question starts another."""
    _engine.stop()


class _Engine:
    """The child process of this process, started at the first question."""

    def __init__(self) -> None:
        self.enabled = True
        self.lock = threading.Lock()
        self.pool: Any = None
        self.started: Any = None  # done when a child runs
        self.ran = False  # whether any did
        self.missing = False

    def ask(self, gold: str, prediction: str) -> bool | None:
        from concurrent.futures import TimeoutError as FutureTimeout

        if not self.ready():
            return None
        from pebble import ProcessExpired

        future = self.pool.schedule(_compare, args=(gold, prediction), timeout=TIMEOUT_S)
        try:
            return future.result(timeout=WAIT_S)
        except (FutureTimeout, ProcessExpired):
            self.probe()  # a new child is on its way
            return None
        except (ArithmeticError, MemoryError, RecursionError, TypeError, ValueError):
            return None
        except (AttributeError, LookupError, NotImplementedError, AssertionError, SyntaxError):
            return None  # sympy met something that it has no answer for

    def ready(self) -> bool:
        """Start the child if there is none; False where the engine cannot run here."""
        from concurrent.futures import TimeoutError as FutureTimeout

        with self.lock:
            if self.pool is None and not self.missing:
                self.missing = not _installed()
                if not self.missing:
                    self.start()
            if self.missing:
                return False
            from pebble import ProcessExpired

            try:
                self.started.result(timeout=WAIT_S if self.ran else START_S)
                self.ran = True
            except FutureTimeout:
                raise Busy("the symbolic engine is starting") from None
            except (ProcessExpired, ImportError, MemoryError) as error:
                print(
                    f"grading goes on without the symbolic engine, which does not start: {error}",
                    file=sys.stderr,
                )
                self.missing = True
                self.stop()
            return not self.missing

    def start(self) -> None:
        import multiprocessing

        from pebble import ProcessPool

        self.pool = ProcessPool(
            max_workers=1,
            max_tasks=TASKS_PER_CHILD,
            initializer=_prepare,
            initargs=(os.getpid(),),
            context=multiprocessing.get_context("spawn"),
        )
        atexit.register(self.stop)
        self.ran = False
        self.probe()

    def probe(self) -> None:
        """A comparison that is done as soon as a child runs; until then no others are sent."""
        self.started = self.pool.schedule(_compare, args=("1", "1"))

    def stop(self) -> None:
        if self.pool is not None:
            self.pool.stop()
            self.pool.join()
            self.pool = None


_engine = _Engine()


def _installed() -> bool:
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("math_verify", "pebble", "sympy"))


def _prepare(parent: int) -> None:
    """In the child: bound the memory, stay quiet, import what is needed, and end with the parent."""
    import logging
    import resource
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(3000)
    import math_verify  # noqa: F401

    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _warm_up()


def _warm_up() -> None:
    """In the child: the first parse of each construction is many times slower than the next."""
    _compare(r"\sum_{k=1}^{n} k", r"\frac{n(n+1)}{2}")
    _compare(r"\int_0^1 x^2 \, dx + \lim_{x \to 0} x", r"\frac{1}{3}")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _compare(gold: str, prediction: str) -> bool:
    """In the child: math-verify with its own alarms off, since the child itself can be killed."""
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
        return False
    return bool(verify(left, right, timeout_seconds=None))
