"""What is the process like that untrusted programs are forked from?

Started as a program of its own, with an empty environment and a socket to the grader as its only way out. It
loads what answers import, puts up every wall that the kernel allows, says which, and then has one process
forked per request. It knows inputs; it never knows expected outputs. Standard library only.

The forking is left to a process of its own, the template, which does nothing else: what a process writes to
after it was forked must be copied, page by page, and the template writes little.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

sys.path[0:1] = [os.path.dirname(os.path.abspath(__file__))]
import driver  # noqa: E402
import layers  # noqa: E402
import wire  # noqa: E402

sys.path.pop(0)

# What takes most memory to load comes first: the others then use what it leaves free. Forking costs by page.
PRELOADED = (
    "sortedcontainers array bisect cmath collections copy dataclasses datetime decimal enum fractions "
    "functools heapq io itertools json math operator queue random re statistics string struct threading time "
    "typing"
)
PIPE_CHUNK = 1 << 16
LINE = 60  # the template's descriptor for the zygote, out of the way of those of programs
SLACK_S = 0.005
QUICK_S = 0.01  # a test that ends within this time has its output read at its end, all at once
THREAD_STACK_BYTES = 16 << 20
PRIVATE_UIDS = 2_000_000_000  # root's programs run as this plus the process id: nobody else has it


def main() -> None:
    settings = json.loads(sys.argv[1])
    if not settings.get("again"):
        _start_again_with_a_large_stack({**settings, "again": True})
    control = settings["socket"]
    preload(settings)
    report: dict = {"missing": {}, "layers": []}
    scratch, own_user = separate(settings, report)
    child = os.fork()
    if child:
        os.close(control)
        os.waitpid(child, 0)
        if "private root" not in report["layers"]:
            remove_files(scratch)
            os.rmdir(scratch)
        return
    wall_in(settings, scratch, own_user, report)
    zygote = Zygote(settings, scratch, report)
    zygote.serve()
    zygote.end()


def _start_again_with_a_large_stack(settings: dict) -> None:
    """Where the stack may grow to is fixed when a program starts, by the limit of that moment."""
    layers.limit(resource.RLIMIT_STACK, layers.STACK_BYTES)
    arguments = [sys.executable, *settings["flags"], os.path.abspath(__file__), json.dumps(settings)]
    os.execv(sys.executable, arguments)


def preload(settings: dict) -> None:
    sys.path += [path for path in settings["packages"] if path not in sys.path]
    import site

    site.setquit()  # exit() and quit(), which start-up without site leaves out
    if settings["numpy"]:
        os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    for name in PRELOADED.split() + ["numpy"] * settings["numpy"]:
        try:
            __import__(name)
        except ImportError:  # a package that is not installed here: programs get the same error
            continue
    os.environ.clear()
    threading.stack_size(THREAD_STACK_BYTES)


def readable_paths(settings: dict) -> list[str]:
    base = {sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)}
    found = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", *base, *settings["packages"]]
    return [path for path in found if path != "/" and os.path.exists(path)]


def separate(settings: dict, report: dict) -> tuple[str, bool]:
    """Enter namespaces and a private root; the scratch folder, and whether we have a user id of our own."""
    done, missing = report["layers"], report["missing"]
    is_root = os.geteuid() == 0
    own_user = False
    if not is_root and "user" in settings["without"]:
        missing["user namespace"] = "switched off"
    elif not is_root:
        own_user = _tried(report, "user namespace", layers.own_user_namespace)
    scratch = None
    for name in layers.NAMESPACES:
        if name in settings["without"]:
            missing[f"{name} namespace"] = "switched off"
            continue
        _tried(report, f"{name} namespace", layers.unshare, name)
    if "mount namespace" in done:
        try:
            scratch = layers.enter_private_root(readable_paths(settings))
            done.append("private root")
        except OSError as error:
            missing["private root"] = str(error)
    if scratch is None:
        scratch = f"/tmp/sandbox-{os.urandom(8).hex()}"
        os.mkdir(scratch)
        os.chmod(scratch, 0o777)
    return scratch, own_user or is_root


def remove_files(folder: str) -> None:
    """Empty a scratch folder; programs cannot make folders in it."""
    with os.scandir(os.fsencode(folder)) as entries:
        for entry in entries:
            os.unlink(entry.path)


def _tried(report: dict, name: str, work, *arguments) -> bool:
    try:
        work(*arguments)
    except OSError as error:
        report["missing"][name] = str(error)
        return False
    report["layers"].append(name)
    return True


def wall_in(settings: dict, scratch: str, own_user: bool, report: dict) -> None:
    if os.geteuid() == 0:
        number = PRIVATE_UIDS + settings["parent"] % 100_000_000
        own_user = _tried(report, "private user id", layers.become_private_uid, number)
    elif own_user:
        layers.drop_capabilities()
    layers.die_with_parent()
    layers.hide_from_debuggers()
    os.chdir(scratch)
    layers.limit_for_good(own_user)
    report["layers"].append("limits")
    if "landlock" in settings["without"]:
        report["missing"]["Landlock"] = "switched off"
    else:
        paths = readable_paths(settings)
        _tried(report, "Landlock", layers.landlock, paths, scratch)


def filter_of(settings: dict, report: dict) -> layers.Seccomp | None:
    """The filter that every program gets, tried once in a process that ends at once; None when refused."""
    if "seccomp" in settings["without"]:
        report["missing"]["seccomp"] = "switched off"
        return None
    try:
        found = layers.Seccomp()
    except OSError as error:
        report["missing"]["seccomp"] = str(error)
        return None
    child = os.fork()
    if child == 0:
        try:
            found.confine_template()
            found.confine_program()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        report["missing"]["seccomp"] = os.strerror(code) if code > 0 else f"ended by signal {-code}"
        return None
    report["layers"].append("seccomp")
    return found


class Zygote:
    """Serves one grader, one request at a time."""

    def __init__(self, settings: dict, scratch: str, report: dict) -> None:
        self.control = control = settings["socket"]
        self._scratch = scratch
        self.stdin = os.path.join(scratch, "stdin")
        self._buffer = bytearray()
        self._alone = "pid namespace" in report["layers"]
        self._template = Template(self.stdin, filter_of(settings, report), self._alone)
        self._can_fork = "seccomp" not in report["layers"]  # can programs?
        self._limits: tuple[int, int] = (0, 0)
        self._child: int | None = None
        report["python"] = sys.version.split()[0]
        report["packages"] = {
            name: getattr(sys.modules[name], "__version__", "")
            for name in ("numpy", "sortedcontainers")
            if name in sys.modules
        }
        driver.prepare(self.stdin)
        layers.give_back_memory()
        self._template.start()
        wire.write_all(control, wire.pack(report))

    def serve(self) -> None:
        while True:
            message = wire.unpack(self._buffer, 1 << 31)
            if message is None:
                data = os.read(self.control, 1 << 20)
                if not data:
                    return
                self._buffer += data
                continue
            header, body = message
            if "cancel" not in header:  # a late word about a request that has ended already
                Request(self, header, body).serve()

    # --- what a request needs ---

    def fork(self, descriptors: list[int], memory_bytes: int, file_bytes: int) -> int:
        """A new process for a program, which has these descriptors and may use so much."""
        if self._limits != (memory_bytes, file_bytes):
            # Programs inherit the limits, which is cheaper than setting them in each.
            layers.limit_of(self._template.process, resource.RLIMIT_AS, memory_bytes)
            layers.limit_of(self._template.process, resource.RLIMIT_FSIZE, file_bytes)
            self._limits = (memory_bytes, file_bytes)
        self._child = self._template.fork(descriptors)
        return self._child

    def cancelled(self, number: int) -> bool:
        """Read what the grader says while a program runs; its end is ours."""
        data = os.read(self.control, 1 << 16)
        if not data:
            self.end()
        self._buffer += data
        message = wire.unpack(self._buffer, 1 << 31)
        return message is not None and message[0].get("cancel") == number

    def clean(self) -> None:
        """Nothing of a program is left: no process, no file."""
        if self._child is not None:
            _end(self._child)
            self._child = None
        if self._can_fork and self._alone:
            # Whatever a program has started is ended, and the template with it.
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                pass
            while True:
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    break
            self._limits = (0, 0)
            self._template.start()
        remove_files(self._scratch)

    def end(self) -> NoReturn:
        """Leave nobody behind, also where no namespace takes its processes along."""
        self.clean()
        _end(self._template.process)
        os._exit(0)


def _end(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    except (ProcessLookupError, ChildProcessError):  # ended and seen to have ended
        pass


class Template:
    """The process that programs are forked from; they are children of the zygote, not its own."""

    def __init__(self, stdin: str, filter_: layers.Seccomp | None, alone: bool) -> None:
        self._stdin, self._filter, self._alone = stdin, filter_, alone
        self._null = os.open("/dev/null", os.O_RDWR)
        self._prelude = driver.make_prelude()
        self._line: socket.socket | None = None
        self.process = 0

    # --- in the zygote ---

    def start(self) -> None:
        """Fork it, also in place of one that has ended."""
        if self._line is not None:
            self._line.close()
        self._line, theirs = socket.socketpair()
        self.process = os.fork()
        if self.process == 0:
            self._line.close()
            self._serve(theirs)
        theirs.close()

    def fork(self, descriptors: list[int]) -> int:
        """A new process for a program that reads its request from the first descriptor."""
        socket.send_fds(self._line, [b"+"], descriptors)
        answer = self._line.recv(4)
        if not answer:
            raise ChildProcessError("the process that programs are forked from has ended")
        return int.from_bytes(answer, "big")

    # --- in the template ---

    def _serve(self, line: socket.socket) -> None:
        layers.die_with_parent()
        for descriptor in (0, 1, 2):
            os.dup2(self._null, descriptor)
        # Nothing else is open, so that the descriptors of programs come to be 3 and 4.
        os.dup2(line.detach(), LINE)
        os.closerange(3, LINE)
        line = socket.socket(fileno=LINE)
        if self._filter is not None:
            self._filter.confine_template()
        while True:
            word, descriptors, _, _ = socket.recv_fds(line, 1, 2)
            if not word:
                os._exit(0)
            child = layers.fork_sibling()
            if child == 0:
                self._become_program(*descriptors)  # never returns
            for descriptor in descriptors:
                os.close(descriptor)
            os.write(line.fileno(), child.to_bytes(4, "big"))

    # --- in the new process ---

    def _become_program(self, told: int, out: int = -1) -> None:
        os.setsid()
        if not self._alone:
            layers.die_with_parent()
        os.close(LINE)
        if self._filter is not None:
            self._filter.confine_program()
        head, body = wire.LENGTHS.unpack(wire.read_exactly(told, wire.LENGTHS.size))
        request = json.loads(wire.read_exactly(told, head))
        parts = _cut(wire.read_exactly(told, body), request["sizes"])
        sources = [part.decode("utf-8", "surrogatepass") for part in parts[: request["sources"]]]
        request["prelude"] = self._prelude
        driver.run(request, sources, parts[len(sources) :], self._stdin, out, driver.Told(told))


def _cut(body: bytes, sizes: list[int]) -> list[bytes]:
    ends = list(itertools.accumulate(sizes))
    return [body[end - size : end] for end, size in zip(ends, sizes, strict=True)]


class Request:
    """One program on some tests, in one process."""

    def __init__(self, zygote: Zygote, header: dict, body: bytes) -> None:
        self._zygote = zygote
        self._header = header
        parts = _cut(body, header["sizes"])
        self._sources, self._inputs = parts[: header["sources"]], parts[header["sources"] :]
        self._output = bytearray()
        self._messages = bytearray()
        self._reports = bytearray()
        self._test = 0
        self._most = header["output_bytes"]

    def serve(self) -> None:
        stdin_mode = self._header["mode"] == "stdin"
        # Programs may write files up to a size; their inputs may be larger.
        largest = max(map(len, self._inputs)) if stdin_mode else 0
        if stdin_mode:
            self._put_input(0)
        ours, theirs = socket.socketpair()
        self._told = ours.fileno()
        self._out, their_out = os.pipe() if stdin_mode else (-1, -1)
        request = memoryview(self._request())
        request = request[ours.send(request, socket.MSG_DONTWAIT) :]  # most of them as a whole
        descriptors = [theirs.fileno(), their_out] if stdin_mode else [theirs.fileno()]
        self._child = self._zygote.fork(
            descriptors, self._header["memory_bytes"], max(layers.FILE_BYTES, largest)
        )
        # A second line of defence, for when nobody watches.
        seconds = int(self._header["problem_s"]) + 1
        resource.prlimit(self._child, resource.RLIMIT_CPU, (seconds, seconds))
        theirs.close()
        if stdin_mode:
            os.close(their_out)
            os.set_blocking(self._out, False)
        try:
            ours.sendall(request)
        except OSError:  # it has ended before reading all: this is noticed next
            pass
        try:
            end = self._supervise()
        finally:
            self._zygote.clean()
            ours.close()
            if stdin_mode:
                os.close(self._out)
        self._report({"end": True, **end})
        self._send()

    def _request(self) -> bytes:
        """What the new process is told: inputs that it reads from standard input come one by one later."""
        known = ("mode", "function", "sources", "output_bytes")
        parts = self._sources + (self._inputs if self._header["mode"] == "call" else [])
        header = {name: self._header[name] for name in known}
        header |= {"tests": len(self._inputs), "sizes": [len(part) for part in parts]}
        return wire.pack(header, b"".join(parts))

    def _put_input(self, test: int) -> None:
        try:
            os.unlink(self._zygote.stdin)
        except FileNotFoundError:
            pass
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(self._zygote.stdin, flags, 0o600)
        wire.write_all(descriptor, self._inputs[test])
        os.close(descriptor)

    def _report(self, header: dict, body: bytes = b"") -> None:
        """Tell the grader, with the next `_send`."""
        self._reports += wire.pack({"id": self._header["id"], **header}, body)

    def _send(self) -> None:
        if self._reports:
            wire.write_all(self._zygote.control, self._reports)
            self._reports.clear()

    # --- while the program runs ---

    def _supervise(self) -> dict:
        """Relay what the program puts out until it ends or must be ended; how and at which test it ended."""
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        poll.register(self._zygote.control, select.POLLIN)
        begun = time.monotonic()
        self._begin_test()
        watched = -1  # the test whose output is read while it is printed
        while True:
            left = min(self._time_left(), begun + self._header["problem_s"] - time.monotonic())
            if left <= 0:
                return self._over("timeout")
            if self._out >= 0 and watched != self._test:
                left = min(left, QUICK_S)
            ready = {descriptor for descriptor, _ in poll.poll(left * 1000 + 1)}
            if self._zygote.control in ready and self._zygote.cancelled(self._header["id"]):
                return self._over("cancelled")
            if self._out in ready and not self._read_output():
                poll.unregister(self._out)  # closed by the program: it may still go on
            if not ready and self._out >= 0 and watched != self._test:
                poll.register(self._out, select.POLLIN)
                watched = self._test
            if len(self._output) > self._most:
                return self._over("too large")
            if self._told in ready:
                end = self._listen()
                if end is not None:
                    return end
                if 0 <= watched < self._test and self._out >= 0:
                    poll.register(self._out, 0)  # the next test may be a quick one again
                    watched = -1

    def _begin_test(self) -> None:
        self._wall, self._cpu = time.monotonic(), self._cpu_time()

    def _cpu_time(self) -> float:
        try:
            return time.clock_gettime((~self._child << 3) | 2)  # the clock of another process
        except OSError:  # it has ended
            return 0.0

    def _time_left(self) -> float:
        """Seconds until the test must be looked at again; 0 when its time is over.

        CPU time is what counts, so that a busy machine does not turn right answers into slow ones;
        a program that only waits gets the same time by the clock.
        """
        limit = self._header["time_s"]
        cpu, wall = self._cpu_time() - self._cpu, time.monotonic() - self._wall
        if cpu >= limit or wall >= 2 * limit or (wall >= limit and cpu < limit / 10):
            return 0.0
        return max(min(limit - cpu, limit - wall if wall < limit else 2 * limit - wall), SLACK_S)

    def _read_output(self) -> bool:
        """Take what is in the pipe; False at its end."""
        while len(self._output) <= self._most:
            try:
                data = os.read(self._out, PIPE_CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._output += data
        return True

    def _listen(self) -> dict | None:
        """Take in what the driver says; how the program ended, or None while it goes on."""
        try:
            data = os.read(self._told, PIPE_CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            return self._ended_by_itself()
        self._messages += data
        while True:
            try:
                message = wire.unpack(self._messages, self._most)
            except wire.BadMessage:
                return self._over("meddled")
            if message is None:
                self._send()
                return None
            if not self._is_sound(*message):
                return self._over("meddled")
            (test, results, last), body = message
            if results[0][0] == "compiled":
                self._report({"compiled": test})
                continue
            if self._out >= 0:
                self._read_output()
                if len(self._output) > self._most:
                    return self._over("too large")
                body = bytes(self._output)
                self._output.clear()
                results[0][2] = len(body)
            self._report({"test": self._test, "results": results}, body)
            self._test += len(results)
            if last or self._test == len(self._inputs):
                return {"test": self._test, "status": "done"}
            if self._out >= 0:
                self._put_input(self._test)
                try:
                    os.write(self._told, b"+")
                except OSError:  # the program has closed the line: its end is noticed next
                    pass
            self._begin_test()

    def _is_sound(self, header: object, body: bytes) -> bool:
        match header:
            case [int(test), [[str(status), str(), 0]], bool()] if status in (
                "compiled",
                driver.NOT_COMPILED,
            ):
                return self._test == 0 and 0 <= test < len(self._sources)
            case [int(test), [_, *others] as results, bool()]:
                stdin_mode = self._out >= 0
                return (
                    test == self._test
                    and test + len(results) <= len(self._inputs)
                    and all(map(_is_result, results))
                    and sum(size for _, _, size in results) == len(body)
                    and not (stdin_mode and (others or body))
                )
        return False

    def _ended_by_itself(self) -> dict:
        """The program has closed its line, by ending in most cases: with which status?"""
        for _ in range(50):
            child, status = os.waitpid(self._child, os.WNOHANG)
            if child:
                break
            time.sleep(0.001)
        else:
            return self._over("meddled")
        if self._out >= 0:
            self._read_output()
        code = os.waitstatus_to_exitcode(status)
        name = "too large" if len(self._output) > self._most else "exit"
        return self._over(name, code)

    def _over(self, status: str, code: int = 0) -> dict:
        """The end of a program in the middle of a test."""
        if self._out >= 0 and status == "exit":
            results = [["exit", "", len(self._output)]]
            self._report({"test": self._test, "results": results, "code": code}, bytes(self._output))
            return {"test": self._test + 1, "status": "done"}
        return {"test": self._test, "status": status, "code": code}


def _is_result(result: object) -> bool:
    match result:
        case [str(status), str(), int(size)]:
            known = (driver.ENDED, driver.RAISED, driver.NO_MEMORY, driver.TOO_LARGE)
            return status in known and size >= 0
    return False


if __name__ == "__main__":
    main()
