"""How many processor cores may this process use?

Call `usable_cores`.
"""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that the process's affinity and the quota of its control groups leave it, at least 1.

    Part of a core counts as a whole one. `root` is where /proc and /sys lie.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(share) for share in _quotas(root))]))


def _quotas(root: Path) -> list[float]:
    """Processor seconds a second that each control group around this process may use, where limited."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").split("\n")
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, inside = (line.split(":", 2) + ["", ""])[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # A container may see its own group as the root of the mount, whatever it is called outside.
        group = Path(inside.lstrip("/"))
        for folder in {mounted / group, *(mounted / parent for parent in group.parents), mounted}:
            quota = _quota_v1(folder) if controllers else _quota_v2(folder)
            if quota is not None:
                found.append(quota)
    return found


def _quota_v2(folder: Path) -> float | None:
    """`cpu.max` holds microseconds of quota, or "max", and of the period."""
    numbers = _numbers(folder / "cpu.max")
    return numbers[0] / numbers[1] if len(numbers) == 2 else None


def _quota_v1(folder: Path) -> float | None:
    """A quota of -1 is none."""
    quota, period = _numbers(folder / "cpu.cfs_quota_us"), _numbers(folder / "cpu.cfs_period_us")
    return quota[0] / period[0] if quota and period and quota[0] > 0 else None


def _numbers(file: Path) -> list[int]:
    try:
        return [int(word) for word in file.read_text(encoding="ascii").split()]
    except (OSError, ValueError):  # no such limit here, or the word "max"
        return []
