"""Runs a command as an unprivileged user, who is let through to Python and to this repository.

    python tests/nobody.py COMMAND ...

Needs root. In a mount namespace of its own, folders on the way that others may not enter are covered by empty
ones that hold only what is needed; nothing changes outside.
"""

import ctypes
import os
import sys
from pathlib import Path

NOBODY = 65534
NEW_MOUNTS, BIND, RECURSIVE, PRIVATE = 0x20000, 4096, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    if _libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() if data else None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def closed_folder(path: Path) -> Path | None:
    """The first folder on the way that others may not enter."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 1:
            return folder
    return None


def let_through(paths: list[Path]) -> None:
    if _libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("", "/", None, PRIVATE | RECURSIVE)
    opened = {path: os.open(path, os.O_PATH) for path in paths if closed_folder(path)}
    for path in opened:
        covered = closed_folder(path) if path.exists() else None
        if covered is not None:
            mount("tmpfs", str(covered), "tmpfs", 0, "mode=755")
    for path, descriptor in opened.items():
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(path), None, BIND | RECURSIVE)


if __name__ == "__main__":
    os.umask(0o022)
    needed = {sys.base_prefix, sys.prefix, Path(__file__).resolve().parent.parent}
    let_through(sorted({Path(path).resolve() for path in needed}))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.execve(sys.argv[1], sys.argv[1:], {"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
