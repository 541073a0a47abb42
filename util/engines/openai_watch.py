"""What does each reply say about the endpoint, the key and the whole run?

Call `Watch.note` with each outcome. An endpoint that is away rests and is probed again, one that is busy is
asked less, a key that is not accepted is dropped; what can only go on failing stops the run.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from typing import NoReturn

from util.engines.keys import Key, KeyPool
from util.engines.openai_dispatch import MOST_FAILURES, Dispatcher, Endpoint, Lease
from util.engines.openai_quirks import LESSONS, OWN_BUDGET
from util.engines.openai_replies import Answer, AnswerWatch, Kind, Trouble
from util.engines.openai_transport import Reply, Transport
from util.errors import RunStopped, UserError
from util.terminal import say

MOST_REFUSED = 20  # refused requests before any answer: something is wrong with all of them
MOST_PAGES = 3  # web pages from an endpoint before any proper reply
MOST_WAIT_S = 60.0
# Servers, by what they call the owner of a model, that take what a request does not say from the model's own
# generation_config.json or have defaults of their own.
FILL_IN = frozenset(("vllm", "sglang", "llamacpp"))
MOST_REST_S = 5.0  # between probes of an endpoint that is gone: when it is back, it shall not wait for us
PROBE_TIMEOUT_S = 20.0
FIRST_CONTACT_S = 35.0  # with the last try within a minute
ADDRESS_HINT = "is the address right? It usually ends in /v1"
KEPT = "what is finished is kept; the same command resumes"


class Watch:
    """Keeps the dispatcher's endpoints and keys in step with what comes back from them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        keys: KeyPool,
        transport: Transport,
        *,
        model: str,
        retry_for_s: float,
        backoff_s: float,
        first_contact_s: float = FIRST_CONTACT_S,
    ) -> None:
        self._first_contact_s = first_contact_s
        self._has_contact = False  # whether any endpoint ever replied, whatever it was
        self._dispatcher = dispatcher
        self._keys = keys
        self._transport = transport
        self._model = model
        self._retry_for_s = retry_for_s
        self._backoff_s = backoff_s
        self.answers = 0
        self.answered_at = float("-inf")  # on the event loop's clock
        self.mean_tokens: float | None = None  # of a request and its answer, of late
        self.finish_outstanding = False  # whether requests under way may be answered although the run stops
        self._refused = 0
        self._failing_since: float | None = None
        self._said: set[tuple] = set()
        self.answers_seen = AnswerWatch(model)

    def begin(self) -> None:
        """Say that requests begin after a pause: what failed before it does not count."""
        self._failing_since = None

    def wait_s(self, times: int) -> float:
        """How long to wait after something failed for the `times`-th time."""
        return min(MOST_WAIT_S, self._backoff_s * 2 ** min(times - 1, 30))

    async def probe(self, endpoint: Endpoint, key: Key) -> Trouble | None:
        """Look whether anybody is there, and what vLLM says of its models."""
        reply = await self._transport.exchange(endpoint, key, "/models", None, PROBE_TIMEOUT_S)
        if isinstance(reply, Trouble):
            return reply if reply.kind is Kind.NO_HOST else Trouble(Kind.AWAY, reply.message)
        # A proxy says so as well of what it cannot reach.
        self._has_contact = self._has_contact or not (endpoint.proxy and reply.status in (502, 503, 504))
        if reply.status in (502, 503, 504):
            return Trouble(Kind.AWAY, f"HTTP {reply.status}")
        models = models_in(reply)
        says_rooms = any(isinstance(model.get("max_model_len"), int) for model in models.values())
        if says_rooms and self._model not in models:
            served = ", ".join(sorted(models))
            raise UserError(f"{endpoint.url} does not serve the model {self._model!r}: it serves {served}")
        endpoint.room, endpoint.fills_in = room_of(models, self._model), fills_in(models, self._model)
        if models.get(self._model, {}).get("owned_by") != "vllm":
            endpoint.lessons.add(OWN_BUDGET)
        if endpoint.rests:
            say(f"{endpoint.url} is back")
        self._dispatcher.answered(endpoint)
        return None

    def note(self, lease: Lease, outcome: Answer | Trouble) -> None:
        """Remember what an outcome says; raises what ends the run."""
        if isinstance(outcome, Answer):
            self._note_answer(lease, outcome)
        elif outcome.kind is Kind.KEY:
            self._drop_key(lease, outcome)
        elif outcome.kind is Kind.ADDRESS:
            raise UserError(f"{lease.endpoint.url}/chat/completions: {outcome.message}; {ADDRESS_HINT}")
        elif outcome.kind is Kind.NO_HOST and not self.answers:
            raise UserError(f"{lease.endpoint.url}: {outcome.message}; check the address")
        elif outcome.kind in (Kind.TOO_LONG, Kind.REFUSED, Kind.OTHERWISE):
            self._note_alive(lease.endpoint)
        else:
            self._note_failure(lease, outcome)

    def count_refused(self, trouble: Trouble) -> None:
        """One more request was refused for what it is; raises UserError when all are."""
        self._refused += 1
        if not self.answers and self._refused >= MOST_REFUSED:
            raise UserError(
                f"the first {self._refused} requests were all refused, the last: {trouble.message}; "
                "change or leave out the setting that the message names"
            )

    def learn(self, endpoint: Endpoint, trouble: Trouble) -> None:
        """Ask as an endpoint wants from now on; its refusal names the lesson."""
        lesson = trouble.param
        endpoint.lessons.add(lesson)
        self._say_once((lesson, endpoint.url), f"{endpoint.url} {LESSONS[lesson]} ({trouble.message[:200]})")

    def miss_usage(self, endpoint: Endpoint, counted_by: str) -> None:
        """Say that an endpoint does not count the tokens that it used, and who does."""
        words = f"{endpoint.url} does not say how many tokens it used: they are {counted_by}"
        self._say_once(("usage", endpoint.url), words)

    def refuse_begun(self, url: str, why: str) -> NoReturn:
        """End a run whose thoughts an endpoint does not go on from."""
        raise UserError(
            f"{url} does not go on from a thought that was closed at --thinking-budget ({why}): its chat "
            "template may leave thoughts out; start vLLM with --reasoning-parser, which lets it keep the "
            "budget itself, or leave --thinking-budget out"
        )

    def _note_alive(self, endpoint: Endpoint) -> None:
        endpoint.failures = 0
        endpoint.proven = True
        self._failing_since = None

    def _note_answer(self, lease: Lease, answer: Answer) -> None:
        endpoint = lease.endpoint
        self._note_alive(endpoint)
        endpoint.overtaken = max(endpoint.overtaken, lease.sent_at)
        endpoint.limit.answered(full=endpoint.full)
        self.answers_seen.note_name(answer, endpoint.url)
        self.answers += 1
        self.answered_at = asyncio.get_running_loop().time()
        tokens = answer.tokens
        self.mean_tokens = tokens if self.mean_tokens is None else 0.95 * self.mean_tokens + 0.05 * tokens

    def _note_failure(self, lease: Lease, trouble: Trouble) -> None:
        endpoint, now = lease.endpoint, asyncio.get_running_loop().time()
        patience = "retrying" if self._has_contact else patience_with(trouble, self._first_contact_s)
        self._say_once(
            (trouble.kind, endpoint.url, trouble.message[:12]),
            f"{endpoint.url}: {trouble.message} ({patience}; said once)",
        )
        endpoint.failures += 1
        if trouble.kind in (Kind.AWAY, Kind.NO_HOST):
            self._note_away(lease, now)
        elif self._dispatcher.is_failing(endpoint):
            rests = endpoint.failures - MOST_FAILURES + 1
            self._dispatcher.rest(endpoint, min(MOST_REST_S, self.wait_s(rests)))
        # One that was overtaken was not slow because of those in front of it.
        if trouble.kind is Kind.BUSY or (trouble.kind is Kind.SLOW and lease.sent_at > endpoint.overtaken):
            endpoint.limit.too_much(lease.in_flight, lease.sent_at, now)
        if trouble.kind is Kind.BUSY and trouble.wait_s is None and len(self._keys) > 1:
            self._keys.rest(lease.key, self._backoff_s)
        if trouble.wait_s is not None:
            self._rest_as_asked(lease, trouble, trouble.wait_s)
        if trouble.kind is Kind.HTML:
            endpoint.pages += 1
            if endpoint.pages >= MOST_PAGES:
                raise UserError(
                    f"{endpoint.url} is not an API, it answers {trouble.message!r}: {ADDRESS_HINT}"
                )
        self._stop_if_hopeless(lease, trouble, now)

    def _note_away(self, lease: Lease, now: float) -> None:
        """Rest an endpoint that is not there, longer each time; what was sent before says nothing new."""
        endpoint = lease.endpoint
        if lease.sent_at < endpoint.gone_at:
            return
        endpoint.gone_at = now
        endpoint.to_probe = True
        endpoint.rests += 1
        self._dispatcher.rest(endpoint, min(MOST_REST_S, self.wait_s(endpoint.rests)))

    def _rest_as_asked(self, lease: Lease, trouble: Trouble, wait_s: float) -> None:
        """Rest the key that was used too much, or the endpoint that has too much to do."""
        if trouble.status == 429 and len(self._keys) > 1:
            self._keys.rest(lease.key, wait_s)
        else:
            self._dispatcher.rest(lease.endpoint, wait_s)
        if self._dispatcher.wait_s() > self._retry_for_s:
            self.finish_outstanding = True
            raise RunStopped(
                f"{lease.endpoint.url} asks to wait {wait_s:.0f} s, more than a run waits "
                f"({self._retry_for_s:.0f} s); {KEPT}"
            )

    def _stop_if_hopeless(self, lease: Lease, trouble: Trouble, now: float) -> None:
        """Stop after long enough without any answer, unless some request may still be at work."""
        if self._failing_since is None:
            self._failing_since = lease.sent_at
        if not self._has_contact and now - self._failing_since >= self._first_contact_s:
            raise UserError(
                f"{lease.endpoint.url} was not reached within {now - self._failing_since:.0f} s "
                f"({trouble.message}): {_remedy(lease.endpoint)}"
            )
        oldest = next(
            (other.sent_at for other in self._dispatcher.leases.values() if other is not lease), now
        )
        if now - self._failing_since < self._retry_for_s or now - oldest >= self._retry_for_s / 2:
            return
        urls = ", ".join(endpoint.url for endpoint in self._dispatcher.endpoints)
        raise RunStopped(
            f"no answer from {urls} for {self._retry_for_s:g} s, the last try: {trouble.message}; {KEPT}"
        )

    def _drop_key(self, lease: Lease, trouble: Trouble) -> None:
        url = lease.endpoint.url
        self._keys.drop(lease.key, trouble.message)
        if len(self._keys):
            return
        if trouble.status == 404:
            problem = f"{url} does not know the model {self._model!r}: {trouble.message}"
        elif self._keys.anonymous:
            problem = f"{url} requires an API key ({trouble.message}): set OPENAI_API_KEY or give --keys FILE"
        else:
            last, why = lease.key.tail, "; ".join(self._keys.reasons)
            problem = f"{url} accepts none of the API keys, the last one {last}: {why}"
        if self.answers:
            self.finish_outstanding = True
            raise RunStopped(f"{problem}; {KEPT}")
        raise UserError(problem)

    def _say_once(self, about: tuple, message: str) -> None:
        if about not in self._said:
            self._said.add(about)
            say(message)


def patience_with(trouble: Trouble, first_contact_s: float) -> str:
    """What is done about trouble with an endpoint that never replied."""
    if trouble.kind is not Kind.AWAY:
        return "retrying"
    return f"waiting up to {first_contact_s:,.0f} s for a server that is starting"


def _remedy(endpoint: Endpoint) -> str:
    """What to do about an endpoint that was never reached."""
    if endpoint.proxy is not None:
        host = urllib.parse.urlsplit(endpoint.address.base).hostname
        return f"check the proxy, or put {host} into no_proxy to go without it"
    secure = ", and whether it wants https://" if endpoint.address.base.startswith("http://") else ""
    return (
        f"check that the server runs, host and port{secure}. To wait for a server that is starting, add "
        f"--engine-args '{{\"retry_for_s\": 1800}}'"
    )


def models_in(reply: Reply) -> dict[str, dict]:
    """The models in a reply of /models, by name."""
    try:
        listing = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    models = listing.get("data") if reply.status == 200 and isinstance(listing, dict) else None
    return {
        model["id"]: model
        for model in (models if isinstance(models, list) else [])
        if isinstance(model, dict) and isinstance(model.get("id"), str)
    }


def room_of(models: dict[str, dict], name: str) -> int | None:
    """The context length that vLLM and SGLang say of a model; of an adapter it is its parent's."""
    model = models.get(name, {})
    said = (one.get("max_model_len") for one in (model, models.get(str(model.get("parent")), {})))
    return next((room for room in said if room and isinstance(room, int)), None)


def fills_in(models: dict[str, dict], name: str) -> bool:
    """Whether a model's server takes what a request does not say from elsewhere."""
    return models.get(name, {}).get("owned_by") in FILL_IN
