"""How do numbers become pictures (SVG inside the page, in its colours, or in a file of its own)?

Call `curves`, `histogram` or `bars`; `picture_file` makes a file of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

COLOURS = ("a", "b", "c", "d", "e", "f")  # CSS variables of the page
WIDTH, HEIGHT = 360, 222
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 10, 46
BINS = 24
TITLE = 28  # above a picture in a file of its own
HUES = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#97bbf5")  # there, where no page has colours


def colour(number: int) -> str:
    """The colour of the curve with this number."""
    return f"var(--{COLOURS[number % len(COLOURS)]})"


def curves(named: Sequence[tuple[str, dict[int, float]]]) -> str:
    """Shares (0 to 1) over powers of two, one curve per name; for pass@k."""
    ks = sorted({k for _, values in named for k in values})
    last = max(math.log2(ks[-1]), 1.0)

    def x(k: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log2(k) / last

    parts = [_shares_axis()]
    parts += [_text(x(k), HEIGHT - BOTTOM + 16, str(k), "middle") for k in ks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "samples per problem (k)", "middle"))
    for number, (name, values) in enumerate(named):
        points = [(x(k), _share_y(value)) for k, value in sorted(values.items())]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline class="curve" style="stroke:{colour(number)}" points="{line}"/>')
        for (px, py), (k, value) in zip(points, sorted(values.items()), strict=True):
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.2" style="fill:{colour(number)}">'
                f"<title>{escape(name)}: pass@{k} {100 * value:.1f}</title></circle>"
            )
    return _svg("pass@k", parts)


def histogram(groups: Sequence[tuple[str, str, Sequence[int]]], *, along: str, longest: int) -> str:
    """Stacked counts of (name, colour, values) over bins of equal width from 0 to `longest`."""
    step = _round_step((longest + 1) / BINS)
    bins = max(1, math.ceil((longest + 1) / step))
    counts = [[0] * bins for _ in groups]
    for place, (_, _, values) in enumerate(groups):
        for value in values:
            counts[place][int(value // step)] += 1
    named = [(name, hue, column) for (name, hue, _), column in zip(groups, counts, strict=True)]
    return bars(named, along=along, step=step)


def bars(groups: Sequence[tuple[str, str, Sequence[int]]], *, along: str, step: int) -> str:
    """Stacked (name, colour, counts), where each count is of a bin that is `step` wide; the first is at 0."""
    bins = len(groups[0][2])
    most = max(sum(column) for column in zip(*(counts for _, _, counts in groups), strict=True)) or 1
    most += most % 2  # so that the line at half height is at a whole number
    high = HEIGHT - TOP - BOTTOM
    wide = (WIDTH - LEFT - RIGHT) / bins
    parts = []
    for fraction in (0, 0.5, 1):
        y = TOP + high * (1 - fraction)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 5, y + 4, _short(most * fraction), "end"))
    for place in range(bins):
        y = float(TOP + high)
        for name, hue, column in groups:
            tall = high * column[place] / most
            if not tall:
                continue
            y -= tall
            parts.append(
                f'<rect x="{LEFT + place * wide + 0.5:.1f}" y="{y:.1f}" width="{max(wide - 1, 1):.1f}" '
                f'height="{tall:.1f}" style="fill:{hue}"><title>{escape(name)}: {column[place]} from '
                f"{place * step} to {(place + 1) * step} {along}</title></rect>"
            )
    every = max(1, bins // 5)
    for place in range(0, bins + 1, every):
        anchor = "end" if place == bins else "middle"
        parts.append(_text(LEFT + place * wide, HEIGHT - BOTTOM + 16, _short(place * step), anchor))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, along, "middle"))
    return _svg(f"samples by {along}", parts)


def interval_bar(value: float, low: float, high: float) -> str:
    """A bar for a share with a line for its interval."""
    return (
        f'<span class="bar"><i style="width:{100 * value:.1f}%"></i>'
        f'<b style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></b></span>'
    )


def picture_file(panels: Sequence[tuple[str, str]]) -> str:
    """Pictures one below the other, each under its title, as an SVG file that needs no page."""
    tall = TITLE + HEIGHT
    height = tall * max(1, len(panels))
    parts = []
    for number, (title, picture) in enumerate(panels):
        parts.append(_text(LEFT, number * tall + TITLE - 8, title, "start"))
        parts.append(picture.replace("<svg", f'<svg y="{number * tall + TITLE}"', 1))
    size = f'viewBox="0 0 {WIDTH} {height}" width="{2 * WIDTH}" height="{2 * height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        '<style>.grid { stroke: #ddd }</style><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names with their colours."""
    parts = (f'<span><i style="background:{hue}"></i>{escape(name)}</span>' for name, hue in entries)
    return f'<div class="legend">{"".join(parts)}</div>'


def _shares_axis() -> str:
    parts = []
    for percent in (0, 25, 50, 75, 100):
        y = _share_y(percent / 100)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 5, y + 4, f"{percent}", "end"))
    return "".join(parts)


def _share_y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(label: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _round_step(least: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ... that is not smaller."""
    power = 10 ** max(0, math.floor(math.log10(max(least, 1))))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _short(number: float) -> str:
    if number >= 10000:
        return f"{number / 1000:g}k"
    return f"{number:g}"
