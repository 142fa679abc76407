"""Draw the charts of a report as SVG that stands in a page of HTML: stacked bars by day, and bars against a count.

Each has a title and a description for those who do not see it. Colours are classes (`s0` and on), which the page
defines for light and dark; nothing of the data becomes a class, an id or an address.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = 8  # s0 to s7
ROW = 44  # height of one query in `bars`


@dataclass(frozen=True)
class Stack:
    """Be one bar: what stands under it, and the height of each of its parts."""

    label: str
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Bar:
    """Be one query at one service: what is held, and what is counted there, None where there is no count."""

    label: str
    held: int
    counted: int | None


def text(value: object) -> str:
    """Return a value as it may stand in the text or an attribute of a page: escaped, without what drives or hides."""
    line = " ".join(str(value).split())
    return html.escape("".join(each if each.isprintable() else "\ufffd" for each in line))


def stacks(name: str, bars: Sequence[Stack], series: Sequence[str], width: int) -> str:
    """Return stacked bars, all series of a day upon each other; name: begins the ids, of letters alone."""
    height, left, bottom, top = 240, 44, 24, 12
    highest = max((sum(bar.parts) for bar in bars), default=0)
    step, ticks = _scale(highest)
    scale = (height - bottom - top) / max(1, step * ticks)
    room = (width - left - 4) / max(1, len(bars))
    drawn = []
    for tick in range(ticks + 1):
        y = height - bottom - tick * step * scale
        drawn.append(f'<line class="grid" x1="{left}" x2="{width - 4}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text class="end" x="{left - 6}" y="{y + 4:.1f}">{tick * step:,}</text>')
    every = max(1, math.ceil(len(bars) * 44 / (width - left)))
    for place, bar in enumerate(bars):
        x, y = left + place * room + room * 0.1, float(height - bottom)
        for number, part in enumerate(bar.parts):
            if part:
                y -= part * scale
                box = f'x="{x:.1f}" y="{y:.1f}" width="{max(1.0, room * 0.8):.1f}" height="{part * scale:.1f}"'
                label = f"{text(bar.label)}, {text(series[number])}: {part:,}"
                drawn.append(f'<rect class="s{number % COLOURS}" {box}><title>{label}</title></rect>')
        if place % every == 0:
            drawn.append(f'<text class="mid" x="{x + room * 0.4:.1f}" y="{height - 6}">{text(bar.label)}</text>')
    total = sum(sum(bar.parts) for bar in bars)
    said = f"{total:,} papers; at most {highest:,} at a time. The numbers are in the table below."
    return _svg(name, width, height, "New papers", said, drawn)


def bars(name: str, rows: Sequence[Bar], width: int) -> str:
    """Return for each row what is held as a bar, before one of what is counted; name: begins the ids."""
    height = ROW * max(1, len(rows))
    drawn = []
    for place, row in enumerate(rows):
        y = place * ROW
        most = max(row.held, row.counted or 0, 1)
        counted = width if row.counted is None else width * row.counted / most
        numbers = f"{row.held:,}" + ("" if row.counted is None else f" of {row.counted:,}")
        room = max(8, int(width / 7.2) - len(numbers) - 2)
        label = row.label if len(row.label) <= room else f"{row.label[: room - 1]}…"
        drawn.append(f'<text x="0" y="{y + 16}">{text(label)}</text>')
        drawn.append(f'<text class="end" x="{width}" y="{y + 16}">{numbers}</text>')
        if row.counted is not None:
            drawn.append(f'<rect class="counted" x="0" y="{y + 23}" width="{counted:.1f}" height="12"/>')
        drawn.append(f'<rect class="s0" x="0" y="{y + 23}" width="{width * row.held / most:.1f}" height="12"/>')
    said = "; ".join(
        f"{row.label}: {row.held:,}" + ("" if row.counted is None else f" of {row.counted:,}") for row in rows
    )
    return _svg(name, width, height, "Held, of what the services count", said, drawn)


def _svg(name: str, width: int, height: int, title: str, said: str, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{text(title)}</title><desc id="{name}-desc">{text(said)}</desc>'
        f"{''.join(drawn)}</svg>"
    )


def _scale(highest: int) -> tuple[int, int]:
    """Return the distance of the lines behind a chart, a round number, and how many there are above zero."""
    step = 1
    while highest > step * 4:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step, max(1, math.ceil(highest / step))
