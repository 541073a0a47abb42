"""Runs a command as root in a container would have it, with what Docker takes away by default taken away.

    python tests/container.py docker|unconfined|bare [open] COMMAND ...

docker: Docker's default capabilities, and a filter that refuses what its profile refuses;
unconfined: those capabilities without the filter, as in Kubernetes;
bare: the filter and no capability at all;
open: everyone may enter the folders on the way to Python. Needs root.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path

from nobody import let_through

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from util.grading.sandbox import layers  # noqa: E402

_libc = ctypes.CDLL(None, use_errno=True)
# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
# AUDIT_WRITE SETFCAP
DOCKER = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
# mount umount2 pivot_root unshare setns mount_setattr open_tree move_mount fsopen fsconfig fsmount fspick
# bpf perf_event_open keyctl add_key request_key userfaultfd: (x86_64, aarch64)
REFUSED = (
    (165, 40), (166, 39), (155, 41), (272, 97), (308, 268), (442, 442), (428, 428), (429, 429),
    (430, 430), (431, 431), (432, 432), (433, 433), (321, 280), (298, 241), (250, 219), (248, 217),
    (249, 218), (323, 282),
)  # fmt: skip
CLONE = (56, 220)
NEW_NAMESPACE = 0x7E020000


def docker_filter() -> bytes:
    """What runc would install, in short: all else is allowed."""
    word, back = layers._instruction, layers._return
    denied, column = back(0x00050000 | 1), layers._COLUMN
    parts = [word(0x20, 0)]
    for numbers in REFUSED:
        parts += [word(0x15, numbers[column], 0, 1), denied]
    parts += [word(0x15, 435, 0, 1), back(0x00050000 | 38)]  # clone3: ENOSYS
    parts += [word(0x15, CLONE[column], 0, 3), word(0x20, 16), word(0x45, NEW_NAMESPACE, 0, 1), denied]
    return b"".join([*parts, back(0x7FFF0000)])


def keep_only(capabilities: tuple[int, ...]) -> None:
    for number in range(64):
        if number not in capabilities:
            _libc.prctl(24, number, 0, 0, 0)  # the bounding set; EINVAL beyond the last one
    low = sum(1 << number for number in capabilities)
    header, data = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", low, low, 0, 0, 0, 0)
    if _libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    kind, *command = sys.argv[1:]
    os.umask(0o022)
    if command[0] == "open":
        command = command[1:]
        needed = {sys.base_prefix, sys.prefix, Path(__file__).resolve().parent.parent}
        let_through(sorted({Path(path).resolve() for path in needed}))
    if kind != "unconfined":
        layers._Filter(docker_filter()).apply()
    keep_only(() if kind == "bare" else DOCKER)
    os.execvp(command[0], command)
