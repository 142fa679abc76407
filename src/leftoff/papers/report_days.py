"""Show in a report how many papers came in when: by day, of a longer time by week or month, with the numbers beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta

from leftoff.papers.came import Came, Day
from leftoff.papers.charts import COLOURS, Stack, stacks, text

WIDTHS = (("wide", 720), ("narrow", 340))  # one of each chart for a desk, one for a phone
MOST = 62  # bars in a chart
LARGEST = COLOURS - 3  # queries with a colour of their own; three more series may follow
SWATCH = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="s{}" width="10" height="10"/></svg>'
Column = Callable[[Day], int]


def in_time(came: Came) -> Iterator[str]:
    """Yield the chart of new papers, its key and its table."""
    series = _series(came)
    names = [name for name, _ in series]
    unit, labels = _labels(date.fromisoformat(came.since), date.fromisoformat(came.made_at[:10]))
    sums = {label: [0] * len(series) for label in labels}
    for day in came.days:
        for number, (_, column) in enumerate(series):
            sums.setdefault(_label(day.day, unit), [0] * len(series))[number] += column(day)
    bars = [Stack(label if unit == "month" else label[5:], tuple(parts)) for label, parts in sums.items()]
    yield f"<section>\n<h2>New papers a {unit}</h2>\n<figure>"
    yield from both_widths("time", lambda name, width: stacks(name, bars, names, width))
    keys = (f"<li>{SWATCH.format(number % COLOURS)}{text(name)}</li>" for number, name in enumerate(names))
    yield f'<ul class="key">{"".join(keys)}</ul>\n</figure>\n<details><summary>The numbers</summary>'
    yield table([unit, *names, "all"], ((label, *parts, sum(parts)) for label, parts in sums.items() if any(parts)))
    yield "</details>\n</section>"


def both_widths(name: str, draw: Callable[[str, int], str]) -> Iterator[str]:
    """Yield a chart as it is drawn for a desk and for a phone; the page shows one of the two."""
    for kind, width in WIDTHS:
        yield f'<div class="{kind}">{draw(f"{name}-{kind}", width)}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; the first cell of a row names it, and what is None is not known."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in heads)
    body = "".join(
        f'<tr><th scope="row"><bdi>{text(first)}</bdi></th>{"".join(f"<td>{_cell(each)}</td>" for each in cells)}</tr>'
        for first, *cells in rows
    )
    return f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,}" if isinstance(value, int) else text(value)


def _series(came: Came) -> list[tuple[str, Column]]:
    """Return the series of the chart and how each is read of a day: the largest queries, and all others as one."""
    sums: dict[str, int] = {}
    for day in came.days:
        for name, count in day.by_query.items():
            sums[name] = sums.get(name, 0) + count
    largest = set(sorted(sums, key=lambda name: (-sums[name], name))[:LARGEST])
    series: list[tuple[str, Column]] = [(each.name, _of(each.name)) for each in came.queries if each.name in largest]
    series += [
        ("other queries", lambda day: sum(count for name, count in day.by_query.items() if name not in largest)),
        ("several queries", lambda day: day.several),
        ("no query", lambda day: day.other),
    ]
    return [each for each in series if any(each[1](day) for day in came.days)]


def _of(name: str) -> Column:
    return lambda day: day.by_query.get(name, 0)


def _labels(first: date, last: date) -> tuple[str, list[str]]:
    """Return what one bar stands for, and a label for each of them."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    unit = next((unit for unit, of_days in (("day", 1), ("week", 7)) if len(days) <= MOST * of_days), "month")
    return unit, list(dict.fromkeys(_label(day.isoformat(), unit) for day in days))


def _label(day: str, unit: str) -> str:
    if unit == "week":
        monday = date.fromisoformat(day)
        return (monday - timedelta(days=monday.weekday())).isoformat()
    return day[:7] if unit == "month" else day
