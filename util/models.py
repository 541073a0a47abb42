"""What does a model's name imply? Never whether it may be used: an unknown name gets no special treatment."""

from __future__ import annotations

import re
from dataclasses import dataclass

EMBEDDED = "embedded"  # the small model that the suite brings along for machines without a GPU

# Models that were trained with a fixed system message: name of a text under util/prompts.
SYSTEM_PROMPTS = {
    "Sky-T1-32B-Preview": "system_thought",
    "Sky-T1-32B-Flash": "system_thought",
    "Sky-T1-mini": "system_thought",
}


def short_name(model: str) -> str:
    """The last path component: "Qwen/QwQ-32B-Preview" and "/models/QwQ-32B-Preview/" are both
    "QwQ-32B-Preview"."""
    return model.rstrip("/").rsplit("/", 1)[-1] or model


def system_prompt_name(model: str) -> str | None:
    """Name of the system message that this model expects; None leaves it to the model's own chat template."""
    return SYSTEM_PROMPTS.get(short_name(model))


@dataclass(frozen=True)
class ApiQuirks:
    """How an endpoint wants to be asked for a model."""

    system_role: bool = True  # False: the system message goes in front of the user message
    limit_field: str = "max_tokens"
    sampling: bool = True  # False: temperature and top_p must not be sent


REASONING_QUIRKS = ApiQuirks(system_role=False, limit_field="max_completion_tokens", sampling=False)
# o1, o3-mini, o4-mini-2025-04-16, gpt-5-nano; not gpt-5-chat, which is no reasoning model.
REASONING_NAMES = re.compile(r"(?:o[1-9]|gpt-[5-9](?:\.\d+)?(?!.*chat))(?:-|$)", re.IGNORECASE)


def api_quirks(model: str) -> ApiQuirks:
    """How to ask an OpenAI-compatible endpoint for `model`."""
    return REASONING_QUIRKS if REASONING_NAMES.match(model.rsplit("/", 1)[-1]) else ApiQuirks()
