"""What is a LoRA adapter, and may it be used? Call `read_adapter` with the NAME=PATH of --lora."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from util.errors import UserError
from util.settings import NOT_RECORDED

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")  # vLLM takes the first
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that all versions of vLLM can make room for


@dataclass(frozen=True)
class Adapter:
    """A folder with an adapter's weights, and what makes them these weights and no others."""

    name: str
    path: str
    rank: int  # that an engine has to make room for; 0: nobody looked
    digest: str  # of its weights and configuration

    def __str__(self) -> str:
        return f"{self.name}={self.path}"


def read_adapter(text: str, *, is_asked: bool = True) -> Adapter:
    """The adapter at NAME=PATH; raises UserError where an engine could not use it.

    Where nothing is asked of it any more, it may be gone.
    """
    name, _, path = text.partition("=")
    folder = Path(path)
    if not is_asked and not folder.exists():
        return Adapter(name, path, 0, NOT_RECORDED)
    if not (folder / CONFIG).is_file():
        raise UserError(f"--lora {text}: {path} holds no adapter, it has no {CONFIG}: give its folder")
    weights = next((folder / each for each in WEIGHTS if (folder / each).is_file()), None)
    if weights is None:
        raise UserError(f"--lora {text}: {path} has no {WEIGHTS[0]}: save the adapter's weights there")
    try:
        said = (folder / CONFIG).read_bytes()
        with open(weights, "rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise UserError(f"--lora {text}: {error.filename} cannot be read: {error.strerror}") from error
    digest.update(said)
    return Adapter(name, path, _room(text, _rank(text, said)), f"sha256:{digest.hexdigest()[:16]}")


def _rank(text: str, said: bytes) -> int:
    """The largest rank that the configuration names: single modules may have one of their own."""
    try:
        config = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"--lora {text}: its {CONFIG} is not JSON ({error}): save the adapter again"
        ) from error
    if not isinstance(config, dict) or config.get("peft_type", "LORA") != "LORA":
        raise UserError(
            f"--lora {text}: its {CONFIG} is not that of a LoRA adapter: give one that PEFT saved"
        )
    own = config.get("rank_pattern") or {}
    ranks = [config.get("r"), *(own.values() if isinstance(own, dict) else [own])]
    for rank in ranks:
        if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
            raise UserError(f"--lora {text}: its {CONFIG} has the rank {rank!r}: it has to be 1 or more")
    return max(ranks)


def _room(text: str, rank: int) -> int:
    if rank > RANKS[-1]:
        raise UserError(
            f"--lora {text}: its rank is {rank}, vLLM takes {RANKS[-1]} at most: merge the adapter into the "
            "model, and give that as --model"
        )
    return next(room for room in RANKS if room >= rank)
