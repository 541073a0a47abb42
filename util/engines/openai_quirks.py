"""How does an endpoint want to be asked: by the model's name, and by what it refuses?

Call `api_quirks` for the first, `lesson_of` for the second.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from util.engines.openai_replies import Kind, Trouble

STREAM, NO_STREAM = "stream", "no stream"
OWN_BUDGET = "thinking_token_budget"  # the field by which servers of vLLM are told --thinking-budget
# What an endpoint may teach us, and what people are told of it.
LESSONS = {
    STREAM: "takes this long only for answers that are streamed: they are streamed from here on",
    NO_STREAM: "refuses to stream: answers come at once from here on",
    "stream_options": "refuses stream_options: they are left out",
    "seed": "refuses seed: it is left out, so that the same samples cannot be drawn again",
    OWN_BUDGET: "keeps no thinking budget: thoughts are closed by a second request",
    "max_completion_tokens": "wants max_completion_tokens instead of max_tokens: it gets them",
}
LEFT_OUT = ("seed", "stream_options")
CUT_STATUS = (408, 504, 522, 524)  # of gateways that wait no longer for a server that is silent
CUT_AFTER_S = 25.0  # others close the connection, Heroku's router after 30 s, most after 60 s
_REFUSES = re.compile(
    r"unsupported|n[o']t (?:be |currently )?(?:support|permit|allow|available|recogni)|unknown|unrecognized"
    r"|unexpected|extra|invalid|unavailable|only support",
    re.IGNORECASE,
)
_WANTS_STREAM = re.compile(
    r"only supports? (?:the )?stream|stream[a-z]*\b.{0,30}\b(?:must be|required|true)\b|non-?_?stream"
    r"|\b(?:must|please|need to|have to|should)\b.{0,60}\bstream|streaming is strongly",
    re.IGNORECASE | re.DOTALL,
)


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


def lesson_of(trouble: Trouble, known: Collection[str], *, may_change_stream: bool) -> str | None:
    """What an endpoint says that it wants, of LESSONS, where a request that knew `known` did not do so."""
    if may_change_stream and STREAM not in known and _wants_stream(trouble):
        return STREAM
    if trouble.status not in (400, 422) or trouble.kind not in (Kind.REFUSED, Kind.TOO_LONG):
        return None
    if STREAM in known and NO_STREAM not in known:
        if "stream_options" not in known and _names(trouble, "stream_options"):
            return "stream_options"
        if may_change_stream and (_names(trouble, "stream") or "to stream" in trouble.message):
            return NO_STREAM
    if "seed" not in known and _names(trouble, "seed"):
        return "seed"
    if OWN_BUDGET not in known and OWN_BUDGET in (trouble.param, *trouble.message.replace("`", " ").split()):
        return OWN_BUDGET
    if "max_completion_tokens" not in known and "max_completion_tokens' instead" in trouble.message:
        return "max_completion_tokens"
    return None


def _wants_stream(trouble: Trouble) -> bool:
    if trouble.status in CUT_STATUS or trouble.silent_s >= CUT_AFTER_S:
        return trouble.kind is Kind.BROKEN
    return trouble.kind is Kind.REFUSED and bool(_WANTS_STREAM.search(trouble.message))


def _names(trouble: Trouble, field: str) -> bool:
    """Whether a refusal is about a field of the request."""
    if trouble.param.rpartition(".")[2] == field:
        return True
    return bool(re.search(rf"\b{field}\b", trouble.message) and _REFUSES.search(trouble.message))
