"""How are requests answered by OpenAI-compatible endpoints, none lost whatever the endpoints do?

Call `open_openai_engine`. One event loop in a thread of its own does the asking; `generate` pulls requests
and yields results in the caller's thread.
"""

from __future__ import annotations

import asyncio
import json
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from util.engines.failures import REFUSED
from util.engines.keys import KeyPool, read_keys
from util.engines.loops import LoopWatch
from util.engines.openai_addresses import proxy_for
from util.engines.openai_bodies import (
    RETRY_FOR_S,
    Bodies,
    access_to,
    body_fields,
    counted,
    counter_for,
    does_not_go_on,
    seconds_in,
    words_of,
)
from util.engines.openai_budget import by_its_own, going_on, is_dropped, joined, with_begun
from util.engines.openai_dispatch import (
    MOST_CONCURRENCY,
    START_CONCURRENCY,
    AdaptiveLimit,
    Dispatcher,
    Endpoint,
    Lease,
)
from util.engines.openai_quirks import (
    CUT_AFTER_S,
    LEFT_OUT,
    OWN_BUDGET,
    STREAM,
    lesson_of,
)
from util.engines.openai_replies import Answer, Kind, Trouble, read_reply, read_stream
from util.engines.openai_streams import Listener, StreamedReply
from util.engines.openai_transport import (
    OTHER_FILES,
    SILENCE_S,
    Transport,
    allow_connections,
    most_open_files,
)
from util.engines.openai_watch import FIRST_CONTACT_S, Watch
from util.engines.tokens import TokenCounter, estimate_tokens, tokens_by_signs
from util.errors import UserError
from util.records import Completion, Failure, Request
from util.terminal import number_of, say

if TYPE_CHECKING:
    from util.engines.options import EngineOptions

IDLE_S = 0.05  # how soon the source is asked again after it had nothing to ask
MOST_BROKEN = 8  # bad replies to one request before it is given up, when others are answered meanwhile
# So many requests that wait to be asked again leave their place to others, or as many as may be in flight.
MOST_BACKING_OFF = 64
# Text of a stream that is so much longer than its token limit shows that the endpoint keeps none.
MOST_CHARS_PER_TOKEN = 16

Result = Completion | Failure


@dataclass
class _Tries:
    """What happened to one request so far."""

    broken: int = 0
    broken_at: float | None = None  # when the first bad reply came
    busy: int = 0
    cuts: int = 0  # connections that broke after long silence
    with_limit: bool = True  # whether to say how long the answer may be
    limit_sent: bool = True  # whether the last try said it
    budget: int | None = None  # most tokens of thought; None: no limit, or seen to
    is_own: bool = False  # whether the last try left the budget to the server
    url: str = ""  # who was asked in the last try


def open_openai_engine(options: EngineOptions) -> OpenAIEngine:
    """The engine that a script's options describe; engine_args that are not its own go into each request."""
    if options.thinking_budget is not None and OWN_BUDGET in options.engine_args:
        raise UserError(f"--thinking-budget and {OWN_BUDGET} in --engine-args say the same: give the flag")
    is_given = options.engine_args.get("retry_for_s") is not None
    retry_for_s = seconds_in(options.engine_args, "retry_for_s", RETRY_FOR_S)
    return OpenAIEngine(
        model=options.model.removeprefix("openai/"),
        api_base=options.api_base,
        keys=read_keys(options.keys_file) if options.keys_file else None,
        concurrency=options.concurrency,
        sampling=options.sampling,
        request_timeout_s=options.request_timeout_s,
        retry_for_s=retry_for_s,
        rpm=options.rpm,
        tpm=options.tpm,
        stream=options.stream,
        headers=options.headers,
        thinking_budget=options.thinking_budget,
        thinks=options.thinking != "off",
        first_contact_s=max(FIRST_CONTACT_S, retry_for_s) if is_given else FIRST_CONTACT_S,
        extra=body_fields(options),
    )


class OpenAIEngine:
    """Asks one or several OpenAI-compatible endpoints; each request ends once, as Completion or Failure."""

    def __init__(
        self,
        *,
        model: str,
        api_base: tuple[str, ...] = (),
        keys: KeyPool | None = None,
        concurrency: int | None = None,  # most requests in flight; None finds out what the endpoints take
        sampling: dict | None = None,  # by the names of settings.SAMPLING
        request_timeout_s: float = 7200.0,
        retry_for_s: float = RETRY_FOR_S,  # the run stops after so long without any answer
        rpm: float | None = None,
        tpm: float | None = None,
        extra: dict | None = None,  # further fields of each request body
        backoff_s: float = 1.0,  # the first wait after a bad reply; doubles up to a minute
        headers: tuple[str, ...] = (),  # "NAME=VALUE", for every request
        first_contact_s: float = FIRST_CONTACT_S,  # the run stops when nothing ever answered for so long
        stream: str = "auto",  # always, never, or auto: as soon as an endpoint wants it
        silence_s: float = SILENCE_S,  # a stream that says nothing for so long is torn
        thinking_budget: int | None = None,  # most tokens of thought
        thinks: bool = True,  # False: the model was told not to think
        listen: Callable[[Request], Listener | None]
        | None = None,  # who hears a request's answer as it comes
    ) -> None:
        for name, value in (("concurrency", concurrency), ("rpm", rpm), ("tpm", tpm)):
            if value is not None and value <= 0:
                raise UserError(f"{name} must be positive, not {value}")
        addresses, keys = access_to(api_base, headers, keys)
        self._model = model
        self._bodies = Bodies(model, sampling or {}, extra or {})
        self._budget, self._thinks = thinking_budget, thinks
        self._goes_on = False  # whether an endpoint ever went on from a thought that was closed
        self._request_timeout_s = request_timeout_s
        wanted = concurrency or MOST_CONCURRENCY * len(addresses)
        allowed = allow_connections(wanted)
        if concurrency is not None and allowed < concurrency:
            raise UserError(
                f"--concurrency {concurrency} needs {concurrency + OTHER_FILES} open files "
                f"({OTHER_FILES} for all else), and this system allows this process {most_open_files()}: "
                f"give --concurrency {allowed}, or raise its hard limit (ulimit -Hn)"
            )
        most = concurrency or max(1, allowed // len(addresses))
        start = concurrency or min(START_CONCURRENCY, most)
        if start < (concurrency or START_CONCURRENCY):
            say(
                f"this system allows this process {most_open_files()} open files: at an address no "
                f"more than {number_of(most, 'request')} at a time; raise the limit (ulimit -Hn) for more"
            )
        endpoints = [
            Endpoint(address, AdaptiveLimit(start, most), proxy_for(address.base)) for address in addresses
        ]
        self._dispatcher = Dispatcher(endpoints, keys, most=concurrency, rpm=rpm, tpm=tpm)
        self._may_change_stream, self._listen = stream == "auto", listen or _loop_listener
        for endpoint in endpoints:
            endpoint.lessons.update({STREAM} if stream == "always" else ())
        self._transport = Transport(silence_s=silence_s)
        self._watch = Watch(
            self._dispatcher,
            keys,
            self._transport,
            model=model,
            retry_for_s=retry_for_s,
            first_contact_s=min(first_contact_s, retry_for_s),
            backoff_s=backoff_s,
        )
        self._loop: asyncio.AbstractEventLoop  # while there is a thread
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Result]] = set()
        self._handed_over: deque[Request] = deque()  # by the caller's thread, not begun yet
        self._is_woken = False  # whether the event loop is about to look at them
        self._results: queue.SimpleQueue[tuple[Request, Result] | None] = queue.SimpleQueue()
        self._stopped: BaseException | None = None
        self._backing_off = 0
        self._counter: asyncio.Future[TokenCounter] | None = None  # where an endpoint counts no tokens
        self.wasted = (0, 0)  # tokens of prompts, and of answers that broke off: paid for, and no sample

    @property
    def left_out(self) -> list[str]:
        """Fields that some endpoint refuses, so that they are not sent to it."""
        learned = set().union(*(endpoint.lessons for endpoint in self._dispatcher.endpoints))
        return sorted(learned.intersection(LEFT_OUT))

    @property
    def answered_as(self) -> list[str]:
        """What endpoints call the model that answers, where it is another name than the one asked."""
        return sorted(self._watch.answers_seen.answered_as)

    # The caller's thread

    def check_goes_on(self, flag: str) -> None:
        """Raise UserError for an endpoint that does not go on with a begun answer, as `flag` needs.

        One that is away is waited for when it is asked.
        """
        self._open()
        self._call(self._look_who_goes_on(flag))

    def generate(self, requests: Iterable[Request | None]) -> Iterator[tuple[Request, Result]]:
        """Yield each request with what became of it, in order of completion.

        `requests` is pulled in the caller's thread, as far as there is room; None says "nothing now".
        """
        self._open()
        source, unfinished, exhausted = iter(requests), 0, False
        ready: deque[tuple[Request, Result]] = deque()
        try:
            while self._stopped is None:
                pause_s = 0.5  # room may come without a result: when a request waits to be asked again
                while not exhausted and self._has_room(unfinished, len(ready)):
                    try:
                        request = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    if request is None:
                        pause_s = IDLE_S
                        break
                    self._hand_over(request)
                    unfinished += 1
                if not ready and not unfinished:
                    if exhausted:
                        return
                    time.sleep(IDLE_S)
                    continue
                unfinished -= self._collect(ready, 0.0 if ready else pause_s)
                if ready:
                    yield ready.popleft()
            while self._watch.finish_outstanding and self._dispatcher.leases:
                self._collect(ready, pause_s)
                while ready:
                    yield ready.popleft()
            yield from self._finished(ready)
            raise self._stopped
        except KeyboardInterrupt:
            # What is finished is kept: it is handed over before the interrupt goes on its way.
            yield from self._finished(ready)
            raise
        finally:
            if self._thread is not None:
                self._call(self._abandon())

    def close(self) -> None:
        """End the event loop and all connections."""
        if self._thread is None:
            return
        if any(self.wasted):
            prompt, completion = self.wasted
            say(
                f"answers that broke off took about {prompt:,} prompt and {completion:,} completion tokens "
                "more: they count towards the limits of this command"
            )
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._thread = None

    def _open(self) -> None:
        if self._thread is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-engine", daemon=True)
        self._thread.start()
        self._call(self._transport.open())

    def _call(self, coroutine: Coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _hand_over(self, request: Request) -> None:
        """Have the event loop begin a request; it is woken once for all that it has not taken yet.

        Each time it is woken, it takes the interpreter from this thread, for 5 ms when it has much to do.
        """
        self._handed_over.append(request)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._begin_all)

    def _has_room(self, unfinished: int, ready: int) -> bool:
        """Whether to pull one more: requests waiting to be asked again leave room, a slow caller takes it."""
        capacity = self._dispatcher.capacity()
        at_work = unfinished - min(self._backing_off, max(capacity, MOST_BACKING_OFF))
        return at_work < capacity and at_work + ready < 2 * capacity

    def _collect(self, ready: deque[tuple[Request, Result]], wait_s: float) -> int:
        """Move finished results to `ready`, waiting for the first; returns how many."""
        before = len(ready)
        try:
            result = self._results.get(timeout=wait_s) if wait_s else self._results.get_nowait()
            while True:
                if result is not None:
                    ready.append(result)
                result = self._results.get_nowait()
        except queue.Empty:
            return len(ready) - before

    def _finished(self, ready: deque[tuple[Request, Result]]) -> list[tuple[Request, Result]]:
        """Whatever is finished and was not handed over yet."""
        self._call(asyncio.sleep(0))  # tasks that ended in this turn of the loop put their results in
        self._collect(ready, 0.0)
        return list(ready)

    # The event loop's thread

    async def _look_who_goes_on(self, flag: str) -> None:
        keys = self._dispatcher.keys
        for endpoint in self._dispatcher.endpoints:
            key = keys.acquire()
            assert key is not None, "no key rests before the first request"
            trouble = await self._watch.probe(endpoint, key)
            keys.release(key)
            if trouble is None and not endpoint.fills_in:
                raise does_not_go_on(endpoint.url, flag)

    async def _abandon(self) -> None:
        self._handed_over.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._results = queue.SimpleQueue()

    async def _end(self) -> None:
        await self._abandon()
        await self._transport.close()

    def _begin_all(self) -> None:
        self._is_woken = False  # before the last look: what comes after it wakes the loop again
        while self._handed_over:
            self._begin(self._handed_over.popleft())

    def _begin(self, request: Request) -> None:
        if not self._tasks:
            self._watch.begin()
        results = self._results

        def ended(task: asyncio.Task[Result]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                return
            if task.exception() is None:
                results.put((request, task.result()))
            elif self._stopped is None:
                self._stopped = task.exception()  # raised again in the caller's thread
                results.put(None)  # wakes the caller

        task = self._loop.create_task(self._ask(request))
        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _ask(self, request: Request) -> Result:
        """Ask until there is an answer, or no hope of one; once more where a thought has used its budget."""
        tries = _Tries(budget=self._budget)
        first = await self._answer(request, tries)
        if isinstance(first, Failure):
            return first
        then = None
        if tries.budget is not None and tries.limit_sent and not tries.is_own:
            then = going_on(request, first, tries.budget, thinks=self._thinks)
        if then is None:
            return with_begun(request, first)
        tries = _Tries()
        second = await self._answer(then.request, tries)
        if isinstance(second, Failure):
            if second.message.startswith(REFUSED) and not self._goes_on:
                self._watch.refuse_begun(tries.url, second.message.removeprefix(REFUSED))
            return second
        if second.finish_reason == "prompt_too_long":
            return with_begun(request, first)
        if is_dropped(first, second):
            self._watch.refuse_begun(
                tries.url, f"a prompt of {second.prompt_tokens} tokens has no room for it"
            )
        self._goes_on = True
        return joined(first, then, second)

    async def _answer(self, request: Request, tries: _Tries) -> Result:
        """What one request is answered with in the end; without the beginning that it has."""
        while True:
            outcome = await self._try(request, tries)
            if isinstance(outcome, Answer):
                return outcome.completion
            if outcome.kind is Kind.REFUSED:
                self._watch.count_refused(outcome)
                return Failure(f"{REFUSED}{outcome.message}")
            if outcome.kind is Kind.TOO_LONG:
                if not tries.limit_sent:
                    return Completion("", "prompt_too_long", 0, 0)
                tries.with_limit = False  # the endpoint then takes what room the prompt leaves
            elif outcome.kind in (Kind.BROKEN, Kind.HTML, Kind.SLOW):
                tries.broken += 1
                tries.broken_at = tries.broken_at or self._loop.time()
                if tries.broken >= MOST_BROKEN and self._watch.answered_at > tries.broken_at:
                    return Failure(f"{tries.broken} bad replies, the last: {outcome.message}")
                await self._back_off(tries.broken, request)
            elif outcome.kind is Kind.BUSY and outcome.wait_s is None:
                tries.busy += 1
                await self._back_off(tries.busy, request)

    async def _try(self, request: Request, tries: _Tries) -> Answer | Trouble:
        """Ask once, as soon as an endpoint and a key are free, and take note of what it says about them."""
        lease = await self._dispatcher.acquire(self._expected_tokens(request))
        tokens_used = None
        try:
            outcome = await self._send(lease, request, tries)
            if isinstance(outcome, Trouble):
                message = lease.endpoint.address.scrubbed(outcome.message)
                outcome = replace(outcome, message=lease.key.hidden_in(message))
            if isinstance(outcome, Answer):
                if not outcome.usage_known:
                    outcome = await self._counted(lease.endpoint, request, outcome)
                tokens_used = outcome.tokens
                if tries.is_own:
                    outcome = await self._kept(outcome)
                    if isinstance(outcome, Trouble):
                        self._watch.learn(lease.endpoint, outcome)
            elif outcome.heard:
                tokens_used = self._count_waste(request, outcome.heard)
            elif outcome.kind is Kind.OTHERWISE:
                self._watch.learn(lease.endpoint, outcome)
            elif outcome.kind in (Kind.ADDRESS, Kind.HTML) and lease.endpoint.proven:
                outcome = replace(outcome, kind=Kind.BROKEN)  # from whatever stands in front of it
            self._watch.note(lease, outcome)
        finally:
            self._dispatcher.release(lease, tokens_used)
        return outcome

    async def _back_off(self, times: int, request: Request) -> None:
        about = (*request.key, request.seed, times)
        dice = random.Random(" ".join(map(str, about)))
        self._backing_off += 1
        try:
            await asyncio.sleep(self._watch.wait_s(times) * dice.uniform(0.5, 1.0))
        finally:
            self._backing_off -= 1

    def _expected_tokens(self, request: Request) -> float:
        """A guess at what a request will use, for the token limit; corrected when the answer is there."""
        if self._watch.mean_tokens is not None:
            return self._watch.mean_tokens
        return estimate_tokens(words_of(request)) + request.max_tokens

    async def _kept(self, answer: Answer) -> Answer | Trouble:
        """The answer of a server that was told the budget; one that did not keep to it is asked otherwise."""
        assert self._budget is not None
        kept = by_its_own(answer, self._budget, await self._token_counter())
        if kept is not None:
            return kept
        done = answer.completion
        self.wasted = (self.wasted[0] + done.prompt_tokens, self.wasted[1] + done.completion_tokens)
        return Trouble(Kind.OTHERWISE, "a thought was longer", param=OWN_BUDGET)

    async def _token_counter(self) -> TokenCounter:
        if self._counter is None:
            # A tokenizer may have to be fetched, by the first who needs it.
            self._counter = asyncio.ensure_future(asyncio.to_thread(counter_for, self._model))
        return await asyncio.shield(self._counter)

    async def _counted(self, endpoint: Endpoint, request: Request, answer: Answer) -> Answer:
        """The answer with the tokens that its endpoint did not count."""
        counter = await self._token_counter()
        by = f"counted by the tokenizer of {self._model}" if counter.encode else "estimated from the texts"
        self._watch.miss_usage(endpoint, by)
        return await asyncio.to_thread(counted, request, answer, counter)

    def _count_waste(self, request: Request, heard: str) -> int:
        """What an answer that broke off used."""
        prompt, completion = tokens_by_signs(words_of(request)), tokens_by_signs(heard)
        self.wasted = (self.wasted[0] + prompt, self.wasted[1] + completion)
        return prompt + completion

    async def _send(self, lease: Lease, request: Request, tries: _Tries) -> Answer | Trouble:
        endpoint = lease.endpoint
        if endpoint.to_probe:
            trouble = await self._watch.probe(endpoint, lease.key)
            if trouble is not None:
                return trouble
        tries.url = endpoint.url
        if tries.budget is not None:
            if not endpoint.fills_in:
                raise does_not_go_on(endpoint.url, "--thinking-budget")
            tries.is_own = OWN_BUDGET not in endpoint.lessons
            if not tries.is_own:
                request = replace(request, max_tokens=min(tries.budget, request.max_tokens))
        # vLLM refuses a limit that is more than its context; without one it takes what room there is.
        tries.limit_sent = tries.with_limit and (endpoint.room is None or request.max_tokens < endpoint.room)
        known = frozenset(endpoint.lessons if tries.is_own else {*endpoint.lessons, OWN_BUDGET})
        listener = self._listen(request)
        is_heard = listener is not None and self._may_change_stream
        fields = self._bodies.of(
            request,
            with_limit=tries.limit_sent,
            lessons=endpoint.lessons,
            fills_in=endpoint.fills_in,
            is_heard=is_heard,
            asked_at=endpoint.url,
        )
        if tries.is_own:
            fields[OWN_BUDGET] = tries.budget
        body = json.dumps(fields).encode()
        streamed = StreamedReply(listener, most_chars=MOST_CHARS_PER_TOKEN * request.max_tokens + 1000)
        reply = await self._transport.exchange(
            endpoint, lease.key, "/chat/completions", body, self._request_timeout_s, streamed
        )
        if isinstance(reply, Trouble):
            outcome: Answer | Trouble = reply
        elif reply.streamed is not None:
            outcome = read_stream(reply.streamed)
        else:
            outcome = read_reply(reply.status, reply.headers, reply.body)
        if isinstance(outcome, Trouble):
            tries.cuts += outcome.silent_s >= CUT_AFTER_S
            # A server that was killed cuts what was under way once, a gateway each time.
            may_change = self._may_change_stream and (tries.cuts > 1 or outcome.silent_s < CUT_AFTER_S)
            lesson = lesson_of(outcome, known, may_change_stream=may_change)
            if lesson is not None:
                return replace(outcome, kind=Kind.OTHERWISE, param=lesson)
        elif tries.limit_sent:
            return self._watch.answers_seen.with_end(
                outcome, endpoint.url, max_tokens=request.max_tokens, room=endpoint.room
            )
        return outcome


def _loop_listener(request: Request) -> Listener | None:
    """Who ends an answer that repeats itself, where that is wanted."""
    if not request.stop_loops:
        return None
    watch = LoopWatch()
    watch.feed(request.begun)
    return lambda thought, text: "loop" if watch.feed(thought + text) else None
