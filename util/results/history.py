"""What changed between the gradings of a run: which samples flipped, from what to what, and why?

Call `read_history`, then `as_text`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from util.errors import UserError
from util.records import Verdict, exact_number
from util.runs.folder import read_run_json
from util.runs.journal import read_lines
from util.runs.reader import VERDICTS, VerdictLines, read_records
from util.runs.repeat import next_step

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
            "changed": len(self.changes),
            "graders": dict(self.graders),
        }


def read_history(folder: Path) -> History:
    """Compare each verdict with the one before it on the same text of the same sample."""
    read_run_json(folder)
    path = folder / VERDICTS
    if not path.exists() or not path.stat().st_size:
        raise UserError(next_step(folder, samples=sum(1 for _ in read_records(folder))))
    history = History()
    with VerdictLines(path) as lines:
        for line, before in _with_previous(path, lines):
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
                key = (line["problem_id"], line["temperature"], line["index"])
                history.changes.append(Change(*key, previous, after))
    history.graders = +history.graders
    return history


def as_text(folder: Path, history: History) -> str:
    """The history for the terminal."""
    lines = [f"{folder}: {history.gradings} gradings of {history.samples} samples"]
    if not history.again:
        lines.append(
            "no sample was graded twice: run inference_and_check.py with --check --regrade to "
            "see what the current grader says"
        )
    for (before, after), count in history.again.items():
        pairs = [c for c in history.changes if (c.before.grader, c.after.grader) == (before, after)]
        right = sum(change.flipped and change.after.correct for change in pairs)
        wrong = sum(change.flipped and not change.after.correct for change in pairs)
        other = len(pairs) - right - wrong
        lines.append(
            f"{before or 'unnamed'} -> {after or 'unnamed'}: {count} graded again, {right} became correct, "
            f"{wrong} became wrong, {other} changed in reason or answer only"
        )
    flips = sorted(history.changes, key=lambda change: not change.flipped)
    for change in flips[:LISTED]:
        lines.append(
            f"\n  {change.problem_id}, temperature {exact_number(change.temperature)}, index {change.index}\n"
            f"    before  {_told(change.before)}\n    after   {_told(change.after)}"
        )
    if len(flips) > LISTED:
        lines.append(f"\n  and {len(flips) - LISTED} more")
    return "\n".join(lines)


def _with_previous(path: Path, lines: VerdictLines) -> Iterator[tuple[dict, dict | None]]:
    for offset, line in read_lines(path):
        yield line, lines.replace(line, offset)


def _says(verdict: Verdict) -> tuple:
    return verdict.correct, verdict.reason, verdict.extracted


def _told(verdict: Verdict) -> str:
    outcome = "correct" if verdict.correct else verdict.reason or "wrong"
    answer = "no answer" if verdict.extracted is None else repr(verdict.extracted[:80])
    return f"{outcome}, {answer}, {verdict.grader}: {' '.join(verdict.detail[:160].split())}"
