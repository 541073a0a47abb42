"""How does an endpoint want to be asked for a model of this name?

Call `api_quirks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


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
