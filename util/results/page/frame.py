"""What is around every page: its style, its script and the policy that lets no other script run?

Call `new_page`. All text that comes from models or datasets reaches a page as data or escaped.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TextIO

from util.results.page.katex import INSTALL, NAME, find_katex
from util.runs.journal import replacing

FOLDER = Path(__file__).parent


@contextmanager
def new_page(path: Path, title: str, *, more: Sequence[str] = ()) -> Iterator[TextIO]:
    """An HTML file that needs no server and sends no request; its body is written to what is yielded.

    `more` names files beside this one that it needs: styles and scripts.
    """
    scripts = _scripts(more)
    formulas = (
        f"Formulas are set by {NAME}, under the MIT licence."
        if NAME in scripts[0]
        else f"Formulas are shown as they were written: {INSTALL} and a new page set them."
    )
    with replacing(path) as out:
        _open_page(out, title, scripts, more)
        yield out
        out.write(f'\n</main><footer><p class="faint">{escape(formulas)}</p></footer>')
        out.writelines(f"\n<script>{script}</script>" for script in scripts)
        out.write("</body></html>\n")


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Sequence[int] = (),
    cards: bool = False,
    frame: str = "",
) -> str:
    """A table of cells that are HTML already.

    The columns in `words` hold longer texts; with `cards`, a phone shows each row as a list with the names of
    the columns. `frame` is a class of report.css that says how wide the columns are.
    """

    def cells(tag: str, row: Sequence[str]) -> str:
        parts = []
        for place, cell in enumerate(row):
            attributes = ' class="words"' if place in words else ""
            if cards and tag == "td":
                attributes += f' data-label="{head[place]}"'
                cell = f"<span>{cell}</span>"
            parts.append(f"<{tag}{attributes}>{cell}</{tag}>")
        return "".join(parts)

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    kind = ' class="cards"' if cards else ""
    body = f"<table{kind}><tr>{cells('th', head)}</tr>{lines}</table>"
    return f'<div class="{f"wide {frame}".strip()}">{body}</div>'


def contents(parts: Sequence[str]) -> str:
    """Parts of a page that are HTML already, each under its h2, below links to all of them."""
    text = "".join(parts)
    found: list[tuple[str, str]] = []

    def named(match: re.Match[str]) -> str:
        name = (match[1] or f"part-{len(found) + 1}", match[2])
        found.append(name)
        return f'<h2 id="{name[0]}">{name[1]}</h2>'

    text = re.sub(r'<h2(?: id="([\w-]+)")?>(.*?)</h2>', named, text)
    links = "".join(f'<a href="#{place}">{title}</a>' for place, title in found)
    return f'<nav aria-label="Contents">{links}</nav>{text}'


def _open_page(out: TextIO, title: str, scripts: Sequence[str], more: Sequence[str]) -> None:
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"
    style = _texts(["report.css", *(name for name in more if name.endswith(".css"))])
    out.write(
        f'<!doctype html>\n<html lang="en" data-theme="auto"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{style}</style></head><body>\n"
        f'<header><h1>{escape(title)}</h1><button id="theme" type="button">theme: auto</button></header>\n'
        "<main>\n"
    )


def script_bytes(more: Sequence[str] = ()) -> int:
    """How much of a page its scripts are."""
    return sum(len(script.encode()) for script in _scripts(more))


def _scripts(more: Sequence[str]) -> list[str]:
    own = [_texts([name]) for name in ("formulas.js", "report.js", *more) if name.endswith(".js")]
    return [katex, *own] if (katex := find_katex()) else own


def _texts(names: Sequence[str]) -> str:
    return "".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
