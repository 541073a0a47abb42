"""Which of several equal workers answers which request, and what happens when one of them dies?

Call `Replicas(place, count).generate(requests)`. It is the same for copies of a model on this machine, copies
on a cluster, and graders on a cluster; where they run is a `ReplicaPlace`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from util.errors import RunStopped, UserError
from util.records import Failure
from util.terminal import say

RUN = 8  # most requests of one problem that go to the same replica in a row: its prompt is then in the cache
MOST_DEATHS = 3  # in a row, without an answer in between: then a replica is given up
MOST_TRIES = 3  # a request at which so many replicas died is not asked again
IDLE_S = 0.05  # until a source with nothing to ask is asked again
LOOK_S = 1.0  # until replicas that say nothing are looked at


@dataclass(frozen=True)
class Ready:
    """A replica can be asked."""

    window: int  # most requests that it should have at a time: enough that it never waits
    version: str  # of what answers
    model: dict[str, str] = field(default_factory=dict)  # how it holds its model, for run.json
    sequences: int = 0  # most requests that it computes at a time, of as many tokens as its memory holds;
    cached_tokens: int = 0  # 0: it does not say


@dataclass(frozen=True)
class Died:
    """A replica is gone."""

    why: str
    refused: bool = False  # it never began, for a reason that the next one would meet too


Event = Ready | Died | tuple[int, Any]  # (number of a request, its answer)


class ReplicaPlace(Protocol):
    """Where replicas run. Each has `ask`, which takes a list of numbered requests, and `close`."""

    what: str  # what they are, such as "copy of the model"

    def start(self, number: int) -> Any | None:
        """Begin to start a replica; None: there is no place for it. Raises UserError for what cannot work."""

    def wait(self, replicas: Sequence[Any], timeout_s: float) -> Iterable[tuple[Any, list[Event]]]:
        """What replicas have said, waiting at most `timeout_s` for the first word."""

    def lost(self) -> str:
        """Why no replica can be started any more; "" as long as one can."""


@dataclass
class _Numbered:
    number: int
    request: Any  # with a `problem_id`
    tries: int = 0  # replicas that died over it


@dataclass
class _Slot:
    """One of the replicas, through all its restarts."""

    number: int
    replica: Any = None  # None: given up
    window: int = 0  # 0: it is starting
    version: str = ""
    sequences: int = 0
    cached_tokens: int = 0
    running: dict[int, _Numbered] = field(default_factory=dict)
    backlog: deque[_Numbered] = field(default_factory=deque)  # of its run: there is no room for it yet
    deaths: int = 0  # since its last answer

    def is_settled(self) -> bool:
        return self.window > 0 or self.replica is None

    def has_room(self) -> bool:
        return len(self.running) < self.window

    def load(self) -> float:
        return len(self.running) / self.window


class _Runs:
    """A source of requests, taken in runs of the same problem."""

    def __init__(self, requests: Iterable[Any], numbers: Iterator[int]) -> None:
        self._source = iter(requests)
        self._numbers = numbers
        self._again: deque[_Numbered] = deque()
        self.exhausted = False

    def next(self) -> list[_Numbered]:
        """The next requests for one replica; none if there is nothing to ask now."""
        run: list[_Numbered] = []
        while len(run) < RUN and (asked := self._pull()) is not None:
            if run and asked.request.problem_id != run[0].request.problem_id:
                self._again.appendleft(asked)
                break
            run.append(asked)
        return run

    def ask_again(self, unfinished: list[_Numbered]) -> None:
        self._again.extend(unfinished)

    def is_empty(self) -> bool:
        return self.exhausted and not self._again

    def _pull(self) -> _Numbered | None:
        if self._again:
            return self._again.popleft()
        if self.exhausted:
            return None
        try:
            request = next(self._source)
        except StopIteration:
            self.exhausted = True
            return None
        return None if request is None else _Numbered(next(self._numbers), request)


class Replicas:
    """Equal workers that share requests, each of them asked as it has room; an engine for what they answer.

    A replica that dies is started again and its unfinished requests are sent again. Raises UserError when
    the first one cannot begin, RunStopped when all are gone.
    """

    def __init__(
        self, place: ReplicaPlace, count: int, *, wait_for_all: bool = False, where: str = ""
    ) -> None:
        """`where` they run is said behind the version of each."""
        self._place = place
        self._where = where
        self._stopped = False
        self._numbers = itertools.count(1)
        self._slots = [_Slot(number) for number in range(count)]
        self._first = 0  # requests up to this number were asked by an earlier `generate`
        self._last_words = ""
        self.version = ""
        self.model: dict[str, str] = {}
        try:
            for slot in self._slots:
                slot.replica = place.start(slot.number)
            while not self.version or (wait_for_all and not all(map(_Slot.is_settled, self._slots))):
                self._check_any_left()
                for slot, events in self._listen(LOOK_S):
                    self._note(slot, events, _Runs((), self._numbers))
        except BaseException:  # also on Ctrl-C: nothing may outlive a failed start
            self.close()
            raise

    def generate(self, requests: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Yields (request, answer) in the order in which answers come.

        Requests are pulled as there is room; None among them means that there is nothing to ask just now.
        """
        runs = _Runs(requests, self._numbers)
        self._first = next(self._numbers)
        for slot in self._slots:
            slot.backlog.clear()
        while True:
            self._hand_out(runs)
            if self._stopped or (runs.is_empty() and not any(map(self._is_busy, self._slots))):
                return
            self._check_any_left()
            has_room = not runs.exhausted and any(slot.has_room() for slot in self._slots)
            for slot, events in self._listen(IDLE_S if has_room else LOOK_S):
                for asked, answer in self._note(slot, events, runs):
                    if asked.number > self._first:
                        yield asked.request, answer

    def versions(self) -> list[str]:
        """What each replica that is ready says it is."""
        return [slot.version for slot in self._slots if slot.window]

    def at_once(self, tokens: int) -> int:
        """How many requests of so many tokens those that are ready compute at a time; 0: they do not say."""
        ready = (slot for slot in self._slots if slot.window)
        return sum(min(slot.sequences, slot.cached_tokens // max(1, tokens)) for slot in ready)

    def stop(self) -> None:
        """End `generate`, from another thread, within a second or so."""
        self._stopped = True

    def close(self) -> None:
        for slot in self._slots:
            if slot.replica is not None:
                slot.replica.close()
                slot.replica = None

    def _is_busy(self, slot: _Slot) -> bool:
        """Whether it has requests of this call."""
        return bool(slot.backlog) or any(number > self._first for number in slot.running)

    def _hand_out(self, runs: _Runs) -> None:
        """Fill the replicas' windows, the emptiest first."""
        batches: dict[int, list[tuple[int, Any]]] = {}
        while slots := [slot for slot in self._slots if slot.has_room()]:
            slot = min(slots, key=_Slot.load)
            if not slot.backlog:
                slot.backlog.extend(runs.next() or self._take_from_others())
            if not slot.backlog:
                break
            while slot.backlog and slot.has_room():
                asked = slot.backlog.popleft()
                slot.running[asked.number] = asked
                batches.setdefault(slot.number, []).append((asked.number, asked.request))
        for number, batch in batches.items():
            self._slots[number].replica.ask(batch)

    def _take_from_others(self) -> list[_Numbered]:
        """A request that waits for room at another replica: nothing waits for it while one has room."""
        longest = max(self._slots, key=lambda slot: len(slot.backlog))
        return [longest.backlog.pop()] if longest.backlog else []

    def _listen(self, timeout_s: float) -> Iterator[tuple[_Slot, list[Event]]]:
        slots = {id(slot.replica): slot for slot in self._slots if slot.replica is not None}
        replicas = [slot.replica for slot in slots.values()]
        for replica, events in self._place.wait(replicas, timeout_s):
            yield slots[id(replica)], events

    def _note(self, slot: _Slot, events: list[Event], runs: _Runs) -> list[tuple[_Numbered, Any]]:
        """Take note of what a replica said; returns requests that are answered now."""
        answered: list[tuple[_Numbered, Any]] = []
        for event in events:
            if isinstance(event, Ready):
                slot.window = event.window
                slot.version = self.version = f"{event.version}{self._where}"
                slot.sequences, slot.cached_tokens = event.sequences, event.cached_tokens
                self.model = event.model
            elif isinstance(event, Died):
                answered += self._bury(slot, event, runs)
            else:
                number, answer = event
                slot.deaths = 0
                answered.append((slot.running.pop(number), answer))
        return answered

    def _bury(self, slot: _Slot, died: Died, runs: _Runs) -> list[tuple[_Numbered, Any]]:
        """Start a dead replica again, or give it up; returns requests that are given up with it."""
        if died.refused and not self.version:
            raise UserError(died.why)
        self._last_words = died.why
        unfinished = [*slot.running.values(), *slot.backlog]
        unfinished = [asked for asked in unfinished if asked.number > self._first]
        for asked in slot.running.values():
            asked.tries += 1
        hopeless = [asked for asked in unfinished if asked.tries >= MOST_TRIES]
        runs.ask_again([asked for asked in unfinished if asked.tries < MOST_TRIES])
        slot.replica.close()
        slot.running, slot.window, slot.deaths = {}, 0, slot.deaths + 1
        slot.backlog.clear()
        slot.replica = None if slot.deaths >= MOST_DEATHS else self._place.start(slot.number)
        self._say_death(slot, died.why, len(unfinished) - len(hopeless))
        why = f"{MOST_TRIES} replicas died while they had this request ({died.why})"
        return [(asked, Failure(why)) for asked in hopeless]

    def _say_death(self, slot: _Slot, why: str, unfinished: int) -> None:
        left = sum(other.replica is not None for other in self._slots)
        then = "restarting it"
        if slot.replica is None:
            often = f"it ended {MOST_DEATHS} times without an answer"
            why_not = often if slot.deaths >= MOST_DEATHS else "there is no longer a place for it"
            then = f"{why_not}, {left} are left"
        again = f"; {unfinished} unfinished requests are sent again" if unfinished else ""
        name = f"{self._place.what} {slot.number + 1} of {len(self._slots)}"
        say(f"{name}: {why}; {then}{again}")

    def _check_any_left(self) -> None:
        """Raise RunStopped when nothing can answer any more."""
        if any(slot.window for slot in self._slots):
            return
        why = self._place.lost()
        if why or all(slot.replica is None for slot in self._slots):
            why = why or f"no {self._place.what} is left (the last one: {self._last_words})"
            raise RunStopped(f"{why}; what is finished is kept: run the same command again")
