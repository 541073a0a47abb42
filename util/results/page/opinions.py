"""What did second opinions say of the runs of a page?

Call `opinions_section`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from util.records import exact_number
from util.results.opinions import Disagreement
from util.results.page.frame import table
from util.results.page.gather import RunFacts

SHOWN = 200  # disagreements of a run; run.json has all


def opinions_section(runs: Sequence[RunFacts], names: Sequence[str]) -> str:
    """Scores by rules and with opinions, and where an audit contradicts the rules; "" without opinions."""
    rows, notes = [], []
    for run, name in zip(runs, names, strict=True):
        found = run.opinions
        if found is None:
            continue
        for temperature, numbers in run.headlines.items():
            counts = found.counts[exact_number(temperature)]
            rows.append(
                (
                    escape(f"{name} · T {exact_number(temperature)}" if len(run.numbers) > 1 else name),
                    escape(found.headline(exact_number(temperature), numbers)),
                    str(counts.undecided),
                    f"{counts.right} right, {counts.wrong} wrong",
                    str(counts.audited),
                    str(counts.neither),
                )
            )
        if found.canaries:
            notes.append(f'<p class="notice">{escape(name)}: {escape(found.canaries)}.</p>')
        notes.append(_contradicted(found.disagreements, name))
    if not rows:
        return ""
    head = ("run", "score", "undecided", "opinions on these", "opinions on others", "neither yes nor no")
    about = (
        '<p class="faint">The verdicts of the rules stand, and every other number on this page is by rules '
        "alone.</p>"
    )
    return f"<h2>Second opinions</h2>{table(head, rows, words=(0, 1), cards=True)}{about}{''.join(notes)}"


def _contradicted(disagreements: Sequence[Disagreement], name: str) -> str:
    if not disagreements:
        return ""
    listed = "".join(f"<li>{escape(one.line())}</li>" for one in disagreements[:SHOWN])
    more = len(disagreements) - SHOWN
    rest = f'<p class="faint">and {more} more in run.json</p>' if more > 0 else ""
    title = f"{len(disagreements)} opinions contradict a verdict of the rules: {name}"
    return f"<details><summary>{escape(title)}</summary><ul>{listed}</ul>{rest}</details>"
