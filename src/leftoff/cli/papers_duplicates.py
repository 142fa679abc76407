"""`leftoff papers duplicates`: suggest which papers may be the same."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.paper_line import line_of
from leftoff.cli.text import as_json as to_json
from leftoff.cli.text import plural, printable

if TYPE_CHECKING:
    from leftoff.papers import Duplicate


@click.command()
@click.option("--db", metavar="FILE", required=True, help="A database that papers sync made.")
@click.option(
    "--threshold", metavar="SCORE", type=float, default=90, show_default=True, help="The lowest score told, 0 to 100."
)
@json_option
def duplicates(db: str, threshold: float, *, as_json: bool) -> None:
    """Suggest which papers may be the same, although they share no DOI.

    Pairs, the surest first, each with a score from 0 to 100 and the fields that agree and differ; a preprint and its
    article are told as "preprint". Nothing is changed or locked. With --json each line is an object: score, kind,
    agree, differ, papers.
    """
    from leftoff.papers import duplicates as suggest

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    count = 0
    for pair in suggest(db, threshold=threshold):
        count += 1
        # Not click.echo, which flushes each line: there may be many.
        sys.stdout.write(f"{to_json(pair)}\n" if as_json else _lines(pair, width))
    if not as_json:
        click.echo(f"{printable(db)}: {plural(count, 'pair')} of papers that may be the same; nothing was changed")


def _lines(pair: Duplicate, width: int | None) -> str:
    what = " (preprint)" if pair["kind"] == "preprint" else ""
    differ = f"; other {', '.join(pair['differ'])}" if pair["differ"] else ""
    lines = [f"{pair['score']:5.1f}{what}  same {', '.join(pair['agree'])}{differ}"]
    lines += [f"  {line_of(paper, None if width is None else width - 2)}" for paper in pair["papers"]]
    return "\n".join(lines) + "\n"
