"""Which samples does a problem still need, and with what seed is each one asked?"""

from __future__ import annotations

import hashlib


def sample_seed(run_seed: int, problem_id: str, temperature: float, index: int) -> int:
    """Seed of one sample, 31 bits; independent of the order in which samples are asked."""
    key = f"{run_seed} {float(temperature)} {index} {problem_id}".encode("utf-8", "backslashreplace")
    return int.from_bytes(hashlib.sha256(key).digest()[:4], "big") >> 1


def samples_at(temperature: float, n: int) -> int:
    """How many samples make sense: greedy decoding gives the same text each time, so one is enough."""
    return 1 if temperature == 0 else n
