"""What was kept on the way from samples to training data?

Call `read_counts` with the files that the later steps wrote, then `counts_tables`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from util.errors import UserError, why
from util.results.page import charts
from util.results.page.frame import table

StepCounts = Mapping[str, Mapping[str, int]]  # title of a table -> step -> how many


def read_counts(files: Sequence[Path]) -> list[StepCounts]:
    """The counts in data cards (FILE.card.json) and in summaries of preference pairs (pairs-summary.json)."""
    return [_tables(path, _read(path)) for path in files]


def counts_tables(counts: StepCounts) -> str:
    """A table for each title, with a bar for each step."""
    parts = []
    for title, steps in counts.items():
        most = max(steps.values(), default=0) or 1
        rows = [
            (escape(step), f"{count:,}", charts.interval_bar(count / most, 0, 0))
            for step, count in steps.items()
        ]
        parts.append(
            f"<h2>{escape(title)}</h2>" + table(("step", "count", ""), rows, words=(0,), frame="narrow")
        )
    return "".join(parts)


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({why(error)}): leave it out or write it again") from error
    return content if isinstance(content, dict) else {}


def _tables(path: Path, content: dict) -> StepCounts:
    if isinstance(funnel := content.get("funnel"), dict):
        file = content.get("file", path.name)
        undecided = content.get("undecided") or {}
        return {f"Curation of {file}": funnel} | (
            {f"Undecided samples left out of {file}": undecided} if undecided else {}
        )
    if isinstance(pairs := content.get("pairs"), dict) and isinstance(content.get("problems"), int):
        model = content.get("settings", {}).get("target_model", "")
        yields = {"problems": content["problems"]}
        if content.get("undecided"):
            yields["undecided samples left out"] = content["undecided"]
        reasons: dict[str, int] = {}
        for name, kind in pairs.items():
            yields[name] = kind["pairs"]
            reasons |= {f"{name}: {reason}": count for reason, count in kind["fell_out"].items()}
        return {f"Preference pairs for {model}": yields, "Why problems gave no pair": reasons}
    raise UserError(
        f"{path} holds no counts: name the FILE.card.json of training data, or the pairs-summary.json of "
        "preference pairs"
    )
