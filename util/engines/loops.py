"""Does a text that is being written go in circles?

Feed a `LoopWatch` each piece as it comes: it says when the text has repeated itself for long enough.
Text and not tokens is looked at, so that all engines and endpoints are judged alike.

Two signs are taken. A text that copies what it said shortly before, at least twice over, goes in circles
whatever it says. Of prose it is enough that nearly all of it was said several times before. In both a number
that stands alone, such as the counter of an attempt, is as good as any other.
"""

from __future__ import annotations

import re

# Letters of scripts that are written without spaces, and syllables: each is a unit.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# Otherwise a unit is a word, up to three digits, a line's end, wide space, or a run of a sign.
_UNIT = re.compile(rf"[{_ALONE}]|[^\W\d_{_ALONE}]{{1,16}}|\d{{1,3}}|\n|[^\S\n]{{2,8}}|([^\w\s]|_)\1{{0,7}}")
# What the next piece may go on with.
_OPEN = re.compile(rf"(?:[^\W\d_{_ALONE}]{{1,48}}|\d{{1,48}}|[^\S\n]{{1,48}}|([^\w\s]|_)\1{{0,47}})\Z")

SPAN = 6  # units by which an earlier place is found again
RECENT = 400  # units within which it has to be
COPIED_WORDS, COPIED_SIGNS = 200, 320  # tokens that have to be a copy: of prose, and of anything else
WINDOW = 256  # units
SAID = 0.85  # share of the window that must have been said before:
NEAR, TIMES_NEAR, TIMES_FAR = 120, 2, 3  # so often, where the last time is so many units away, or more
WORDS = 0.5  # share of words in prose


PIECE_CHARS = 64  # of a text that is there already


def loop_end(text: str) -> int | None:
    """Where a text would have been ended because it goes in circles; None where it does not."""
    watch = LoopWatch()
    for begin in range(0, len(text), PIECE_CHARS):
        if watch.feed(text[begin : begin + PIECE_CHARS]):
            return min(len(text), begin + PIECE_CHARS)
    return None


class LoopWatch:
    """Looks at one text as it grows; neither what a unit costs nor memory depends on how long the text is."""

    def __init__(self) -> None:
        self._rest = ""  # may go on in the next piece
        self._units: list[str] = []
        self._seen: dict[int, tuple[int, int]] = {}  # digest of a span -> where it last ended, times before
        self._last_number = -SPAN
        self._source = 0  # where the text is copied from; 0: nowhere
        self._copied = self._copied_tokens = self._copied_words = 0
        self._said = bytearray()  # for each unit: whether its span was there before, often enough
        self._words = bytearray()  # for each unit: whether it is a word
        self._said_of_late = self._words_of_late = 0

    def feed(self, piece: str) -> bool:
        """Take the next piece of the text; True when the text goes in circles."""
        text = self._rest + piece
        going_on = _OPEN.search(text, max(0, len(text) - 48))
        end = len(text)
        if going_on is not None and going_on.start() > end - 48:
            end = going_on.start()
        self._rest = text[end:]
        found = False
        for match in _UNIT.finditer(text, 0, end):
            found |= self._add(match.group())
        return found

    def _forget(self) -> None:
        """Let go of units that are too far away to matter: what stays is counted from 0 again."""
        gone = len(self._units) - RECENT - SPAN
        for of_units in (self._units, self._said, self._words):
            del of_units[:gone]
        self._seen = {key: (at - gone, times) for key, (at, times) in self._seen.items() if at >= gone}
        self._last_number -= gone
        if self._source:
            self._source -= gone

    def _add(self, unit: str) -> bool:
        if len(self._units) >= 2 * RECENT:
            self._forget()
        units, said, words = self._units, self._said, self._words
        at = len(units)
        units.append(unit)
        first = unit[0]
        is_number = first.isdigit()
        # A single Latin letter is a sign of formulas and tables; Indic vowels are marks to Python.
        is_word = (first > "z" and (first.isalpha() or "\u0900" <= first < "\u0e00")) or (
            len(unit) > 1 and first.isalpha()
        )
        stands_alone = is_number and at - self._last_number >= SPAN
        if is_number:
            self._last_number = at
        source = self._source
        if source and (units[source] == unit or (stands_alone and units[source][0].isdigit())):
            self._source += 1
            self._copied += 1
            self._copied_tokens += _tokens_of(unit, is_number, is_word)
            self._copied_words += is_word
        elif self._copied:
            self._source = self._copied = self._copied_tokens = self._copied_words = 0
        else:
            self._source = 0
        span = units[at + 1 - SPAN if at >= SPAN else 0 :]
        if at - self._last_number < SPAN and sum(one[0].isdigit() for one in span) == 1:
            span[self._last_number - at - 1] = "#"
        key = hash(tuple(span))
        last, times = self._seen.get(key, (-RECENT - 1, 0))
        far = at - last
        times = times + 1 if far <= RECENT else 0
        self._seen[key] = (at, times)
        if times and not self._source:
            self._source = last + 1
        is_said = times >= TIMES_NEAR and (far <= NEAR or times >= TIMES_FAR)
        said.append(is_said)
        words.append(is_word)
        self._said_of_late += is_said
        self._words_of_late += is_word
        if at >= WINDOW:
            self._said_of_late -= said[at - WINDOW]
            self._words_of_late -= words[at - WINDOW]
        return (self._copied_tokens >= COPIED_WORDS and self._goes_round(at + 1 - self._source)) or (
            self._said_of_late >= SAID * WINDOW and self._words_of_late >= WORDS * WINDOW
        )

    def _goes_round(self, distance: int) -> bool:
        """Whether what is copied is long enough, by what it consists of and how far away it stands."""
        is_prose = self._copied_words >= WORDS * self._copied
        return self._copied >= 2 * distance and (is_prose or self._copied_tokens >= COPIED_SIGNS)


def _tokens_of(unit: str, is_number: bool, is_word: bool) -> int:
    """About how many tokens a unit is: digits are one each with many models, emojis two."""
    if is_number:
        return len(unit)
    if is_word:
        return 1 if len(unit) < 13 else len(unit) // 4
    return 1 + len(unit) // 4 if unit.isascii() else 2 * len(unit)
