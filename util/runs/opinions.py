"""What did a second verifier say of answers that the rules left undecided, and of some that they decided?

`Opinions` reads a run's opinions.jsonl: `of` a record, `applied` to a record. A line is about one sample, the
text that was judged and the answer found in it, by one verifier with one wording of the prompt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from util.errors import UserError
from util.records import Key, Record
from util.runs.journal import Journal, read_lines
from util.runs.lines import OPINIONS, key_of, named
from util.runs.offsets import key_digest, name_digest
from util.runs.reader import text_digest
from util.terminal import say

UNDECIDED, AUDIT = "undecided", "audit"  # why a sample was asked about; anything else names a kind of canary
YES, NO, NEITHER = "yes", "no", "neither"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one verifier said of the answer in one text, compared in both orders with the right one."""

    verifier: str
    prompt: str  # digest of the words that were sent; "" where none were
    why: str
    answer: str
    judged: str  # digest of the text that the answer was found in; "" for a canary
    said: tuple[str | None, str | None]  # right answer first, right answer last; None: neither yes nor no
    expected: str = ""  # of a canary: what a verifier must say

    @property
    def value(self) -> str:
        """YES or NO where both orders agree, else NEITHER."""
        first, second = self.said
        return first if first is not None and first == second else NEITHER

    @property
    def is_failure(self) -> bool:
        """Whether a verifier said of a planted text, in either order, the contrary of what is known."""
        return bool(self.expected) and any(word not in (None, self.expected) for word in self.said)

    @property
    def is_understood(self) -> bool:
        return any(word is not None for word in self.said)


class OpinionJournal:
    """opinions.jsonl of a run, open for its one writer."""

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder / OPINIONS)

    def add(self, key: Key, opinion: Opinion, *, rules: dict) -> None:
        """Write an opinion beside the verdict of the rules that it is about."""
        self._journal.append(
            {
                **named(key),
                "judged": opinion.judged,
                "answer": opinion.answer,
                "why": opinion.why,
                "verifier": opinion.verifier,
                "prompt": opinion.prompt,
                "said": list(opinion.said),
                "opinion": opinion.value,
                **({"expected": opinion.expected} if opinion.expected else {"rules": rules}),
            }
        )

    def sync(self) -> None:
        """Bring what was added to the disk."""
        self._journal.sync()

    def close(self) -> None:
        self._journal.close()


class Opinions:
    """The opinions of a run, in memory: they are about few of its samples.

    Of all verifiers, or of one.
    """

    def __init__(self, folder: Path, verifier: str | None = None) -> None:
        self._samples: dict[int, list[Opinion]] = {}  # by sample, in the order of the file
        self._canaries: dict[tuple[str, str, str, str], Opinion] = {}
        self._understood: set[tuple[str, str]] = set()  # verifiers, with the prompt, that said yes or no
        for _, line in read_lines(folder / OPINIONS):
            opinion = _opinion(line)
            if verifier is not None and opinion.verifier != verifier:
                continue
            if opinion.is_understood:
                self._understood.add((opinion.verifier, opinion.prompt))
            if opinion.expected:
                which = (opinion.verifier, opinion.why, line["problem_id"], opinion.answer)
                self._canaries[which] = opinion
            else:
                digest = key_digest(*key_of(line))
                self._samples.setdefault(digest, []).append(opinion)

    def __len__(self) -> int:
        """How many opinions there are, canaries aside."""
        return sum(map(len, self._samples.values()))

    def has(self, key: Key, *, judged: str, answer: str, verifier: str, prompt: str) -> bool:
        """Whether a verifier was asked about the answer in this text with these words.

        One that never said yes or no counts as not asked: it may be run in another way now.
        """
        return self.understood(verifier, prompt) and any(
            (one.judged, one.answer, one.verifier, one.prompt) == (judged, answer, verifier, prompt)
            for one in self._samples.get(key_digest(*key), ())
        )

    def has_canary(self, kind: str, problem_id: str, *, answer: str, verifier: str, prompt: str) -> bool:
        found = self._canaries.get((verifier, kind, problem_id, answer))
        return found is not None and found.prompt == prompt and self.understood(verifier, prompt)

    def understood(self, verifier: str, prompt: str) -> bool:
        """Whether a verifier that was asked in these words ever said yes or no."""
        return (verifier, prompt) in self._understood

    def of(self, record: Record) -> list[Opinion]:
        """The last opinion of each verifier on the record's answer of today."""
        found = self._samples.get(key_digest(*record.sample.key))
        if not found or record.verdict is None:
            return []
        now = (text_digest(record.graded_text), record.verdict.extracted)
        return list({one.verifier: one for one in found if (one.judged, one.answer) == now}.values())

    def applied(self, record: Record) -> Record:
        """The record with what verifiers say in place of an undecided verdict.

        Only where those that say yes or no agree. A verdict that the rules are sure of stays.
        """
        verdict = record.verdict
        if verdict is None or verdict.reason != UNDECIDED:
            return record
        clear = [one for one in self.of(record) if one.value != NEITHER]
        if len({one.value for one in clear}) != 1:
            return record
        is_right = clear[0].value == YES
        detail = f"second opinion of {', '.join(one.verifier for one in clear)}; {verdict.detail}"
        reason = "" if is_right else "wrong_answer"
        return replace(
            record, verdict=replace(verdict, correct=is_right, reason=reason, cause="", detail=detail)
        )

    def canaries(self) -> Iterator[Opinion]:
        """What was said of texts that were planted to see whether a verifier can be trusted."""
        yield from self._canaries.values()


def trusted_opinions(folders: Sequence[Path], trust: str | bool | None) -> dict[Path, Opinions]:
    """The opinions that --trust-opinion means, by run: those of one verifier, or True for all there are.

    Raises UserError where there are none. Says which verifiers failed on planted texts.
    """
    if not trust:
        return {}
    verifier = None if trust is True else trust
    found = {folder: Opinions(folder, verifier) for folder in folders}
    if not any(map(len, found.values())):
        of = "" if verifier is None else f" of {verifier}"
        raise UserError(
            f"--trust-opinion: there are no opinions{of} on {', '.join(map(str, folders))[:300]}; ask for "
            "them with inference_and_check.py --check --second-opinion, or leave the flag out"
        )
    for folder, opinions in found.items():
        if line := canary_line(opinions):
            say(f"{folder}: {line}")
    return found


def canary_line(opinions: Opinions) -> str:
    """Which verifiers failed on planted texts, in one sentence; "" where none did."""
    planted: dict[str, Counter[str]] = {}
    failed: dict[str, Counter[str]] = {}
    for one in opinions.canaries():
        planted.setdefault(one.verifier, Counter())[one.why] += 1
        if one.is_failure:
            failed.setdefault(one.verifier, Counter())[one.why] += 1
    lines = []
    for verifier, kinds in failed.items():
        total = planted[verifier]
        parts = ", ".join(f"{kind} {number} of {total[kind]}" for kind, number in kinds.items())
        lines.append(
            f"{verifier} failed {kinds.total()} of {total.total()} planted comparisons ({parts}): do "
            "not trust its opinions"
        )
    return "; ".join(lines)


def _opinion(line: dict) -> Opinion:
    first, second = line["said"]
    return Opinion(
        verifier=line["verifier"],
        prompt=line["prompt"],
        why=line["why"],
        answer=line["answer"],
        judged=line["judged"],
        said=(first, second),
        expected=line.get("expected", ""),
    )


def audit_draw(key: Key) -> float:
    """A number from 0 to 1 that follows from the sample's name: an audit takes those below its share."""
    problem_id, temperature, index = key
    return name_digest("audit", problem_id, float(temperature), index) / 2**64
