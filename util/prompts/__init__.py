"""What words are sent? Longer prompts are text files beside this one: their bytes are what the model
reads."""

from __future__ import annotations

import re
from pathlib import Path

from util.errors import UserError

FOLDER = Path(__file__).parent


def load(name: str) -> str:
    """The prompt text `name`, without the newline that ends its file."""
    texts = {path.stem: path for path in FOLDER.glob("*.txt")}
    if name not in texts:
        known = ", ".join(sorted(texts))
        raise UserError(f"no prompt named {name[:80]!r}: choose one of {known}, or give a text file")
    return texts[name].read_text(encoding="utf-8").removesuffix("\n")


def render(text: str, **fields: str) -> str:
    """Replace {name} for the given fields only, in one pass; other braces stay as they are."""
    names = "|".join(map(re.escape, fields))
    return re.sub(r"\{(" + names + r")\}", lambda found: fields[found[1]], text) if fields else text
