"""How is one program run, inside the process that is thrown away afterwards?

`prepare` comes first, once, and `run` in each new process. Everything here shares its process with the
untrusted program, so nothing it reports is believed beyond "this is what the program put out": inputs come
in, outputs go out, and what is right is known elsewhere. Standard library only.
"""

from __future__ import annotations

import atexit
import builtins
import gc
import io
import itertools
import os
import re
import socket
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from util.grading.sandbox import nodes, wire
else:  # the process of programs has no suite on its path
    import nodes
    import wire

NOTE_CHARACTERS = 300
LONGEST_WAIT_S, LONGEST_WAIT_BYTES = 0.005, 1 << 15
THREAD_STACK_BYTES = 16 << 20  # of a thread whose program asks for no other size
CALL_RECURSION = 50_000  # LeetCode allows deep recursion; a program of its own sets its limit itself

# What LeetCode imports for every answer, and in this order: `import *` of these, then the modules themselves.
# Names of modules that are not loaded here are left out; programs that use them are run where they are.
_STARS = (
    "typing string re datetime collections heapq bisect copy math random statistics itertools functools json"
)
_MODULES = (
    "array bisect cmath collections copy datetime decimal fractions functools heapq io itertools json math "
    "numpy operator os random re statistics string sys time typing"
)
_CHOSEN = """
from operator import itemgetter, attrgetter, xor, or_, and_, mul, iand, ior, ixor
from sys import maxsize, setrecursionlimit
from builtins import *
"""


def make_prelude() -> dict:
    """The names that LeetCode gives to every answer, as builtins; `pow` and the like stay what they are.

    As builtins they need not be copied for each answer, and are not taken for something that it defines.
    """
    names: dict = {}
    for module in _STARS.split():
        if module in sys.modules:
            exec(f"from {module} import *", names)  # our own text
    exec(_CHOSEN, names)
    names |= {module: sys.modules[module] for module in _MODULES.split() if module in sys.modules}
    if "numpy" in names:
        names["np"] = names["numpy"]
    names |= nodes.KINDS
    return {**names, **vars(builtins)}


class Told:
    """The line to the zygote. Results of quick calls are sent together; what a crash loses is done again."""

    def __init__(self, asked: int, descriptor: int) -> None:
        self._asked, self._descriptor = asked, descriptor
        self._frames = b""
        self._sent_at = time.monotonic()

    def result(self, body: bytes = b"", *, may_wait: bool = False) -> None:
        """A test has ended, with this result if it is a call."""
        self._frames += wire.frame(wire.ENDED, body=body)
        if may_wait and len(self._frames) < LONGEST_WAIT_BYTES:
            if time.monotonic() - self._sent_at < LONGEST_WAIT_S:
                return
        self._send()

    def failure(self, note: str) -> bool:
        """What people should know about the failure that the end of this process is about to be."""
        said = note[:NOTE_CHARACTERS].encode("utf-8", "backslashreplace")
        self._frames += wire.frame(wire.EXIT, note=said)
        self._send()
        return False

    def _send(self) -> None:
        try:
            wire.write_all(self._descriptor, self._frames)
        except OSError:  # the program has closed the line: it is judged by what it printed and how it ends
            os._exit(0)
        self._frames = b""
        self._sent_at = time.monotonic()

    def wait(self) -> bool:
        """True when the next test is ready."""
        return os.read(self._asked, 1) == b"+"


def run(asked: int, line: int, out: int, stdin: str, prelude: dict) -> bool:
    """Read a request, compile the first source that can be, and run it on all tests; whether that went well.

    `line` gets the results. `out` is the pipe that a program prints to. Its first byte is the number of the
    source, written before anything untrusted runs. When functions are called, another byte in it says that
    there are results which would be lost with this process.
    """
    function, is_exact, sources, inputs, tests = wire.read_request(asked)
    told = Told(asked, line)
    number, code, complaint = _compiled(sources)
    if code is None:
        return told.failure(complaint)
    os.write(out, bytes((min(number, 255),)))
    sys.set_int_max_str_digits(0)
    source = sources[number]
    file = os.path.join(os.path.dirname(stdin), "answer.py")
    if _READS_ITSELF.search(source):
        with open(file, "w", encoding="utf-8", errors="surrogatepass") as text:
            text.write(source)
    if _POOLS_THREADS.search(source):
        let_thread_pools_begin()
    if function is None:
        return _run_programs(code, file, tests, stdin, out, told)
    return _run_calls(code, source, file, None if is_exact else function, inputs, prelude, out, told)


def _compiled(sources: tuple[str, ...]) -> tuple[int, types.CodeType | None, str]:
    """The first source that compiles: its number and its code; else what is wrong with the first."""
    complaint = ""
    for number, source in enumerate(sources):
        try:
            return number, compile(source, "answer.py", "exec", dont_inherit=True), ""
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            complaint = complaint or f"{type(error).__name__}: {error}"
    return 0, None, complaint or "nothing to compile"


def _run_programs(code: types.CodeType, file: str, tests: int, stdin: str, out: int, told: Told) -> bool:
    """Each test is the whole program again: own globals, standard input and output."""
    recursion = sys.getrecursionlimit()
    given = os.open(stdin, os.O_RDONLY)  # the input of each test is written over the last one
    for test in range(tests):
        if test and not told.wait():
            break
        os.lseek(given, 0, os.SEEK_SET)
        os.dup2(given, 0)
        os.dup2(out, 1)
        if test:  # for the first one, `prepare` has done the rest
            sys.setrecursionlimit(recursion)
            threading.stack_size(THREAD_STACK_BYTES)
            make_streams()
        failure = _main(code, file)
        if failure:
            return told.failure(failure)
        told.result()
        if threading.active_count() != 1:  # the next test must not meet them
            return False
    _guarded(os.close, given)
    return True


_READS_ITSELF = re.compile(r"__file__|\bargv\b|\binspect\b")
_POOLS_THREADS = re.compile(r"\bThreadPool\b|\bmultiprocessing\.dummy\b")


class Wake:
    """What asyncio needs of an end of the pair of sockets by which it wakes its loop: the end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def setblocking(self, blocking: bool) -> None:
        """It never blocks."""

    def recv(self, most: int) -> bytes:
        return os.read(self._descriptor, most)

    def send(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def wake_by_pipes() -> None:
    """Programs get no sockets, and the loop of asyncio needs none."""
    library: Any = socket
    pair = socket.socketpair

    def pipes_for_asyncio(*arguments: Any) -> Any:
        if sys._getframe(1).f_globals.get("__name__") != "asyncio.selector_events":
            return pair(*arguments)
        return tuple(map(Wake, os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)))

    library.socketpair = pipes_for_asyncio


def let_thread_pools_begin() -> None:
    """A `ThreadPool` of `multiprocessing` wants a lock of the kernel, which programs do not get."""
    import multiprocessing.context

    contexts: Any = multiprocessing.context.BaseContext
    contexts.Lock = lambda self: threading.Lock()


def make_streams() -> None:
    """What a program finds in `sys` when it begins: streams on descriptors 0 and 1, as open() makes them."""
    names: Any = sys
    names.stdin = names.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    names.stdin.mode = "r"
    output = io.BufferedWriter(io.FileIO(1, "w", closefd=False))
    names.stdout = names.__stdout__ = io.TextIOWrapper(output, "utf-8", "surrogateescape")
    names.stdout.mode = "w"
    names.argv = ["answer.py"]


def _main(code: types.CodeType, file: str) -> str:
    module = types.ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, __file__=file)
    sys.modules["__main__"] = module
    failure = _guarded(exec, code, module.__dict__)
    for step in (_end_threads, atexit._run_exitfuncs):
        late = _guarded(step)
        if not failure and late == wire.NO_MEMORY:
            failure = late
    # As at a real end: the program's own sys.stdout first, then files that it left open.
    _guarded(_flush)
    module.__dict__.clear()
    _guarded(_flush)
    return failure


def _flush() -> None:
    names: Any = sys
    for stream in (names.stdout, names.__stdout__):
        stream.flush()


def _guarded(work: Callable[..., object], *arguments: object) -> str:
    """What `work` failed with, or "": here, and only here, every exception is a result."""
    try:
        work(*arguments)
    except SystemExit:
        return ""
    except MemoryError:
        return wire.NO_MEMORY
    except BaseException as error:
        return _describe(error)
    return ""


def _describe(error: BaseException) -> str:
    """An exception in words: "ValueError: it is odd", or "OddError (ValueError): it is odd"."""
    name = type(error).__name__
    try:
        known = next(base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins")
        if known not in (name, "Exception"):
            name = f"{name} ({known})"
        said = f"{name}: {error}"
        if isinstance(error, FileNotFoundError | PermissionError) and error.filename is None:
            said += "; programs can neither start processes nor use a network here"
        return said
    except BaseException:  # the program's own exception cannot say what it is
        return str(name)


def _end_threads() -> None:
    """As at a real end: executors are told that no more work comes, then threads are waited for."""
    for tell in reversed(getattr(threading, "_threading_atexits", ())):
        tell()
    executors: Any = sys.modules.get("concurrent.futures.thread")
    if executors is not None:
        executors._shutdown = False  # for the next test
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


def _run_calls(
    code: types.CodeType,
    source: str,
    file: str,
    function: str | None,
    inputs: tuple[bytes, ...],
    prelude: dict,
    out: int,
    told: Told,
) -> bool:
    """The answer is loaded once; its function is called for every test, on a new `Solution()` each time.

    Without a function each input says which one is called, and results are told exactly.
    """
    sys.setrecursionlimit(CALL_RECURSION)
    module = types.ModuleType("answer")
    module.__dict__.update(__builtins__=prelude, __file__=file)
    sys.modules["answer"] = module
    failure = _guarded(exec, code, module.__dict__)
    uses_nodes = any(name in source for name in nodes.KINDS)
    end = len(inputs) - 1
    for test, packed in enumerate(inputs):
        answer: list[bytes] = []
        if function is None:
            failure = failure or _guarded(_call_exactly, module.__dict__, packed, answer)
        else:
            failure = failure or _guarded(_call, module.__dict__, function, packed, uses_nodes, answer)
        if failure or not answer:
            return told.failure(failure or "the program ended without a result")
        if test == 0 and end:
            os.write(out, b"+")  # what ends the process later did not happen in the first test
        told.result(answer[0], may_wait=test != end)
    return True


def _call_exactly(names: dict, packed: bytes, answer: list[bytes]) -> None:
    name, arguments, named = wire.decode_exactly(packed)
    value = _function(names, name)(*arguments, **named)
    if value is None and wire.encode_exactly([name, arguments, named]) != packed:
        answer.append(wire.CHANGED + wire.encode_exactly(arguments) + b"}")
    else:
        answer.append(wire.encode_exactly(value))


def _function(names: dict, name: str) -> Callable[..., Any]:
    solution = names.get("Solution")
    if isinstance(solution, type) and hasattr(solution, name):
        return getattr(solution(), name)
    if name not in names:
        raise NameError(f"the answer defines no {name}")
    return names[name]


def _call(names: dict, name: str, packed: bytes, uses_nodes: bool, answer: list[bytes]) -> None:
    function: Any = _function(names, name)
    arguments = wire.decode(packed)
    if not uses_nodes:
        answer.append(wire.encode(function(*arguments)))
        return
    plain = getattr(function, "__func__", function)
    plain = getattr(plain, "__wrapped__", plain)  # below a cache
    parameters = plain.__code__.co_varnames[isinstance(function, types.MethodType) :]
    annotations = plain.__annotations__
    for place, parameter in zip(range(len(arguments)), parameters, strict=False):
        arguments[place] = nodes.given(arguments[place], annotations.get(parameter, ""), names)
    answer.append(wire.encode(nodes.returned(function(*arguments), annotations.get("return", ""))))


_REHEARSAL = (
    ("class Solution:\n    def f(self, a: List[int]) -> int:\n        return [sum(a), None, 'x', True]", "f"),
    ("def f(a):\n    return {1: len(a)}", "f"),
    ("import sys\nn = int(input())\nprint(n, *map(int, sys.stdin.readline().split()))", None),
)
REHEARSED_TESTS = 20  # the interpreter needs some runs to make its code fast


def rehearse(stdin: str, prelude: dict) -> None:
    """Run programs of our own once, so that what every first run costs is done before programs are forked."""
    recursion, digits, main = sys.getrecursionlimit(), sys.get_int_max_str_digits(), sys.modules["__main__"]
    (asked, ask), (listen, told), (reading, out) = pipes = os.pipe(), os.pipe(), os.pipe()
    for source, function in _REHEARSAL:
        inputs = (b"[[1, 2]]",) * REHEARSED_TESTS
        os.write(ask, wire.pack((function, False, (source,), inputs, REHEARSED_TESTS)))
        if function is None:
            os.write(ask, b"+" * (REHEARSED_TESTS - 1))
        run(asked, told, out, stdin, prelude)
    for descriptor in itertools.chain(*pipes):
        os.close(descriptor)
    del sys.modules["answer"]
    sys.modules["__main__"] = main
    sys.setrecursionlimit(recursion)
    sys.set_int_max_str_digits(digits)


def prepare(stdin: str, prelude: dict) -> None:
    """Called once: what is here already need not be looked at by each program's collector."""
    with open(os.open(stdin, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("1\n2 3\n")
    rehearse(stdin, prelude)
    make_streams()  # on the file and the pipe of the rehearsal, which are like those of a program
    gc.collect()
    gc.freeze()
