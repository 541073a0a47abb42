"""Which walls does the kernel give us around untrusted programs, and how are they put up?

The zygote calls them from the outermost to the innermost: `unshare`, `enter_private_root`,
`limit_for_good`, `landlock`, `Seccomp`. Runs in the sandbox's own processes: standard library only, nothing
of ours is imported. Each layer either works or raises OSError; the zygote notes what was refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
from itertools import islice

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_with_lock = ctypes.PyDLL(None, use_errno=True)  # calls that keep the interpreter's lock


def _check(result: int, what: str) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _syscall(number: int, *arguments: object) -> int:
    wrapped = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *wrapped), f"system call {number}")


# --- namespaces ---

NAMESPACES = {  # name -> flag of unshare; "user" comes first because it gives the right to the others
    "mount": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
}
_NEW_USER = 0x10000000
INSIDE_ID = 1000  # uid and gid that a program sees


def unshare(name: str) -> None:
    _check(_libc.unshare(NAMESPACES[name]), f"unshare {name}")


def own_user_namespace() -> None:
    """Become an unprivileged user's own namespace: all rights inside, none outside."""
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW_USER), "unshare user")
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE_ID} {uid} 1"),
        ("gid_map", f"{INSIDE_ID} {gid} 1"),
    ):
        with open(f"/proc/self/{file}", "w") as map_file:
            map_file.write(text)


def user_namespace_of_root(number: int) -> None:
    """As root without the right to make other namespaces: one that knows root and the user `number`, who is
    INSIDE_ID in it."""
    ready, say = os.pipe()
    process = os.getpid()
    helper = os.fork()
    if helper == 0:  # the maps have to be written from outside
        code = 0
        try:
            os.close(say)
            os.read(ready, 1)
            for kind in ("uid", "gid"):
                with open(f"/proc/{process}/{kind}_map", "w") as map_file:
                    map_file.write(f"0 0 1\n{INSIDE_ID} {number} 1")
        except OSError as error:
            code = error.errno or 1
        os._exit(code)
    os.close(ready)
    try:
        _check(_libc.unshare(_NEW_USER), "unshare user")
        os.write(say, b"+")
    finally:
        os.close(say)
        code = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if code:
        raise OSError(code, f"map of users: {os.strerror(code)}")


# Above what systems hand out to people and to containers.
PRIVATE_IDS = range(2_000_000_000, 2_147_000_000)
_NOBODY = 65534


def private_id() -> int:
    """A number for a user that nobody else has, by chance: process ids are alike in all containers."""
    ids = PRIVATE_IDS
    for kind in ("uid", "gid"):
        with open(f"/proc/self/{kind}_map") as lines:
            begin, _, count = max([int(word) for word in line.split()] for line in lines)
        if begin + count < ids.stop:  # a container that has few
            ids = range(max(begin, (begin + count) // 2, 1), min(begin + count, ids.stop))
    spare = len(ids) - (_NOBODY in ids)
    if spare < 1:
        raise OSError(errno.EINVAL, "there is no user id to spare in this user namespace")
    number = ids.start + int.from_bytes(os.urandom(8), "big") % spare
    return ids[-1] if number == _NOBODY else number


def become_private_uid(number: int) -> None:
    """As root: give up root for a user id that nobody else has."""
    os.setgroups([])
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def drop_capabilities() -> None:
    header = struct.pack("Ii", 0x20080522, 0)
    _syscall(_SYSCALLS["capset"], ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))


def no_new_privileges() -> None:
    _check(_libc.prctl(38, 1, 0, 0, 0), "prctl no_new_privs")


def die_with_parent() -> None:
    _check(_libc.prctl(1, 9, 0, 0, 0), "prctl pdeathsig")


def hide_from_debuggers() -> None:
    """No core dumps, and no reading of this process's memory by others of the same user."""
    _check(_libc.prctl(4, 0, 0, 0, 0), "prctl dumpable")


class Strays:
    """Processes that lose their parent become this one's children, so that it can end them."""

    def __init__(self, proc: int) -> None:
        """`proc` is /proc, which may be out of sight by now."""
        _check(_libc.prctl(36, 1, 0, 0, 0), "prctl child subreaper")
        process = os.getpid()
        try:
            self._children = os.open(f"{process}/task/{process}/children", os.O_RDONLY, dir_fd=proc)
        except OSError:  # a kernel that does not list them
            self._children = -1

    def end(self, keep: set[int]) -> None:
        """End all children but those to `keep`, and what they leave behind in turn."""
        while self._children >= 0:
            strays = set(map(int, os.pread(self._children, 1 << 16, 0).split())) - keep
            if not strays:
                return
            for stray in strays:
                os.kill(stray, signal.SIGKILL)
                os.waitpid(stray, 0)


# --- a private, read-only root ---

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_RECURSIVE = 442, 0x8000
_READ_ONLY = struct.pack("QQQQ", 1 | 2 | 4, 0, 0, 0)  # rdonly, nosuid, nodev
SCRATCH_BYTES, SCRATCH_FILES = 256 << 20, 4096
DEVICES = ("null", "zero", "urandom", "random")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    result = _libc.mount(*encoded, ctypes.c_ulong(flags), None if data is None else data.encode())
    _check(result, f"mount {target}")


def _read_only(target: str) -> None:
    try:
        _syscall(_MOUNT_SETATTR, -100, os.fsencode(target), _AT_RECURSIVE, _READ_ONLY, len(_READ_ONLY))
    except OSError as error:
        if error.errno != errno.ENOSYS:  # kernels before 5.12
            raise
        kept = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC | 1024 | 2048 | (1 << 21))
        _mount("", target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept | _MS_NOSUID)


def enter_private_root(paths: list[str]) -> str:
    """See only `paths`, read-only, at their old places, and a writable scratch folder, which is returned.

    Must be called in a mount namespace of one's own.
    """
    base = "/tmp"
    # Opened before anything is covered: a Python below /tmp must still be found.
    opened = {path: os.open(path, os.O_PATH) for path in _outermost(paths)}
    devices = {f"/dev/{name}": os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES}
    _mount("", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", base, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m,nr_inodes=1k")
    try:
        for path, descriptor in {**opened, **devices}.items():
            _bind(descriptor, base + path)
            if path in opened:
                _read_only(base + path)
        for path in paths:
            _keep_link(path, base)
        # A Python installed below /tmp must not be covered by the scratch folder.
        scratch = "/scratch" if os.path.lexists(base + "/tmp") else "/tmp"
        os.mkdir(base + scratch)
        limits = f"mode=1777,size={SCRATCH_BYTES},nr_inodes={SCRATCH_FILES}"
        _mount("tmpfs", base + scratch, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, limits)
        os.symlink(f"{scratch}/stdin", base + "/dev/stdin")
        os.chdir(base)
        _syscall(_SYSCALLS["pivot_root"], b".", b".")
    except OSError:
        os.chdir("/")
        _libc.umount2(base.encode(), 2)
        raise
    finally:
        for descriptor in (*opened.values(), *devices.values()):
            os.close(descriptor)
    _check(_libc.umount2(b".", 2), "umount old root")
    os.chdir("/")
    _mount("", "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    return scratch


def _outermost(paths: list[str]) -> list[str]:
    real = sorted({os.path.realpath(path) for path in paths if os.path.exists(path)})
    return [path for path in real if not any(path.startswith(other + "/") for other in real)]


def _bind(descriptor: int, target: str) -> None:
    source = f"/proc/self/fd/{descriptor}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(source, target, None, _MS_BIND | _MS_REC)


def _keep_link(path: str, base: str) -> None:
    """/lib is often a link to /usr/lib, and programs are linked against the short name."""
    real = os.path.realpath(path)
    if real != path and os.path.exists(path) and not os.path.lexists(base + path):
        os.makedirs(os.path.dirname(base + path), exist_ok=True)
        os.symlink(real, base + path)


# --- Landlock ---

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_WRITE_FILE, _READ_FILE, _READ_DIR = 2, 4, 8
# Those, and to remove and make files and folders, to move and to truncate.
_WORK = _WRITE_FILE | _READ_FILE | _READ_DIR | 16 | 32 | 128 | 256 | 1 << 13 | 1 << 14


def landlock(readable: list[str], scratch: str) -> None:
    """From now on, for ever: read below `readable`, change files and folders in `scratch`, nothing else."""
    version = _syscall(_CREATE_RULESET, 0, 0, 1)  # that of the kernel; OSError where there is no Landlock
    handled = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = struct.pack("QQQ", handled, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _syscall(_CREATE_RULESET, attributes[:size], size, 0)
    rules = {path: _READ_FILE | _READ_DIR for path in readable}
    rules |= {
        f"/dev/{name}": _READ_FILE | (_WRITE_FILE if name in ("null", "zero") else 0) for name in DEVICES
    }
    rules[scratch] = _WORK
    for path, access in rules.items():
        if not os.path.exists(path):
            continue
        if not os.path.isdir(path):
            access &= ~_READ_DIR
        descriptor = os.open(path, os.O_PATH)
        rule = struct.pack("=Qi", access & handled, descriptor)
        _syscall(_ADD_RULE, ruleset, 1, rule, 0)
        os.close(descriptor)
    _syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


# --- seccomp ---

# Numbers of the allowed system calls: (x86_64, aarch64); None where an architecture lacks the call.
_NUMBERS = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None),
    "fstat": (5, 80), "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "access": (21, None), "pipe": (22, None), "select": (23, None),
    "sched_yield": (24, 124), "mremap": (25, 216), "mincore": (27, 232), "madvise": (28, 233),
    "dup": (32, 23), "dup2": (33, None), "pause": (34, None), "nanosleep": (35, 101),
    "getitimer": (36, 102), "alarm": (37, None), "setitimer": (38, 103), "getpid": (39, 172),
    "exit": (60, 93), "uname": (63, 160), "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83),
    "ftruncate": (77, 46), "getdents": (78, None), "getcwd": (79, 17), "chdir": (80, 49),
    "rename": (82, None), "creat": (85, None), "unlink": (87, None), "readlink": (89, None),
    "umask": (95, 166), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173), "getgroups": (115, 158),
    "getresuid": (118, 148), "getresgid": (120, 150), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132),
    "gettid": (186, 178), "time": (201, None), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "epoll_create": (213, None), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "epoll_wait": (232, None), "epoll_ctl": (233, 21), "openat": (257, 56), "newfstatat": (262, 79),
    "unlinkat": (263, 35), "renameat": (264, 38), "readlinkat": (267, 78), "faccessat": (269, 48),
    "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99), "epoll_pwait": (281, 22),
    "epoll_create1": (291, 20), "dup3": (292, 24), "pipe2": (293, 59), "getcpu": (309, 168),
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None),
    "renameat2": (316, 276), "getrandom": (318, 278), "membarrier": (324, 283), "statx": (332, 291),
    "rseq": (334, 293), "close_range": (436, 436), "faccessat2": (439, 439),
}  # fmt: skip
_SPECIAL = {  # calls that are looked at more closely, or that only the set-up makes
    "ioctl": (16, 29), "clone": (56, 220), "kill": (62, 129), "fcntl": (72, 25), "setrlimit": (160, 164),
    "tgkill": (234, 131), "prlimit64": (302, 261), "clone3": (435, 435), "capset": (126, 91),
    "pivot_root": (155, 41), "prctl": (157, 167), "setsid": (112, 157), "recvmsg": (47, 212),
}  # fmt: skip
_TEMPLATE_ONLY = ("prctl", "setsid", "recvmsg")  # for forking programs and confining them
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_COLUMN, _AUDIT_ARCH = _MACHINES.get(os.uname().machine, (0, 0))
_SYSCALLS = {name: numbers[_COLUMN] for name, numbers in _SPECIAL.items()}
_LOAD, _EQUAL, _GREATER_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_CLONE_THREAD = 0x00010000
# Duplicate, descriptor and file flags, locks: not F_SETOWN and F_SETSIG, which make the kernel send signals.
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 1030)
_PID_MARK = 0x7EADBEEF


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _return(value: int) -> bytes:
    return _instruction(_RETURN, value)


def _argument(number: int, high: bool = False) -> bytes:
    return _instruction(_LOAD, 16 + 8 * number + (4 if high else 0))


def _special(name: str, *body: bytes) -> bytes:
    """`body` when the call is `name`; it must return in all its branches."""
    return _instruction(_EQUAL, _SYSCALLS[name], 0, len(body)) + b"".join(body)


_DENIED, _HARMLESS = _return(_ERROR | errno.EPERM), _return(_ERROR)


def template_filter() -> bytes:
    """What the process that programs are forked from may do, as the kernel wants it written.

    Programs inherit it and get `program_filter` on top: looking through the long list takes the kernel
    long, and so it is done once.
    """
    if not _AUDIT_ARCH:
        raise OSError(errno.ENOSYS, f"no list of system calls for {os.uname().machine}")
    parts = [
        _instruction(_LOAD, 4),
        _instruction(_EQUAL, _AUDIT_ARCH, 1, 0),
        _DENIED,
        _instruction(_LOAD, 0),
        _instruction(_GREATER_EQUAL, 0x40000000, 0, 1),  # the x32 numbers
        _DENIED,
        _special("ioctl", _return(_ERROR | errno.ENOTTY)),
        # Threads only: glibc falls back to clone when clone3 is missing.
        _special("clone3", _return(_ERROR | errno.ENOSYS)),
        # Answers raise their own stack limit: they must not crash over it, and nothing happens.
        _special("setrlimit", _HARMLESS),
        _special(
            "prlimit64",
            _argument(2),
            _instruction(_EQUAL, 0, 0, 3),
            _argument(2, high=True),
            _instruction(_EQUAL, 0, 0, 1),
            _return(_ALLOW),
            _HARMLESS,
        ),
    ]
    commands = [_instruction(_EQUAL, c, len(_FCNTL_COMMANDS) - i) for i, c in enumerate(_FCNTL_COMMANDS)]
    parts.append(_special("fcntl", _argument(1), *commands, _DENIED, _return(_ALLOW)))
    allowed = [numbers[_COLUMN] for numbers in _NUMBERS.values()]
    allowed += [_SYSCALLS[name] for name in ("clone", "kill", "tgkill", *_TEMPLATE_ONLY)]
    for number in allowed:
        if number is not None:
            parts += [_instruction(_EQUAL, number, 0, 1), _return(_ALLOW)]
    return b"".join([*parts, _DENIED])


def program_filter() -> bytes:
    """What a program may not do of what its template may; its own process id is filled in later."""
    own = (_instruction(_EQUAL, _PID_MARK, 0, 1), _return(_ALLOW), _DENIED)
    threads = (_argument(0), _instruction(_ANY_BIT, _CLONE_THREAD, 0, 1), _return(_ALLOW), _DENIED)
    parts = [
        _instruction(_LOAD, 0),
        _special("clone", *threads),
        _special("kill", _argument(0), *own),
        _special("tgkill", _argument(0), *own),
        *(_special(name, _DENIED) for name in _TEMPLATE_ONLY),
        _return(_ALLOW),
    ]
    return b"".join(parts)


class Seccomp:
    """The two filters made ready beforehand, so that a new process needs little to put its own on.

    Raises OSError when the kernel does not take them.
    """

    def __init__(self) -> None:
        self._template = _Filter(template_filter())
        self._program = _Filter(program_filter())
        child = os.fork()
        if child == 0:  # tries them, and ends
            try:
                self.confine_template()
                self.confine_program()
            except OSError as error:
                os._exit(error.errno or 1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            raise OSError(abs(code), os.strerror(code) if code > 0 else f"ended by signal {-code}")

    def confine_template(self) -> None:
        """Allow this process nothing but to fork programs; for ever."""
        self._template.apply()

    def confine_program(self) -> None:
        """Allow this process, forked from the template, nothing but what a calculating program needs."""
        self._program.apply()


class _Filter:
    def __init__(self, program: bytes) -> None:
        mark = struct.pack("I", _PID_MARK)
        self._places = [i // 4 for i in range(0, len(program), 4) if program[i : i + 4] == mark]
        # As little as possible is left to do for a new process, as it must copy what it touches.
        buffer = ctypes.create_string_buffer(program, len(program))
        self._words = memoryview(buffer).cast("B").cast("I")
        header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
        self._arguments = (22, 2, ctypes.byref(ctypes.create_string_buffer(header)), 0, 0)
        self._prctl = _with_lock.prctl

    def apply(self) -> None:
        for place in self._places:
            self._words[place] = os.getpid()
        _check(self._prctl(*self._arguments), "prctl seccomp")


_CLONE_PARENT = 0x00008000
_CLONE_ARGUMENTS = (_SYSCALLS["clone"], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)


def fork_sibling() -> int:
    """A plain fork whose child belongs to our parent: none of the work that Python does for threads.

    Random generators therefore begin alike in every program, so that verdicts can be repeated.
    """
    child = _with_lock.syscall(*_CLONE_ARGUMENTS)
    if child < 0:  # never handed on: a signal to process -1 reaches everyone
        raise BlockingIOError(errno.EAGAIN, "clone: too many processes")
    return child


# --- limits ---

SHARED_THREADS = 512  # above what the user runs already, where programs share a user id
THREADS, OPEN_FILES, FILE_BYTES = 128, 64, 32 << 20
STACK_BYTES = 256 << 20


def one_heap() -> None:
    """All threads allocate from one heap: one for each, as glibc has it, would reserve 64 MiB a thread."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(-8, 1)


def limit(name: int, value: int) -> None:
    """Set a limit of this process, never above what it has already, for good."""
    _, hard = resource.getrlimit(name)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(name, (value, value))


def limit_of(process: int, name: int, value: int) -> None:
    """Set a limit of another process of ours, which we can raise again; seccomp keeps programs from it."""
    _, hard = resource.prlimit(process, name)
    resource.prlimit(process, name, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


# A folder that the program, which runs on, has removed, or has put a file or a closed folder in the place of.
_CHANGED_MEANWHILE = (FileNotFoundError, NotADirectoryError, PermissionError)


def is_full(folder: str) -> bool:
    """Whether a scratch folder on a shared disk holds more than one with a size of its own could."""
    left_bytes, left_files, folders = SCRATCH_BYTES, SCRATCH_FILES, [folder]
    while folders:
        try:
            entries = _entries(folders.pop())
            left_files -= len(entries)
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    left_bytes -= _disk_bytes(entry)
        except _CHANGED_MEANWHILE:
            continue
        except OSError:  # deeper than a path can say
            return True
        if left_bytes < 0 or left_files < 0:
            return True
    return False


def _entries(folder: str) -> list[os.DirEntry]:
    """What is in a folder, also in one that is closed; not more of it than there may be."""
    mode = os.stat(folder).st_mode & 0o7777
    if mode & 0o500 == 0o500:
        return _listed(folder)
    os.chmod(folder, 0o700)
    try:
        return _listed(folder)
    finally:
        os.chmod(folder, mode)


def _listed(folder: str) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return list(islice(entries, SCRATCH_FILES + 1))


def _disk_bytes(entry: os.DirEntry) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except _CHANGED_MEANWHILE:
        return 0


def limit_for_good(own_user: bool) -> None:
    """Limits that do not depend on the program; inherited by all of them."""
    for name in ("CORE", "MEMLOCK", "MSGQUEUE", "SIGPENDING"):
        limit(getattr(resource, f"RLIMIT_{name}"), THREADS if name == "SIGPENDING" else 0)
    limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    # The limit counts every thread of the user: someone who shares a user id gets room above what runs now.
    limit(resource.RLIMIT_NPROC, THREADS if own_user else SHARED_THREADS + threads_of(os.getuid()))


def threads_of(uid: int) -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:  # it has ended, or is hidden
                continue
    return count
