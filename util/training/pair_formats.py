"""What does a preference pair look like in each trainer's own format?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from util.errors import UserError
from util.runs.journal import write_whole


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, the first one preferred."""

    system: str | None
    prompt: str  # the user message as the run sent it
    chosen: str
    rejected: str


def sharegpt_dpo(pair: Pair) -> dict:
    """The same roles as in the training rows of `convert_to_data.py`."""
    return {
        "system": pair.system or "",
        "conversations": [{"from": "user", "value": pair.prompt}],
        "chosen": {"from": "assistant", "value": pair.chosen},
        "rejected": {"from": "assistant", "value": pair.rejected},
    }


def trl_dpo(pair: Pair) -> dict:
    """TRL's conversational preference rows with an explicit prompt."""
    system = [{"role": "system", "content": pair.system}] if pair.system else []
    return {
        "prompt": [*system, {"role": "user", "content": pair.prompt}],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
    }


PAIR_FORMATS: dict[str, Callable[[Pair], dict]] = {
    "sharegpt-dpo": sharegpt_dpo,
    "trl-dpo": trl_dpo,
    "llamafactory-dpo": sharegpt_dpo,  # the same rows, and an entry in dataset_info.json
}


def write_ranking_info(paths: list[Path], *, with_system: bool) -> Path:
    """Enter files of pairs into the `dataset_info.json` beside them, as LLaMA-Factory wants it."""
    info_path = paths[0].with_name("dataset_info.json")
    info = {}
    if info_path.exists():
        try:
            info = json.loads(info_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{info_path} is not JSON ({error}): correct it or move it away") from error
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    for path in paths:
        info[path.stem] = {
            "file_name": path.name,
            "formatting": "sharegpt",
            "ranking": True,
            "columns": columns | ({"system": "system"} if with_system else {}),
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        }
    write_whole(info_path, json.dumps(info, ensure_ascii=False, indent=2) + "\n")
    return info_path
