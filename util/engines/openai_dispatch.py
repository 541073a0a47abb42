"""When may the next request go out, to which endpoint and with which key?

Call `Dispatcher.acquire` for a lease and `release` when it has ended, all inside one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from util.engines.keys import Key, KeyPool
from util.engines.openai_addresses import Address

START_CONCURRENCY = 16  # per endpoint, when it has to be found out
MOST_CONCURRENCY = 512  # per endpoint, when it has to be found out
GROW_EVERY_S = 1.0
LOWER_TO = 0.95  # of what an endpoint had when it refused one more
BACK_AFTER_S = 6.0  # or twice the time that the refusal took
GROWN = 1.3  # an endpoint that takes so much more than when it refused has become larger
MOST_FAILURES = 3  # one after the other, until an endpoint among several is asked one thing at a time
# A burst would go through connecting, sending and receiving in step, and its answers would be the next burst.
STARTS_PER_TURN = 8


class AdaptiveLimit:
    """How much an endpoint takes at once, found by what it refuses.

    Additive increase, multiplicative decrease: a refusal lowers the limit a little below what the endpoint
    had then, and each second in which the limit was used up raises it by the same amount. It doubles, each
    second and with each round of answers, until the first refusal, after a fall below what the endpoint
    took before, and when it is well beyond that: the endpoint has grown.

    Latency says nothing here: an engine that batches takes longer per answer and still does more in all. An
    endpoint that queues what it cannot do yet is asked less when requests run into their time limit.
    """

    def __init__(self, start: int, most: int) -> None:
        self._value = float(start)
        self._most = most
        self._doubles_to = float("inf")
        self._step = 0.0  # what a second adds
        self._answered = True  # whether anything was answered since the limit was lowered
        self._lowered_at = float("-inf")

    def __int__(self) -> int:
        return int(self._value)

    def answered(self, *, full: bool) -> None:
        """Take note of an answer; allow one more if the limit was used up and may double."""
        self._answered = True
        if full and self._value < self._doubles_to:
            self._value = min(self._value + 1, self._doubles_to, self._most)

    def passed(self) -> None:
        """Allow more, after a second in which the limit was used up."""
        if self._value < self._doubles_to:
            self._value = min(2 * self._value, self._doubles_to, self._most)
        else:
            self._value = min(self._value + self._step, self._most)
            if self._value > GROWN * self._doubles_to:
                self._doubles_to = float("inf")

    def too_much(self, in_flight: int, sent_at: float, now: float) -> None:
        """Lower the limit: a request that was sent as one of `in_flight` was too much.

        Requests that were sent before the last lowering say nothing new.
        """
        if sent_at < self._lowered_at:
            return
        # Not less than half: when a server goes down, it refuses those that it had first as well.
        took = max(1.0, self._value / 2, min(self._value, in_flight - 1.0))
        if self._answered:
            self._doubles_to = max(1.0, LOWER_TO * took)
            # What is learnt late, from requests that ran into their time limit, is tried again late.
            self._step = (1 - LOWER_TO) * took / max(BACK_AFTER_S, 2 * (now - sent_at))
        self._value = self._doubles_to if self._answered else max(1.0, took / 2)
        self._answered, self._lowered_at = False, now


class Pacer:
    """Spaces requests so that at most `per_minute` of something is used in any minute."""

    def __init__(self, per_minute: float) -> None:
        self._seconds_each = 60.0 / per_minute
        self.free_at = float("-inf")

    def take(self, amount: float, now: float) -> None:
        self.free_at = max(self.free_at, now) + amount * self._seconds_each

    def settle(self, difference: float) -> None:
        """Correct what was taken once the true amount is known."""
        self.free_at += difference * self._seconds_each


class Endpoint:
    """One address and how it is doing."""

    def __init__(self, address: Address, limit: AdaptiveLimit, proxy: str | None = None) -> None:
        self.address = address
        self.url = address.shown
        self.limit = limit
        self.proxy = proxy
        self.in_flight = 0
        self.peak = 0  # most in flight since the limit was last looked at
        self.rests_until = float("-inf")
        self.rests = 0  # how often it rested since it last answered
        self.gone_at = float("-inf")  # when it was last found to be away
        self.failures = 0  # failed tries since the last good one
        self.overtaken = float("-inf")  # when the request was sent that was sent last of those answered
        self.to_probe = True  # one request asks first whether anybody is there
        self.proven = False  # whether it ever spoke the protocol
        self.pages = 0  # web pages it answered with
        self.room: int | None = None  # tokens of prompt and answer together, where the endpoint says so
        self.lessons: set[str] = set()  # how it wants to be asked, of openai_quirks.LESSONS
        self.fills_in = False  # whether its server gives a value of its own to what a request does not say

    @property
    def full(self) -> bool:
        """Whether all that the limit allows was in flight of late."""
        return self.peak >= int(self.limit)


@dataclass
class Lease:
    """Permission to send one request."""

    endpoint: Endpoint
    key: Key
    sent_at: float
    tokens: float  # what was set aside from the token limit
    in_flight: int  # requests to the endpoint when this one was sent, with it


class Dispatcher:
    """Hands out leases, first come first served, for the endpoint and key with the fewest in flight."""

    def __init__(
        self,
        endpoints: list[Endpoint],
        keys: KeyPool,
        *,
        most: int | None = None,
        rpm: float | None = None,
        tpm: float | None = None,
    ) -> None:
        self.endpoints = endpoints
        self.keys = keys
        self._most = most
        self._requests = Pacer(rpm) if rpm else None
        self._tokens = Pacer(tpm) if tpm else None
        self._waiting: deque[tuple[asyncio.Future[Lease], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._growing = False
        self._started = 0  # leases handed out in this turn of the event loop
        self.leases: dict[int, Lease] = {}  # those handed out, oldest first

    def capacity(self) -> int:
        """How many requests may be under way now."""
        total = sum(int(endpoint.limit) for endpoint in self.endpoints)
        return total if self._most is None else min(total, self._most)

    async def acquire(self, tokens: float) -> Lease:
        """Wait for permission to send a request that will use about `tokens`."""
        future: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, tokens))
        self._hand_out()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            raise

    def release(self, lease: Lease, tokens_used: float | None = None) -> None:
        """Give a lease back, with the tokens that were really used where they are known."""
        del self.leases[id(lease)]
        lease.endpoint.in_flight -= 1
        self.keys.release(lease.key)
        if self._tokens and tokens_used is not None:
            self._tokens.settle(tokens_used - lease.tokens)
        self._hand_out()

    def rest(self, endpoint: Endpoint, seconds: float) -> None:
        """Send nothing to `endpoint` for a while."""
        endpoint.rests_until = max(endpoint.rests_until, asyncio.get_running_loop().time() + seconds)

    def answered(self, endpoint: Endpoint) -> None:
        """Say that somebody is there."""
        endpoint.to_probe = False
        endpoint.rests = 0
        self._hand_out()

    def wait_s(self) -> float:
        """Seconds until the first rest or rate limit ends."""
        now = asyncio.get_running_loop().time()
        resting = min(endpoint.rests_until for endpoint in self.endpoints) - now
        paced = max((pacer.free_at - now for pacer in (self._requests, self._tokens) if pacer), default=0.0)
        return max(resting, paced, self.keys.wait_s() or 0.0, 0.0)

    def _hand_out(self) -> None:
        while self._waiting and self._started < STARTS_PER_TURN:
            future, tokens = self._waiting[0]
            if future.done():  # given up by whoever waited
                self._waiting.popleft()
                continue
            lease = self._lease(tokens)
            if lease is None:
                self._look_again()
                return
            self._waiting.popleft()
            future.set_result(lease)
            if not self._started:
                asyncio.get_running_loop().call_soon(self._next_turn)
            self._started += 1

    def _next_turn(self) -> None:
        self._started = 0
        self._hand_out()

    def _lease(self, tokens: float) -> Lease | None:
        now = asyncio.get_running_loop().time()
        if self._most is not None and len(self.leases) >= self._most:
            return None
        pacers = [(pacer, amount) for pacer, amount in ((self._requests, 1), (self._tokens, tokens)) if pacer]
        if any(pacer.free_at > now for pacer, _ in pacers):
            return None
        ready = [
            endpoint
            for endpoint in self.endpoints
            if endpoint.rests_until <= now and endpoint.in_flight < self._most_at(endpoint)
        ]
        key = self.keys.acquire() if ready else None
        if key is None:
            return None
        for pacer, amount in pacers:
            pacer.take(amount, now)
        endpoint = min(ready, key=lambda endpoint: endpoint.in_flight)
        endpoint.in_flight += 1
        endpoint.peak = max(endpoint.peak, endpoint.in_flight)
        lease = Lease(endpoint, key, now, tokens, endpoint.in_flight)
        self.leases[id(lease)] = lease
        if not self._growing:
            self._growing = True
            asyncio.get_running_loop().call_later(GROW_EVERY_S, self._grow)
        return lease

    def _most_at(self, endpoint: Endpoint) -> int:
        """How many requests `endpoint` may have in flight; one as long as it has to show that it works."""
        return 1 if endpoint.to_probe or self.is_failing(endpoint) else int(endpoint.limit)

    def is_failing(self, endpoint: Endpoint) -> bool:
        """Whether others had better do the work: who fails fast has the fewest in flight."""
        return len(self.endpoints) > 1 and endpoint.failures >= MOST_FAILURES

    def _grow(self) -> None:
        """Raise the limits that were used up; goes on as long as requests are under way."""
        for endpoint in self.endpoints:
            if endpoint.full:
                endpoint.limit.passed()
            endpoint.peak = endpoint.in_flight
        self._hand_out()
        self._growing = bool(self.leases)
        if self._growing:
            asyncio.get_running_loop().call_later(GROW_EVERY_S, self._grow)

    def _look_again(self) -> None:
        """Come back when the next rest or rate limit ends; what waits for a lease goes on at its release."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        moments = [endpoint.rests_until for endpoint in self.endpoints]
        moments += [pacer.free_at for pacer in (self._requests, self._tokens) if pacer]
        key_wait_s = self.keys.wait_s()
        if key_wait_s is not None:
            moments.append(now + key_wait_s)
        moments = [moment for moment in moments if moment > now]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if moments:
            self._timer = loop.call_at(min(moments), self._hand_out)
