"""What does a model's name imply? Never whether it may be used: an unknown name gets no special treatment."""

from __future__ import annotations

import os

# Models that were trained with a fixed system message: name of a text under util/prompts.
SYSTEM_PROMPTS = {
    "Sky-T1-32B-Preview": "system_thought",
    "Sky-T1-32B-Flash": "system_thought",
    "Sky-T1-mini": "system_thought",
}


def short_name(model: str) -> str:
    """The last path component: "Qwen/QwQ-32B-Preview" and "/models/QwQ-32B-Preview/" are both
    "QwQ-32B-Preview"."""
    name = model.rstrip("/").rsplit("/", 1)[-1]
    if name in ("", ".", ".."):  # a folder by its place: take its own name
        name = os.path.basename(os.path.realpath(model))
    return name or model


def system_prompt_name(model: str) -> str | None:
    """Name of the system message that this model expects; None leaves it to the model's own chat template."""
    return SYSTEM_PROMPTS.get(short_name(model))
