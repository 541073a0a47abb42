"""When may the next request go out, to which endpoint and with which key? For use inside one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from util.engines.keys import Key, KeyPool

START_CONCURRENCY = 16  # per endpoint, when it has to be found out
MOST_CONCURRENCY = 512  # per endpoint, when it has to be found out
GROW_EVERY_S = 1.0
LOWER_TO = 0.9  # of what an endpoint had when it refused one more
BACK_AFTER_S = 6.0  # or twice the time that the refusal took
PER_ROUND = 0.16  # growth with each round of answers: as RFC 9438 for this LOWER_TO
MOST_FAILURES = 3  # one after the other, until an endpoint among several is asked one thing at a time
# A burst would go through connecting, sending and receiving in step, and its answers would be the next burst.
STARTS_PER_TURN = 8


class AdaptiveLimit:
    """How much an endpoint takes at once, found by what it refuses.

    Until the first refusal the limit doubles with each round of answers, and each second besides: an answer
    may take an hour, while a refusal comes at once. From then on it follows CUBIC (RFC 9438): a refusal tells
    how many were in flight; the limit falls a little below, is there again after some seconds, stays near for
    some more, and only then goes beyond, ever faster. So most slots are used, few requests are refused, and
    an endpoint that grows is noticed.

    Latency says nothing here: an engine that batches takes longer per answer and still does more in all. An
    endpoint that queues what it cannot do yet is asked less when requests run into their time limit.
    """

    def __init__(self, start: int, most: int) -> None:
        self._value = float(start)
        self._most = most
        # How many the endpoint had when it refused one more; None: it never did.
        self._met = float(most) if start == most else None
        self._back_after_s = BACK_AFTER_S
        self._seconds = 0.0  # in which the limit was used up, since it was lowered
        self._answered = True  # whether anything was answered since the limit was lowered
        self._lowered_at = float("-inf")

    def __int__(self) -> int:
        return int(self._value)

    def answered(self, *, full: bool) -> None:
        """Take note of an answer; allow a little more if the limit was used up."""
        self._answered = True
        if full:
            self._raise_to(self._value + (1.0 if self._met is None else PER_ROUND / self._value))

    def passed(self) -> None:
        """Allow more, after a second in which the limit was used up."""
        self._seconds += 1.0
        if self._met is None:
            self._raise_to(2 * self._value)
        else:
            beyond = self._seconds / self._back_after_s - 1
            self._raise_to(self._met * (1 + (1 - LOWER_TO) * beyond**3))

    def too_much(self, in_flight: int, sent_at: float, now: float) -> None:
        """Lower the limit: a request that was sent as one of `in_flight` was too much.

        Requests that were sent before the last lowering say nothing new.
        """
        if sent_at < self._lowered_at:
            return
        # Not less than half: when a server goes down, it refuses those that it had first as well.
        self._met = max(1.0, self._value / 2, min(self._value, in_flight - 1.0))
        self._value = max(1.0, self._met * (LOWER_TO if self._answered else 0.5))
        # What is learnt late, from requests that ran into their time limit, is tried again late.
        self._back_after_s = max(BACK_AFTER_S, 2 * (now - sent_at))
        self._seconds, self._answered, self._lowered_at = 0.0, False, now

    def _raise_to(self, value: float) -> None:
        self._value = min(float(self._most), max(self._value, value))


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

    def __init__(self, url: str, limit: AdaptiveLimit, proxy: str | None = None) -> None:
        self.url = url
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
        self.keeps_apart = True  # whether each answer comes once, so that connections may be used again
        self.proven = False  # whether it ever spoke the protocol
        self.pages = 0  # web pages it answered with
        self.room: int | None = None  # tokens of prompt and answer together, where the endpoint says so

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
    suspect: bool = False  # whether the answer may be another request's


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

    def distrust(self, lease: Lease) -> None:
        """Say that the answer to `lease` was another request's.

        Its connection may have been used again since, so what was sent of late is doubted too; from now on
        each request to this endpoint has a connection of its own.
        """
        lease.suspect = True
        if not lease.endpoint.keeps_apart:
            return
        lease.endpoint.keeps_apart = False
        for other in self.leases.values():
            if other.endpoint is lease.endpoint and other.sent_at > asyncio.get_running_loop().time() - 1.0:
                other.suspect = True

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
