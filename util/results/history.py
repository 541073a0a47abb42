"""What changed between the gradings of a run: which samples flipped, from what to what, and why?

Call `read_history`, then `as_text`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from util.errors import UserError
from util.records import NOT_ASKED, NOT_JUDGED, Verdict, exact_number
from util.runs.folder import read_run_json
from util.runs.journal import open_to_read, read_line_at, read_lines
from util.runs.lines import VERDICTS, key_of
from util.runs.offsets import key_digest
from util.runs.reader import read_records
from util.runs.repeat import next_step
from util.terminal import number_of

LISTED = 40


@dataclass(frozen=True)
class Change:
    """Two gradings of the same text that do not agree."""

    problem_id: str
    temperature: float
    index: int
    before: Verdict
    after: Verdict

    @property
    def flipped(self) -> bool:
        return self.before.correct != self.after.correct

    @property
    def became(self) -> str:
        """What it is now ("correct", "wrong", "undecided", "not judged"), or "" where it was so before."""
        after = _kind(self.after)
        return "" if after == _kind(self.before) else after

    @property
    def move(self) -> str:
        """The reasons before and after, such as "wrong_answer -> correct"."""
        return f"{_reason(self.before)} -> {_reason(self.after)}"


@dataclass
class History:
    """All gradings of a run."""

    gradings: int = 0
    samples: int = 0
    again: Counter[tuple[str, str]] = field(default_factory=Counter)  # grader before, after -> samples
    changes: list[Change] = field(default_factory=list)
    graders: Counter[str] = field(default_factory=Counter)  # of the verdicts that hold today

    def as_json(self) -> dict:
        return {
            "gradings": self.gradings,
            "samples": self.samples,
            "graded_again": sum(self.again.values()),
            "flipped": sum(change.flipped for change in self.changes),
            "to_correct": sum(change.flipped and change.after.correct for change in self.changes),
            "to_undecided": sum(change.became == "undecided" for change in self.changes),
            "changed": len(self.changes),
            "moves": self.moves(),
            "graders": dict(self.graders),
        }

    def moves(self) -> dict[str, int]:
        """How many samples went from which reason to which other one, the most frequent first."""
        moves = (one.move for one in self.changes if _reason(one.before) != _reason(one.after))
        return dict(Counter(moves).most_common())


def read_history(folder: Path) -> History:
    """Compare each verdict with the one before it on the same text of the same sample."""
    read_run_json(folder)
    path = folder / VERDICTS
    if next(read_lines(path), None) is None:
        raise UserError(next_step(folder, samples=sum(1 for _ in read_records(folder))))
    history = History()
    for line, before in _with_previous(path):
        history.gradings += 1
        after = Verdict(**line["verdict"])
        history.graders[after.grader] += 1
        if before is None:
            history.samples += 1
            continue
        previous = Verdict(**before["verdict"])
        history.graders[previous.grader] -= 1
        if before["judged"] != line["judged"]:  # another text: rewritten in between
            continue
        history.again[(previous.grader, after.grader)] += 1
        if _says(previous) != _says(after):
            history.changes.append(Change(*key_of(line), previous, after))
    history.graders = +history.graders
    return history


def as_text(folder: Path, history: History, *, most: int | None = LISTED) -> str:
    """The history for the terminal, with at most so many of the samples that changed; None: with all."""
    lines = [f"{folder}: {number_of(history.gradings, 'grading')} of {number_of(history.samples, 'sample')}"]
    if not history.again:
        lines.append(
            "no sample was graded twice: run inference_and_check.py with --check --regrade to "
            "see what the current grader says"
        )
    for (before, after), count in history.again.items():
        pairs = [c for c in history.changes if (c.before.grader, c.after.grader) == (before, after)]
        became = Counter(change.became for change in pairs)
        lines.append(
            f"{before or 'unnamed'} -> {after or 'unnamed'}: {count} graded again, "
            + "".join(f"{became[kind]} became {kind}, " for kind in ("correct", "wrong", "undecided"))
            + (f"{became['not judged']} could not be judged again, " if became["not judged"] else "")
            + f"{became['']} changed in reason, answer or cause only"
        )
    lines += [f"{number:>9}  {move}" for move, number in history.moves().items()]
    flips = sorted(history.changes, key=lambda change: (not change.flipped, not change.became))
    for change in flips[:most]:
        lines.append(
            f"\n  {change.problem_id}, temperature {exact_number(change.temperature)}, index {change.index}\n"
            f"    before  {told(change.before)}\n    after   {told(change.after)}"
        )
    if most is not None and len(flips) > most:
        lines.append(f"\n  and {len(flips) - most} more (--all lists every one)")
    return "\n".join(lines)


def _with_previous(path: Path) -> Iterator[tuple[dict, dict | None]]:
    """Each line in which something is said, with the one before it about the same sample."""
    offsets: dict[int, int] = {}
    with closing(open_to_read(path)) as file:
        for offset, line in read_lines(path):
            if line["verdict"].get("reason") == NOT_ASKED:
                continue
            digest = key_digest(*key_of(line))
            before = offsets.get(digest)
            offsets[digest] = offset
            yield line, None if before is None else read_line_at(file, before)


def _says(verdict: Verdict) -> tuple:
    return verdict.correct, verdict.reason, verdict.extracted, verdict.cause


def _kind(verdict: Verdict) -> str:
    if verdict.correct or verdict.reason == "undecided":
        return _reason(verdict)
    return "not judged" if verdict.reason in NOT_JUDGED else "wrong"


def _reason(verdict: Verdict) -> str:
    return "correct" if verdict.correct else verdict.reason or "wrong"


def told(verdict: Verdict) -> str:
    answer = "no answer" if verdict.extracted is None else repr(verdict.extracted[:80])
    parts = [f"{_reason(verdict)}, {answer}, {verdict.grader}: {' '.join(verdict.detail[:160].split())}"]
    if verdict.how:  # verdicts of earlier versions do not say it
        parts.append(f"found by {verdict.how} ({verdict.trust} trust)" if verdict.trust else verdict.how)
    if verdict.cause:
        parts.append(f"cause: {' '.join(verdict.cause[:160].split())}")
    return " | ".join(parts)
