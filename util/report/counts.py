"""What was kept on the way from samples to training data, by the counts that the later steps wrote down?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from util.errors import UserError
from util.report import charts
from util.report.frame import table


def read_curation(folders: Sequence[Path], files: Sequence[Path] = ()) -> list[dict]:
    """Named counts ({"title": {"step": count}}): curation.json and pairs.json of the folders, and `files`."""
    beside = [folder / name for folder in folders for name in ("curation.json", "pairs.json")]
    found = []
    for path in (*[path for path in beside if path.is_file()], *files):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): leave it out or write it again") from error
        if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
            raise UserError(
                f'{path} holds no counts such as {{"Curation": {{"generated": 100, "final": 40}}}}'
            )
        found.append(content)
    return found


def counts_table(entry: dict) -> str:
    """Named counts: the steps of a funnel, or what pairs came of each variant."""
    parts = []
    for title, counts in entry.items():
        most = max([count for count in counts.values() if isinstance(count, int)], default=0) or 1
        rows = [
            (
                escape(str(name)),
                escape(str(count)),
                charts.interval_bar(count / most, 0, 0) if isinstance(count, int) else "",
            )
            for name, count in counts.items()
        ]
        parts.append(f"<h2>{escape(title)}</h2>" + table(("step", "count", ""), rows))
    return "".join(parts)
