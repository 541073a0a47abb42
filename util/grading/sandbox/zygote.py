"""What is the process like that untrusted programs are forked from?

`main` is its beginning, `Zygote` serves one grader, a `Trial` is one program on some tests. Started as a
program of its own, with an empty environment and a socket to the grader as its only way out. It loads what
answers import, puts up every wall that the kernel allows, says which, and then has one process forked per
request. It knows inputs; it never knows expected outputs. Standard library only.

The forking is left to a process of its own, the template, which does nothing else: what a process writes to
after it was forked must be copied, page by page, and the template writes little.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from util.grading.sandbox import driver, layers, wire
else:  # this process has no suite on its path
    import driver
    import layers
    import wire

PIPE_CHUNK = 1 << 16
NICENESS_TRIES = 600  # one process at a time may set its session's, and those of all graders begin together
LINE = 60  # the template's descriptor for the zygote, out of the way of those of programs
ASKED, TOLD, OUT = 3, 4, 5  # a program's descriptors, besides 0, 1 and 2
_PROCESS = struct.Struct("I")
SLACK_S = 0.005
CLOCK_LIMITS = 20  # by the clock, a test may take this many times what it may use of CPU time
SHORTEST_IDLE_S = 1.0  # a program may be kept waiting for a core that long
# Of our own work, by which we see whether a core is to be had; others may have it for some ms at a time.
SPIN_S = 0.06
LONGEST_SPIN_S = 5.0  # by the clock
SLEEPING_SHARE = 0.03  # a program that waits works less than this while we work
MOST_SLOWED = LONGEST_SPIN_S / SPIN_S  # from here on nothing can be told
WORKING_SHARE = 0.001  # whoever works gets more of a core than this, also at low priority on a busy one
DISK_LOOK_S = 0.02  # between two looks at what a program has written to a disk that is not its own
FOUND_BY = 987_654_321  # a recursion limit that nothing else in a thread's state equals
C_CALLS = 1 << 28  # more than any stack holds
WORK_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # where programs work that have no private root


def main() -> None:
    sys.path.remove(os.path.dirname(__file__))  # programs do not import what is ours
    settings = json.loads(sys.argv[1])
    if not settings.get("again"):
        _start_again_with_a_large_stack({**settings, "again": True})
    control = settings["socket"]
    pass_on_niceness()
    preload(settings)
    report: dict = {"missing": {}, "layers": []}
    proc = os.open("/proc", os.O_PATH)
    strays = layers.Strays(proc)
    scratch, user = separate(settings, report)
    child = os.fork()
    if child:
        os.close(control)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status < 0:
            print(f"ended by signal {-status}", file=sys.stderr)
        strays.end(keep=set())
        if "private root" not in report["layers"]:
            remove_files(scratch)
            os.rmdir(scratch)
        return
    if "pid namespace" not in report["layers"]:
        strays = layers.Strays(proc)
    os.close(proc)
    wall_in(settings, scratch, user, report)
    Zygote(settings, scratch, strays, report).serve()
    os._exit(0)  # all others end with it, by the namespace or by `die_with_parent`; our parent looks for more


def _start_again_with_a_large_stack(settings: dict) -> None:
    """Where the stack may grow to is fixed when a program starts, by the limit of that moment."""
    layers.limit(resource.RLIMIT_STACK, layers.STACK_BYTES)
    arguments = [sys.executable, *settings["command"], json.dumps(settings)]
    os.execv(sys.executable, arguments)


def preload(settings: dict) -> None:
    sys.path += [path for path in settings["packages"] if path not in sys.path]
    import site

    site.setquit()  # exit() and quit(), which start-up without site leaves out
    if "numpy" in settings["preload"]:
        os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    for name in settings["preload"]:
        try:
            __import__(name)
        except ImportError:  # a package that is not installed here: programs get the same error
            continue
    os.environ.clear()
    threading.stack_size(driver.THREAD_STACK_BYTES)
    layers.one_heap()
    if sys.version_info >= (3, 12):
        let_calls_through_c_be_deep()


def let_calls_through_c_be_deep() -> None:
    """Let `sys.setrecursionlimit` alone say how deep a program's calls go, as in Python 3.11.

    Python 3.12 and 3.13 count calls that pass through C (a cached function that calls itself, `max` over a
    generator that does) apart, up to a fixed number: 3.12.1 ends such a right answer at a depth of some 750,
    3.13 at 5,000. What is left of that number stands beside the recursion limit in each thread's state.
    """
    thread_state = ctypes.pythonapi.PyThreadState_Get
    thread_state.restype = ctypes.c_void_p
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(FOUND_BY)
    place = list((ctypes.c_int * 32).from_address(thread_state())).index(FOUND_BY) + 1
    sys.setrecursionlimit(usual)

    def allow() -> None:
        ctypes.c_int.from_address(thread_state() + place * ctypes.sizeof(ctypes.c_int)).value = C_CALLS

    def begin(thread: threading.Thread) -> None:
        allow()
        begin_as_usual(thread)

    threads: Any = threading.Thread
    begin_as_usual = threads._bootstrap_inner
    threads._bootstrap_inner = begin
    allow()


def pass_on_niceness() -> None:
    """Give this session the niceness of its process: with autogroup scheduling, only sessions have one."""
    for _ in range(NICENESS_TRIES):
        try:
            with open("/proc/self/autogroup", "w") as group:
                group.write(str(os.nice(0)))
            return
        except BlockingIOError:  # only root may do so more than ten times a second, over all processes
            time.sleep(0.11)
        except OSError:  # a kernel without autogroups
            return


def readable_paths(settings: dict) -> list[str]:
    base = {sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)}
    found = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", *base, *settings["packages"]]
    return [path for path in found if path != "/" and os.path.exists(path)]


def separate(settings: dict, report: dict) -> tuple[str, int | None]:
    """Enter namespaces and a private root; the scratch folder, and the number of the user to become, if any.

    Root makes namespaces. Others make a user namespace first, and so does root in a container, without the
    right to make others.
    """
    off, done, missing = settings["without"], report["layers"], report["missing"]
    user = None
    if os.geteuid() != 0:
        _tried(off, report, "user namespace", layers.own_user_namespace)
    else:
        try:
            user = layers.private_id()
        except OSError as error:
            missing["private user id"] = str(error)
        refused = not _tried(off, report, "mount namespace", layers.unshare, "mount")
        if refused and user is not None and "mount" not in off:
            if _tried(off, report, "user namespace", layers.user_namespace_of_root, user):
                user = layers.INSIDE_ID
    for name in layers.NAMESPACES:
        if f"{name} namespace" not in done:
            _tried(off, report, f"{name} namespace", layers.unshare, name)
    if "mount namespace" in done:
        try:
            scratch = layers.enter_private_root(readable_paths(settings))
            done.append("private root")
            return scratch, user
        except OSError as error:
            missing["private root"] = str(error)
    return _work_place(), user


def _work_place() -> str:
    name = f"sandbox-{os.urandom(8).hex()}"
    for folder in WORK_PLACES:
        scratch = os.path.join(folder, name)
        try:
            os.mkdir(scratch)
        except OSError:
            continue
        os.chmod(scratch, 0o777)
        return scratch
    raise OSError(f"no folder for programs to work in: make one of {', '.join(WORK_PLACES)} writable")


def remove_files(folder: str) -> None:
    """Empty a scratch folder and stay in it. What is in it may be closed, and deeper than a path can say."""
    os.chdir(folder)
    names: list[bytes] = []  # the way from `folder` to here
    left = [_remove_here()]  # for each folder on the way, the folders in it that are not empty
    while left:
        if left[-1]:
            names.append(left[-1].pop())
            os.chmod(names[-1], 0o700)
            os.chdir(names[-1])
            left.append(_remove_here())
        else:
            left.pop()
            if names:
                os.chdir(b"..")
                os.rmdir(names.pop())


def _remove_here() -> list[bytes]:
    """Remove the files of this folder; the names of its folders."""
    folders = []
    with os.scandir(b".") as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name)
    return folders


def _tried(off: list[str], report: dict, name: str, work: Callable[..., object], *arguments: object) -> bool:
    """Put up a layer, unless it is among those switched `off`; whether it stands."""
    if name.removesuffix(" namespace").lower() in off:
        report["missing"][name] = "switched off"
        return False
    try:
        work(*arguments)
    except OSError as error:
        report["missing"][name] = str(error)
        return False
    report["layers"].append(name)
    report["missing"].pop(name, None)  # refused earlier, to someone with fewer rights
    return True


def wall_in(settings: dict, scratch: str, user: int | None, report: dict) -> None:
    off = settings["without"]
    own_user = "user namespace" in report["layers"]
    if user is not None:
        own_user = _tried(off, report, "private user id", layers.become_private_uid, user)
    layers.drop_capabilities()
    layers.die_with_parent()
    layers.hide_from_debuggers()
    layers.no_new_privileges()  # the kernel asks for it before Landlock and before seccomp
    os.chdir(scratch)
    _tried(off, report, "limits", layers.limit_for_good, own_user)
    _tried(off, report, "Landlock", layers.landlock, readable_paths(settings), scratch)


def _slowdown() -> float:
    """How many times longer than on a core of its own our work takes by the clock."""
    began, worked = time.monotonic(), time.thread_time()
    while (did := time.thread_time() - worked) < SPIN_S and time.monotonic() < began + LONGEST_SPIN_S:
        pass
    return (time.monotonic() - began) / max(did, SLACK_S / 10)


class Child(NamedTuple):
    """A process that waits for its program, and our ends of its pipes."""

    process: int
    line: int  # what it is asked
    told: int  # what its driver says
    out: int  # what it prints


class Zygote:
    """Serves one grader, one request at a time."""

    def __init__(self, settings: dict, scratch: str, strays: layers.Strays, report: dict) -> None:
        self.control = control = settings["socket"]
        self.scratch, self._strays = scratch, strays
        self.shares_disk = "private root" not in report["layers"]
        self.stdin = os.path.join(scratch, "stdin")
        self._alone = "pid namespace" in report["layers"]
        filters: list[layers.Seccomp] = []
        _tried(settings["without"], report, "seccomp", lambda: filters.append(layers.Seccomp()))
        self._template = Template(self.stdin, filters[0] if filters else None, self._alone)
        self._is_limited = "limits" in report["layers"]
        self._can_fork = "seccomp" not in report["layers"]  # can programs?
        report["python"] = sys.version.split()[0]
        report["packages"] = {
            name: getattr(sys.modules[name], "__version__", "")
            for name in ("numpy", "sortedcontainers")
            if name in sys.modules
        }
        driver.prepare(self.stdin, self._template.prelude)
        self._template.start()
        wire.write_all(control, wire.frame(wire.DONE, body=json.dumps(report).encode()))

    def serve(self) -> None:
        while (message := wire.read_request(self.control)) is not None:
            if isinstance(message, tuple):
                Trial(self, wire.Request(*message)).serve()
            # else a late word about a request that has ended already

    # --- what a request needs ---

    def take_program(self, memory_bytes: int, file_bytes: int) -> Child:
        """A process for a program, which may use so much."""
        program = self._template.fork()
        if self._is_limited:
            layers.limit_of(program.process, resource.RLIMIT_AS, memory_bytes)
            layers.limit_of(program.process, resource.RLIMIT_FSIZE, file_bytes)
        return program

    def cancelled(self, number: int) -> bool:
        """Read what the grader says while a program runs; its end is ours."""
        message = wire.read_request(self.control)
        if message is None:
            os._exit(0)
        return message == number

    def clean(self, program: Child) -> None:
        """Nothing of a program is left: no process, no file."""
        _end(program)
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
            self._template.start()
        elif self._can_fork:
            self._strays.end(keep={self._template.process})
        remove_files(self.scratch)


def _end(program: Child) -> None:
    try:
        os.kill(program.process, signal.SIGKILL)
        os.waitpid(program.process, 0)
    except (ProcessLookupError, ChildProcessError):  # ended and seen to have ended
        pass
    for descriptor in program[1:]:
        os.close(descriptor)


class Template:
    """The process that programs are forked from; they are children of the zygote, not its own."""

    def __init__(self, stdin: str, filter_: layers.Seccomp | None, alone: bool) -> None:
        self._stdin, self._filter, self._alone = stdin, filter_, alone
        self._null = os.open("/dev/null", os.O_RDWR)
        self.prelude = driver.make_prelude()
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

    def fork(self) -> Child:
        """A new process that waits for its program."""
        asked, told, out = os.pipe(), os.pipe(), os.pipe()
        os.set_blocking(out[0], False)
        theirs = asked[0], told[1], out[1]
        assert self._line is not None, "start() comes first"
        socket.send_fds(self._line, [b"+"], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        answer = self._line.recv(_PROCESS.size)
        if len(answer) < _PROCESS.size:
            raise ChildProcessError("the process that programs are forked from has ended")
        (process,) = _PROCESS.unpack(answer)
        return Child(process, asked[1], told[0], out[0])

    # --- in the template ---

    def _serve(self, line: socket.socket) -> None:
        layers.die_with_parent()
        for descriptor in (0, 1, 2):
            os.dup2(self._null, descriptor)
        # Nothing else is open, so that the descriptors of programs come to be 3, 4 and 5.
        os.dup2(line.detach(), LINE)
        os.closerange(3, LINE)
        line = socket.socket(fileno=LINE)
        if self._filter is not None:
            self._filter.confine_template()
        driver.wake_by_pipes()
        while True:
            word, _, _, _ = socket.recv_fds(line, 1, 3)
            if not word:
                os._exit(0)
            child = layers.fork_sibling()
            if child == 0:
                self._become_program()  # never returns
            os.closerange(ASKED, OUT + 1)
            os.write(LINE, _PROCESS.pack(child))

    # --- in the new process ---

    def _become_program(self) -> None:
        os.close(LINE)
        if self._filter is None:
            os.setsid()  # signals to its group reach nobody else
        if not self._alone:
            layers.die_with_parent()
        if self._filter is not None:
            self._filter.confine_program()
        try:
            os._exit(not driver.run(ASKED, TOLD, OUT, self._stdin, self.prelude))
        finally:  # nothing that a program leaves behind, a timer say, brings it into the code above
            os._exit(1)


class Trial:
    """One program on some tests, in one process."""

    def __init__(self, zygote: Zygote, request: wire.Request) -> None:
        self._zygote, self._request = zygote, request
        self._inputs, self._most = request.inputs, request.output_bytes
        self._output = bytearray()
        self._pieces = bytearray()
        self._reports = bytearray()
        self._note = b""  # what the program has failed with, by its own account
        self._source: int | None = None  # the one that is run, once that is known
        self._has_hung_up = False  # it has closed its line, by ending in most cases
        self._test = 0  # the one that runs
        self._looked = time.monotonic()  # at what it has written
        self._clock = 0  # what ended the test: 0 its CPU time, 1 its time by the clock, 2 that of all tests

    def serve(self) -> None:
        largest = 0
        if self._inputs is not None:
            # Programs may write files up to a size; their inputs may be larger.
            largest = max(map(len, self._inputs))
            self._input = self._open_input()
            self._put_input()
        self._program = self._zygote.take_program(self._request.memory_bytes, max(layers.FILE_BYTES, largest))
        # A second line of defence, for when nobody watches.
        seconds = int(2 * self._request.tests * self._request.time_s) + 1
        resource.prlimit(self._program.process, resource.RLIMIT_CPU, (seconds, seconds))
        try:
            wire.write_all(self._program.line, self._request.asked)
        except BrokenPipeError:  # it has ended before reading all: this is noticed next
            pass
        try:
            self._supervise()
        finally:
            self._zygote.clean(self._program)
            if self._inputs is not None:
                os.close(self._input)
        self._report(wire.DONE, self._request.number)
        self._send()

    def _open_input(self) -> int:
        try:
            os.unlink(self._zygote.stdin)
        except FileNotFoundError:
            pass
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.open(self._zygote.stdin, flags, 0o600)

    def _put_input(self) -> None:
        assert self._inputs is not None
        if self._test:
            os.ftruncate(self._input, 0)
            os.lseek(self._input, 0, os.SEEK_SET)
        wire.write_all(self._input, self._inputs[self._test])

    def _report(self, status: int, number: int = 0, note: bytes = b"", body: bytes = b"") -> None:
        self._reports += wire.frame(status, number, self._source or 0, note, body)

    def _send(self) -> None:
        wire.write_all(self._zygote.control, self._reports)
        self._reports.clear()

    # --- while the program runs ---

    def _supervise(self) -> None:
        """Relay what the program puts out until it ends or must be ended."""
        control, (_, _, told, out) = self._zygote.control, self._program
        poll = select.poll()
        poll.register(told, select.POLLIN)
        poll.register(control, select.POLLIN)
        if self._inputs is not None:
            poll.register(out, select.POLLIN)
        self._end = time.monotonic() + self._request.problem_s
        self._begin_test()
        while True:
            test, left = self._test, self._time_left()
            is_late = left <= 0
            if self._has_hung_up:
                child, status, used = os.wait4(self._program.process, os.WNOHANG)
                if child:
                    return self._ended(os.waitstatus_to_exitcode(status), used)
                left = 0
            if self._zygote.shares_disk:
                left = min(left, DISK_LOOK_S)
            self._look_at = time.monotonic() + left
            ready = [descriptor for descriptor, _ in poll.poll(left * 1000 + 1)]
            if control in ready and self._zygote.cancelled(self._request.number):
                return None
            if out in ready and not self._read_output():
                poll.unregister(out)  # closed by the program: it may still go on
            if len(self._output) > self._most:
                return self._over(wire.TOO_LARGE)
            if self._has_filled_disk():
                return self._over(wire.EXIT, 1, b"OSError: [Errno 28] No space left on device")
            if told in ready:
                if self._listen():
                    return None
                if self._has_hung_up:
                    poll.unregister(told)
            if is_late and test == self._test:  # no result was on its way
                return self._over(wire.TIMEOUT, self._clock, self._times())

    def _has_filled_disk(self) -> bool:
        """Whether a program that has no disk of its own has taken more than its share; looks now and then."""
        if not self._zygote.shares_disk or time.monotonic() < self._looked + DISK_LOOK_S:
            return False
        self._looked = time.monotonic()
        return layers.is_full(self._zygote.scratch)

    def _begin_test(self) -> None:
        self._wall = self._look_at = time.monotonic()
        self._cpu = self._cpu_time()
        # When it was last seen to work, and its CPU time then.
        self._worked_at, self._worked = self._wall, 0.0
        self._clock_s, self._slowdown = self._request.time_s * CLOCK_LIMITS, 1.0

    def _cpu_time(self) -> float:
        try:
            return time.clock_gettime((~self._program.process << 3) | 2)  # the clock of another process
        except OSError:  # it has ended
            return 0.0

    def _time_left(self) -> float:
        """Seconds until the test must be looked at again; 0 when its time is over.

        CPU time is what counts, so that a busy machine does not turn right answers into slow ones. The clock
        ends a program that has done nothing for as long as it may work, and one that gets nowhere at all; not
        where this process, which has the same priority, does not get a core either. For the clock, time in
        which nobody looked does not count: a program may have waited for us, or have ended long ago.
        """
        limit, now = self._request.time_s, time.monotonic()
        held_up = max(0.0, now - self._look_at)
        self._wall += held_up
        self._worked_at += held_up
        used = self._cpu_time() - self._cpu
        if used >= limit:
            return 0.0
        if used - self._worked >= limit * WORKING_SHARE:
            self._worked_at, self._worked = now, used
        if (
            now >= min(self._worked_at + max(limit, SHORTEST_IDLE_S), self._wall + self._clock_s)
            and now < self._end
        ):
            self._slowdown = max(self._slowdown, _slowdown())
            self._clock_s = limit * CLOCK_LIMITS * self._slowdown
            now, worked = time.monotonic(), self._cpu_time() - self._cpu - used
            if worked >= SPIN_S * SLEEPING_SHARE or self._slowdown > MOST_SLOWED:
                self._worked_at, self._worked = now, used + worked
        end = min(self._worked_at + max(limit, SHORTEST_IDLE_S), self._wall + self._clock_s, self._end)
        self._clock = (now >= end) + (now >= self._end)
        # At half of what is left by the clock, so that there is some where we are held up.
        return 0.0 if self._clock else max(min(limit - used, (end - now) / 2), SLACK_S)

    def _times(self) -> bytes:
        used, passed = self._cpu_time() - self._cpu, time.monotonic() - self._wall
        by_clock = f"ended by the clock after {passed:.1f} s with {used:.1f} s of CPU time"
        return (by_clock if self._clock else f"over {self._request.time_s:g} s of CPU time").encode()

    def _read_output(self) -> bool:
        """Take what is in the pipe; False at its end."""
        while len(self._output) <= self._most:
            try:
                data = os.read(self._program.out, PIPE_CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            if self._source is None:  # the first byte is from before the program ran
                self._source, data = data[0], data[1:]
            self._output += data
        return True

    def _listen(self) -> bool:
        """Take in the results that the program sends; whether the trial is over."""
        data = os.read(self._program.told, PIPE_CHUNK)
        self._has_hung_up = not data
        self._pieces += data
        at = 0
        try:
            while (said := wire.take_frame(self._pieces, at, self._most)) is not None:
                at = said.end
                if said.status != wire.ENDED:
                    self._note = said.note
                elif self._end_test(said.body):
                    return True
        except wire.BadMessage:
            self._over(wire.TOO_LARGE)
            return True
        del self._pieces[:at]
        self._send()
        return False

    def _end_test(self, body: bytes) -> bool:
        """Hand on the result of a test and begin the next; whether the trial is over."""
        prints = self._inputs is not None
        if prints or self._source is None:
            self._read_output()
        if prints:
            if len(self._output) > self._most:
                self._over(wire.TOO_LARGE)
                return True
            body = bytes(self._output)
            self._output.clear()
        self._report(wire.ENDED, body=body)
        self._test += 1
        if self._test == self._request.tests:
            return True
        if prints:
            try:
                self._put_input()
                os.write(self._program.line, b"+")
            except BrokenPipeError:  # the program has closed the line: its end is noticed next
                pass
            except OSError as error:  # it has filled the folder in which its input lies
                self._over(wire.EXIT, 1, str(error).encode())
                return True
        self._begin_test()
        return False

    def _ended(self, code: int, used: resource.struct_rusage) -> None:
        """The end of a program by itself or by the kernel; one that sends itself a signal has used little."""
        limit, memory = self._request.time_s, used.ru_maxrss << 10
        seconds = used.ru_utime + used.ru_stime - self._cpu
        if code == -signal.SIGXCPU and seconds >= limit / 2 or code == -signal.SIGKILL and seconds >= limit:
            return self._over(wire.TIMEOUT, 0, b"the limit of processor time")
        is_large = code == -signal.SIGKILL and memory >= self._request.memory_bytes / 4
        return self._over(wire.EXIT, code, wire.NO_MEMORY.encode() if is_large else b"")

    def _over(self, status: int, code: int = 0, note: bytes = b"") -> None:
        """The end of a program in the middle of a test, or before the first."""
        self._read_output()
        prints = self._inputs is not None
        if prints and len(self._output) > self._most:
            status = wire.TOO_LARGE
        elif status == wire.EXIT and self._source is None and self._note:
            status = wire.NOT_COMPILED
        elif not prints and self._output and self._test == 0 and self._request.tests > 1:
            status = wire.LOST  # it was not in the first test any more
        body = bytes(self._output) if prints and status == wire.EXIT else b""
        self._report(status, code, note or self._note, body)
