"""Runs the self-test of the sandbox where nobody else's processes and files are seen, as root.

    unshare --mount --pid --fork --mount-proc python tests/self_test_alone.py [layer switched off ...]

Prints, as a JSON line, the attacks that succeeded and what was left behind.
"""

import ctypes
import json
import os
import sys
import time
from pathlib import Path

from nobody import let_through

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from util.grading.sandbox.selftest import self_test  # noqa: E402


def state() -> dict[str, set[str]]:
    """Processes, files where programs could work, and mounts."""
    return {
        "processes": {name for name in os.listdir("/proc") if name.isdigit()},
        "files": {f"{place}/{name}" for place in ("/tmp", "/dev/shm") for name in os.listdir(place)},
        "mounts": set(Path("/proc/self/mountinfo").read_text().splitlines()),
    }


if __name__ == "__main__":
    os.umask(0o022)
    for place in (b"/tmp", b"/dev/shm"):
        if ctypes.CDLL(None).mount(b"tmpfs", place, b"tmpfs", 0, None):
            sys.exit(f"no mount at {place!r}")
    needed = {sys.base_prefix, sys.prefix, Path(__file__).resolve().parent.parent}
    let_through(sorted({Path(path).resolve() for path in needed}))
    before = state()
    report = self_test(without=sys.argv[1:])
    time.sleep(0.2)  # what is ended by its parent's end may take a moment
    left = {kind: sorted(found - before[kind]) for kind, found in state().items()}
    fell = [probe.name for probe in report.probes if not probe.held]
    print(json.dumps({"fell": fell, "left": left, "seen": {p.name: p.seen for p in report.probes}}))
