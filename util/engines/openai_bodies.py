"""What is sent to an OpenAI-compatible endpoint for a request, with which key, and what did it count?

Call `access_to` for addresses and keys, `Bodies.of` for the body of a request, live or in a batch, and
`counted` for an answer whose endpoint does not say how many tokens it took.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from util.engines.keys import KeyPool, environment_keys, no_keys
from util.engines.openai_addresses import Address, address_of
from util.engines.openai_quirks import LEFT_OUT, NO_STREAM, STREAM, api_quirks
from util.engines.openai_replies import Answer
from util.engines.options import EngineOptions
from util.engines.tokens import TokenCounter, open_counter, tokens_by_signs
from util.errors import UserError
from util.records import Request
from util.settings import OWN_ARGS, SAMPLING, not_neutral, thinking_switches

DEFAULT_ENDPOINT = "https://api.openai.com/v1"
RETRY_FOR_S = 1800.0  # the run stops after so long without any answer


def access_to(
    api_base: Sequence[str], headers: Sequence[str], keys: KeyPool | None
) -> tuple[list[Address], KeyPool]:
    """The addresses of endpoints, each once, and the keys for them; raises UserError where one is needed."""
    urls = api_base or (os.environ.get("OPENAI_BASE_URL") or DEFAULT_ENDPOINT,)
    addresses = [address_of(url, headers) for url in dict.fromkeys(urls)]
    signed_in = [address for address in addresses if address.signs_in]
    if signed_in and keys is not None:
        raise UserError(
            f"{signed_in[0].shown} is asked with a user or an Authorization header of its own, and a key "
            "of --keys would need the same place: leave one of them out"
        )
    keys = no_keys() if signed_in else keys or environment_keys()
    if keys is None:
        if any(address.base == DEFAULT_ENDPOINT for address in addresses):
            raise UserError(f"{DEFAULT_ENDPOINT} needs an API key: set OPENAI_API_KEY or give --keys FILE")
        keys = no_keys()
    return list(dict.fromkeys(addresses)), keys


def body_fields(options: EngineOptions) -> dict[str, Any]:
    """What the options say of fields of each request: engine_args that are not ours, and how to think."""
    extra = {name: value for name, value in options.engine_args.items() if name not in OWN_ARGS}
    if switches := thinking_switches(options.thinking):
        extra["chat_template_kwargs"] = switches
    return extra


def seconds_in(engine_args: Mapping[str, Any], name: str, default: float) -> float:
    """One of our own engine_args, or the default; raises UserError for what is no time."""
    value = engine_args.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UserError(f"{name} in --engine-args must be a number of seconds, not {value!r}")
    return value


class Bodies:
    """Makes the bodies of requests for one model; what OpenAI does not know is only sent when it is set."""

    def __init__(self, model: str, sampling: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        self._quirks = api_quirks(model)
        self._sampling = {setting.name: setting.default for setting in SAMPLING} | dict(sampling)
        self._fields = {"model": model, **not_neutral(sampling)}
        if self._quirks.sampling:  # said in any case: an endpoint may have another default
            self._fields = {"top_p": 1.0, **self._fields}
        else:
            self._fields.pop("top_p", None)
        self._extra = dict(extra)

    def of(
        self,
        request: Request,
        *,
        with_limit: bool,  # whether to say how long the answer may be
        lessons: Collection[str],  # what the endpoint has taught us
        fills_in: bool,  # whether its server takes what is not said from elsewhere
        asked_at: str,  # the endpoint, for people
        is_heard: bool = False,
    ) -> dict[str, Any]:
        """The body; raises UserError for a begun answer that the endpoint would not go on with."""
        messages = request.messages if self._quirks.system_role else _without_system(request.messages)
        body = {**self._fields, "messages": messages, "seed": request.seed}
        if fills_in:
            body.update(self._sampling)
        if request.begun:
            if not fills_in:
                raise does_not_go_on(asked_at, "--prefill")
            body.update(add_generation_prompt=False, continue_final_message=True)
        if self._quirks.sampling:
            body["temperature"] = request.temperature
        if with_limit:
            is_told = "max_completion_tokens" in lessons
            body["max_completion_tokens" if is_told else self._quirks.limit_field] = request.max_tokens
        if (STREAM in lessons or is_heard) and NO_STREAM not in lessons:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        body.update(self._extra)
        left_out = [name for name in LEFT_OUT if name in lessons]
        return {name: value for name, value in body.items() if value is not None and name not in left_out}


def does_not_go_on(asked_at: str, flag: str) -> UserError:
    """Nothing says that an endpoint goes on from an answer that is begun for it, as `flag` needs."""
    return UserError(
        f"{asked_at} does not say that it goes on with a begun answer, as servers of vLLM, "
        f"SGLang and llama.cpp do: ask one of those{f', or leave {flag} out' if flag else ''}"
    )


def counted(request: Request, answer: Answer, counter: TokenCounter) -> Answer:
    """The answer with the tokens that its endpoint did not count."""
    count, done = counter.encode or tokens_by_signs, answer.completion
    completion = replace(
        done,
        prompt_tokens=done.prompt_tokens or count(words_of(request)),
        completion_tokens=done.completion_tokens
        or min(count(f"{done.reasoning or ''}{done.text}"), request.max_tokens),
    )
    return replace(answer, completion=completion)


def counter_for(model: str) -> TokenCounter:
    """The tokenizer of a model, where its name may be one of the hub's or a folder."""
    return open_counter(model if "/" in model else "none")


def words_of(request: Request) -> str:
    return "\n".join(message["content"] for message in request.messages)


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages with the system text in front of the first user message."""
    system = [
        message["content"] for message in messages if message["role"] == "system" and message["content"]
    ]
    others = [dict(message) for message in messages if message["role"] != "system"]
    if system and others:
        others[0]["content"] = "\n\n".join([*system, others[0]["content"]])
    return others
