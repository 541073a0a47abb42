"""Runs the self-test of the sandbox where nobody else's processes and files are seen, as root.

    unshare --mount --pid --fork --mount-proc python tests/self_test_alone.py [layer switched off ...]

Prints, as a JSON line, the attacks that succeeded and what was left behind.
"""

import json
import os
import sys
import time
from pathlib import Path

from nobody import BIND, RECURSIVE, let_through, mount

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from util.grading.sandbox.selftest import self_test  # noqa: E402


def state() -> dict[str, set[str]]:
    """Processes, files where programs could work, and mounts."""
    return {
        "processes": {name for name in os.listdir("/proc") if name.isdigit()},
        "files": {f"{place}/{name}" for place in ("/tmp", "/dev/shm") for name in os.listdir(place)},
        "mounts": set(Path("/proc/self/mountinfo").read_text().splitlines()),
    }


def left_since(before: dict[str, set[str]]) -> dict[str, list[str]]:
    return {kind: sorted(found - before[kind]) for kind, found in state().items()}


if __name__ == "__main__":
    os.umask(0o022)
    needed = {sys.base_prefix, sys.prefix, Path(__file__).resolve().parent.parent}
    paths = sorted({Path(path).resolve() for path in needed})
    covered = {path: os.open(path, os.O_PATH) for path in paths if path.is_relative_to("/tmp")}
    for place in ("/tmp", "/dev/shm"):
        mount("tmpfs", place, "tmpfs", 0)
    for path, descriptor in covered.items():
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(path), None, BIND | RECURSIVE)
    let_through(paths)
    before = state()
    report = self_test(without=sys.argv[1:])
    end = time.monotonic() + 60  # what is ended by its parent's end may take a moment
    while any((left := left_since(before)).values()) and time.monotonic() < end:
        time.sleep(0.02)
    fell = [probe.name for probe in report.probes if not probe.held]
    print(json.dumps({"fell": fell, "left": left, "seen": {p.name: p.seen for p in report.probes}}))
