"""What should a person know of a training set before using it? A card, and a picture of lengths."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from util.records import Verdict
from util.results.page import charts
from util.terminal import number_of


def card(
    name: str,
    *,
    funnel: dict[str, int],
    counts: dict[str, Counter[str]],
    tokens: Sequence[int],
    settings: dict[str, object],
    sources: list[dict[str, str]],
    notes: list[str],
    sha256: str,
    picture: str,
) -> str:
    """The data card of a training file."""
    parts = [
        f"# {name}",
        f"{number_of(len(tokens), 'row')}. SHA-256 of the file: `{sha256}`.",
        "## Funnel",
        _table(("stage", "rows"), [(stage, f"{number:,}") for stage, number in funnel.items()]),
        *(_list(notes),) * bool(notes),
        "## Length of responses in tokens",
        _token_line(tokens),
        f"![Length of responses]({picture})",
    ]
    for column, counter in counts.items():
        if set(counter) == {"-"}:
            continue
        rows = [
            (value, f"{number:,}", f"{number / counter.total():.1%}")
            for value, number in _ordered(column, counter)
        ]
        parts += [f"## Rows by {column}", _table((column, "rows", "share"), rows)]
    parts += [
        "## Where the questions are from",
        _table(tuple(sources[0]), [tuple(source.values()) for source in sources]) if sources else "-",
        "## Settings",
        _table(("setting", "value"), [(key, f"`{value}`") for key, value in settings.items()]),
    ]
    return "\n\n".join(parts) + "\n"


def described_file(counts: Path) -> str | None:
    """Which training file a FILE.card.json is about; None when there is no such card."""
    try:
        content = json.loads(counts.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("file") if isinstance(content, dict) else None


def grader_named(verdict: Verdict) -> str:
    """The grader of a verdict, with the tolerance by which it took a number for equal, if it did."""
    tier = verdict.detail.partition(";")[0]  # "number within digits", see `grade_maths`
    tolerance = tier.removeprefix("number within ") if tier.startswith("number within ") else ""
    return f"{verdict.grader or 'unnamed'}{f' (tolerance: {tolerance})' if tolerance else ''}"


def token_statistics(tokens: Sequence[int]) -> dict[str, float]:
    """Least, median, mean, 95th percentile, most and sum."""
    ordered = sorted(tokens)
    return {
        "least": ordered[0],
        "median": ordered[len(ordered) // 2],
        "mean": round(sum(ordered) / len(ordered), 1),
        "95th percentile": ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)],
        "most": ordered[-1],
        "sum": sum(ordered),
    }


def lengths_picture(tokens: Sequence[int]) -> str:
    """How long responses are, as an SVG file."""
    rows = [("rows", charts.HUES[0], tokens)]
    picture = charts.histogram(rows, along="tokens", longest=max(tokens))
    return charts.picture_file([(f"{number_of(len(tokens), 'row')} by length", picture)])


def _token_line(tokens: Sequence[int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in token_statistics(tokens).items())


def _ordered(column: str, counter: Counter[str]) -> list[tuple[str, int]]:
    if column == "difficulty":
        return sorted(counter.items(), key=lambda pair: (not _is_number(pair[0]), _number(pair[0]), pair[0]))
    return sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _number(text: str) -> float:
    return float(text) if _is_number(text) else 0.0


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
