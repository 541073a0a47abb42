"""Would right programs pass on this machine, in the very isolation that they get here?

Call `require_isolation` before a run, or `check_control` with a sandbox of your own.
"""

from __future__ import annotations

import os
import resource
import sys
import sysconfig
from pathlib import Path

from util.errors import UserError
from util.grading.sandbox import layers
from util.grading.sandbox.parent import (
    TIERS,
    Isolation,
    Limits,
    Program,
    Sandbox,
    SandboxError,
    isolation,
    warm_sandbox,
)

RUN_CPU_S = 3600  # processor time that a process which grades a whole run may need
THREADS = 8
# What no sandbox has loaded beforehand: plain Python, packages, and modules written in C.
_CONTROL = f"""
import os, sys, threading
for path in {{paths}}: os.listdir(path)
import decimal, statistics, unicodedata, xml.etree.ElementTree
threads = [threading.Thread(target=threading.Event().wait, args=(0.01,)) for _ in range({THREADS})]
for thread in threads: thread.start()
with open("work", "w") as file: file.write(input())
print(statistics.mean(map(int, open("work").read().split())))
"""
# What of this machine a right program may need: (limit, how ulimit names it, how much, what ulimit counts in)
_NEEDED = (
    (resource.RLIMIT_NOFILE, "-Hn", layers.OPEN_FILES, 1),
    (resource.RLIMIT_CPU, "-t", RUN_CPU_S, 1),
    (resource.RLIMIT_FSIZE, "-Hf", layers.FILE_BYTES, 1024),
    (resource.RLIMIT_STACK, "-Hs", layers.STACK_BYTES, 1024),
    (resource.RLIMIT_AS, "-Hv", Limits().memory_bytes, 1024),
    (resource.RLIMIT_DATA, "-Hd", Limits().memory_bytes, 1024),
)


def require_isolation(wanted: str) -> Isolation:
    """The isolation of this machine.

    Raises UserError when it is less than `wanted`, one of TIERS, or when right programs would fail in it.
    """
    if wanted not in TIERS:
        raise UserError(f"--require-isolation {wanted}: choose from {', '.join(TIERS)}")
    check_own_limits()
    try:
        found = isolation()
    except SandboxError as error:
        raise UserError(f"programs cannot be run here: {error}") from error
    if TIERS.index(found.tier) < TIERS.index(wanted):
        raise UserError(
            f"programs would run with {found.tier} isolation, and {wanted} is required. "
            f"Missing: {found.gone()}. Run on a machine whose kernel allows it, or ask for less with "
            "--require-isolation"
        )
    check_control(warm_sandbox())
    return found


def check_own_limits() -> None:
    """Raise UserError when this process may use less than a right program may need."""
    threads = layers.THREADS + (layers.threads_of(os.getuid()) if os.getuid() else 0)
    for name, letter, needed, unit in (*_NEEDED, (resource.RLIMIT_NPROC, "-Hu", threads, 1)):
        soft, hard = resource.getrlimit(name)
        found = soft if name == resource.RLIMIT_CPU else hard
        if found != resource.RLIM_INFINITY and found < needed:
            raise UserError(
                f"programs cannot be run here: ulimit {letter} is {found // unit}, and right programs may "
                f"need {needed // unit}; raise it where it is set (your shell, the container, or "
                "/etc/security/limits.conf)"
            )


def check_control(sandbox: Sandbox) -> None:
    """Raise UserError, with what can be done, when a right program fails in this sandbox."""
    paths = [path for path in _paths() if Path(path).is_dir()]
    program = Program((_CONTROL.format(paths=paths),))
    try:
        (outcome,) = sandbox.run(program, [b"1 2 3"], Limits())
    except SandboxError as error:
        raise UserError(f"programs cannot be run here: {error}") from error
    if outcome.status != "ended" or outcome.output != b"2\n":
        said = outcome.note or outcome.status
        raise UserError(f"right programs would fail here: {said}. {_cure(sandbox.isolation, said)}")


def _paths() -> list[str]:
    """Where programs find what they import."""
    places = sysconfig.get_paths()
    return sorted({str(Path(os.__file__).parent), places["purelib"], places["platlib"]})


def _cure(found: Isolation, said: str) -> str:
    if "start new thread" in said:
        return f"They may start {THREADS} threads: raise ulimit -u, or the container's limit of processes"
    if "private user id" in found.layers:
        for path in map(Path, _paths()):
            whole = () if "private root" in found.layers else reversed(path.resolve().parents)
            for folder in (*whole, path.resolve()):
                mode = folder.stat().st_mode & 0o777 if folder.exists() else 0o777
                if not mode & 1:
                    return (
                        f"They run as a user of their own, who may not enter {folder} (mode {mode:o}), where "
                        f"Python is: run chmod o+x {folder}, use a Python elsewhere (in /opt, say), or "
                        "start this command as an ordinary user"
                    )
    return f"See whether other users may read all of {sys.base_prefix} and {sys.prefix}"
