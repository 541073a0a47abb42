"""How is one program run, inside the process that is thrown away afterwards?

Everything here shares its process with the untrusted program, so nothing it reports is believed beyond
"this is what the program put out": inputs come in, outputs go out, and what is right is known elsewhere.
Standard library only.
"""

from __future__ import annotations

import atexit
import builtins
import gc
import os
import sys
import threading
import time
import types

import wire

# How a test ended, as told by the driver; the zygote and the parent add others.
ENDED, RAISED, NO_MEMORY, NOT_COMPILED, TOO_LARGE = "ended", "raised", "memory", "not compiled", "too large"
NOTE_CHARACTERS = 300
LONGEST_WAIT_S, LONGEST_WAIT_BYTES = 0.005, 1 << 15
CALL_RECURSION = 50_000  # LeetCode allows deep recursion; a program of its own sets its limit itself

_PRELUDE = """
import array, bisect, cmath, collections, copy, datetime, decimal, fractions, functools, heapq, io, itertools
import json, math, operator, os, random, re, statistics, string, sys, time, typing
from typing import *
from collections import *
from heapq import *
from bisect import *
from copy import *
from datetime import *
from functools import *
from itertools import *
from math import *
from random import *
from statistics import *
from string import *
from re import *
from json import *
from operator import itemgetter, attrgetter, xor, or_, and_, mul, iand, ior, ixor
from sys import maxsize, setrecursionlimit
from builtins import *
"""


def make_prelude() -> dict:
    """The names that LeetCode gives to every answer, as builtins; `pow` and the like stay what they are.

    As builtins they need not be copied for each answer, and are not taken for something that it defines.
    """
    names: dict = {}
    exec(_PRELUDE, names)  # our own text
    if "numpy" in sys.modules:
        names["np"] = names["numpy"] = sys.modules["numpy"]
    return {**names, **vars(builtins)}


class Told:
    """The line to the zygote. Results of quick calls are sent together; what a crash loses is done again."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._results: list[list] = []
        self._bodies = bytearray()
        self._sent_at = time.monotonic()

    def __call__(
        self,
        test: int,
        status: str,
        note: str = "",
        body: bytes = b"",
        *,
        last: bool = False,
        may_wait: bool = False,
    ) -> None:
        if self._results and len(self._bodies) + len(body) > LONGEST_WAIT_BYTES:
            self._send(test, last=False)
        self._results.append([status, note[:NOTE_CHARACTERS], len(body)])
        self._bodies += body
        if not may_wait or time.monotonic() - self._sent_at >= LONGEST_WAIT_S:
            self._send(test + 1, last=last)

    def _send(self, end: int, *, last: bool) -> None:
        """The kept results, of the tests before `end`."""
        header = [end - len(self._results), self._results, last]
        wire.write_all(self._descriptor, wire.pack(header, self._bodies))
        self._results.clear()
        self._bodies.clear()
        self._sent_at = time.monotonic()

    def wait(self) -> bool:
        """True when the next test is ready."""
        return os.read(self._descriptor, 1) == b"+"


def run(request: dict, sources: list[str], arguments: list[bytes], stdin: str, out: int, told: Told) -> None:
    """Compile the first of `sources` that can be, and run it on all tests; never returns normally."""
    code = _compiled(sources, told)
    if code is not None:
        sys.set_int_max_str_digits(0)
        if request["mode"] == "call":
            _run_calls(code, request, arguments, told)
        else:
            _run_programs(code, request, stdin, out, told)
    os._exit(0)


def _compiled(sources: list[str], told: Told) -> types.CodeType | None:
    first_error = None
    for number, source in enumerate(sources):
        try:
            code = compile(source, "answer.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            first_error = first_error or f"{type(error).__name__}: {error}"
        else:
            if number:  # otherwise the first, as is expected
                told(number, "compiled")
            return code
    told(0, NOT_COMPILED, first_error or "nothing to compile", last=True)
    return None


def _run_programs(code: types.CodeType, request: dict, stdin: str, out: int, told: Told) -> None:
    """Each test is the whole program again: own globals, standard input and output."""
    recursion, stack = sys.getrecursionlimit(), threading.stack_size()
    _connect(stdin, out)
    for test in range(request["tests"]):
        if test:
            if not told.wait():
                return
            sys.setrecursionlimit(recursion)
            threading.stack_size(stack)
            _connect(stdin, out)
            make_streams()
        status, note = _main(code)
        lonely = threading.active_count() == 1
        told(test, status, note, last=not lonely or status != ENDED)
        if not lonely or status != ENDED:
            return


def _connect(stdin: str, out: int) -> None:
    descriptor = os.open(stdin, os.O_RDONLY)
    os.dup2(descriptor, 0)
    if descriptor:
        os.close(descriptor)
    os.dup2(out, 1)


def make_streams() -> None:
    """sys.stdin and sys.stdout on what descriptors 0 and 1 are now."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.argv = ["answer.py"]


def _main(code: types.CodeType) -> tuple[str, str]:
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, __file__="answer.py")
    sys.modules["__main__"] = module
    result = _guarded(exec, code, module.__dict__)
    for step in (_join_threads, atexit._run_exitfuncs):
        late = _guarded(step)
        if result[0] == ENDED and late[0] == NO_MEMORY:
            result = late
    # As at a real end: the program's own sys.stdout first, then files that it left open.
    _guarded(_flush)
    module.__dict__.clear()
    _guarded(_flush)
    return result


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__):
        stream.flush()


def _guarded(work, *arguments) -> tuple[str, str]:
    """What became of `work`: here, and only here, every exception is a result."""
    try:
        work(*arguments)
    except SystemExit:
        return ENDED, ""
    except MemoryError:
        return NO_MEMORY, "MemoryError"
    except BaseException as error:
        return RAISED, _describe(error)
    return ENDED, ""


def _describe(error: BaseException) -> str:
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException:  # the program's own exception cannot say what it is
        return str(name)


def _join_threads() -> None:
    while True:
        others = [
            thread
            for thread in threading.enumerate()
            if thread is not threading.current_thread() and not thread.daemon
        ]
        if not others:
            return
        for thread in others:
            thread.join()


def _run_calls(code: types.CodeType, request: dict, arguments: list[bytes], told: Told) -> None:
    """The answer is loaded once; its function is called for every test, on a new `Solution()` each time."""
    name = request["function"]
    sys.setrecursionlimit(CALL_RECURSION)
    module = types.ModuleType("answer")
    module.__dict__["__builtins__"] = request["prelude"]
    sys.modules["answer"] = module
    status, note = _guarded(exec, code, module.__dict__)
    if status != ENDED:
        told(0, status, note, last=True)
        return
    for test, packed in enumerate(arguments):
        answer: list[bytes] = []
        status, note = _guarded(_call, module.__dict__, name, packed, answer)
        if status == ENDED and not answer:
            status, note = RAISED, "the program ended without a result"
        body = answer[0] if answer else b""
        if len(body) > request["output_bytes"]:
            status, note, body = TOO_LARGE, f"a result of {len(body)} bytes", b""
        last = status != ENDED or test + 1 == len(arguments)
        # The first result is sent at once: what ends the process later did not happen in the first test.
        told(test, status, note, body, last=last, may_wait=0 < test and not last)
        if status != ENDED:
            return


def _call(names: dict, name: str, packed: bytes, answer: list[bytes]) -> None:
    solution = names.get("Solution")
    if isinstance(solution, type) and hasattr(solution, name):
        function = getattr(solution(), name)
    elif name in names:
        function = names[name]
    else:
        raise NameError(f"the answer defines no {name}")
    answer.append(wire.encode(function(*wire.decode(packed))))


def prepare_streams(stdin: str) -> None:
    """Make the streams of each program's first test beforehand, on a file and a pipe as it will have them."""
    os.close(os.open(stdin, os.O_CREAT | os.O_WRONLY, 0o600))
    reading, writing = os.pipe()
    _connect(stdin, writing)
    make_streams()
    os.close(reading)
    os.close(writing)


def prepare(stdin: str) -> None:
    """Called once: what is here already need not be looked at by each program's collector."""
    prepare_streams(stdin)
    gc.collect()
    gc.freeze()
