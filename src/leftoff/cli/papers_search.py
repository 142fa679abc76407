"""`leftoff papers search`: find papers of a database by their words."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Literal

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.text import as_json as to_json
from leftoff.cli.text import plural, printable

if TYPE_CHECKING:
    from leftoff.papers import Findings, Found

MARKED = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
NAMED = 3  # authors; --json has all


class WordsCommand(click.Command):
    """Be a command whose words may begin with ``-``: what looks like a short option is a word to leave out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; a long option that is none is still an error, and ``-h`` still asks for help."""
        before = args[: args.index("--")] if "--" in args else [*args]  # click empties its list
        rest = super().parse_args(ctx, ["--help"] if "-h" in before else args)
        for word in ctx.params["words"]:
            if word.startswith("--") and word in before:
                raise click.NoSuchOption(word.partition("=")[0], ctx=ctx)
        return rest


@click.command(cls=WordsCommand, context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("words", nargs=-1)
@click.option("--db", metavar="FILE", required=True, help="A database that papers sync made.")
@click.option("--year", metavar="YEARS", help="Published then: 2020, 2020-2024, 2020- or -2010.")
@click.option(
    "--journal", metavar="NAME", multiple=True, help="In this journal, or one whose name has these words; repeatable."
)
@click.option(
    "--author", metavar="NAME", multiple=True, help="By this author, such as Lovelace or 'Lovelace A'; repeatable."
)
@click.option(
    "--mesh",
    metavar="TERM",
    multiple=True,
    help="With this MeSH heading, such as Asthma or 'Asthma/drug therapy'; repeatable.",
)
@click.option(
    "--type", "kind", metavar="TYPE", multiple=True, help="Of this type, such as Review or journal-article; repeatable."
)
@click.option("--source", type=click.Choice(["pubmed", "crossref"]), help="Known to this service.")
@click.option("--limit", metavar="N", type=int, default=20, show_default=True, help="At most N papers.")
@json_option
def search(
    words: tuple[str, ...],
    db: str,
    year: str | None,
    journal: tuple[str, ...],
    author: tuple[str, ...],
    mesh: tuple[str, ...],
    kind: tuple[str, ...],
    source: Literal["pubmed", "crossref"] | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Find papers by their words, the best first.

    \b
    asthma adherence       both, in title, abstract, authors or MeSH
    '"airway remodeling"'  side by side; the outer quotes are the shell's
    'adheren*'             what begins so; without * a word is found as it is
    cough OR wheeze        one of both
    -mice                  without it
    title:asthma           in the title; also abstract:, author:, mesh:
    '(a b) OR c'           brackets around any of this

    Everything else is text: nothing that is typed is an error of syntax. Without WORDS the other options find papers,
    the newest first. Of a journal named repeatedly any is meant, of the rest all. Nothing is locked or changed. With
    --json each line is a paper: key, doi, pmids, title, year, status, journal, authors, snippet, score.
    """  # noqa: D301  (click's mark for lines that stay as they are)
    from leftoff.papers import search as search_papers

    found = search_papers(
        " ".join(words), db, year=year, journal=journal, author=author, mesh=mesh, type=kind, source=source, limit=limit
    )
    if as_json:
        for paper in found:
            sys.stdout.write(f"{to_json(paper)}\n")
    else:
        _print(found, db)


def _print(found: Findings, db: str) -> None:
    if not found.total:
        click.echo(f"{printable(db)}: no paper found; a word is found as it is written, with * also what begins so")
        return
    more = f", {len(found):,} shown: --limit N shows more" if len(found) < found.total else ""
    click.echo(f"{printable(db)}: {plural(found.total, 'paper')} found{more}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for place, paper in enumerate(found, start=1):
        click.echo()
        for first, line in zip((f"{place:>3}. ", "     ", "     "), _lines(paper), strict=True):
            if line:
                click.echo(_marked(_wrapped(line, first, width), bold=width is not None))


def _lines(paper: Found) -> tuple[str, str, str]:
    """Return a title, where and by whom, and where it has what was looked for."""
    names = ", ".join(paper["authors"][:NAMED])
    if len(paper["authors"]) > NAMED:
        names += f" and {len(paper['authors']) - NAMED:,} more"
    where = " ".join(str(part) for part in (paper["journal"], paper["year"]) if part)
    known = [f"PMID {', '.join(paper['pmids'])}"] if paper["pmids"] else []
    parts = [names, where, *known, *([f"doi:{paper['doi']}"] if paper["doi"] else [])]
    mark = f"[{paper['status'].upper()}] " if paper["status"] else ""
    return mark + (paper["title"] or "(no title)"), "; ".join(part for part in parts if part), paper["snippet"] or ""


def _wrapped(line: str, first: str, width: int | None) -> str:
    text = printable(line)
    if width is None:
        return first + text
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent="     ", break_long_words=False, break_on_hyphens=False
    )


def _marked(text: str, *, bold: bool) -> str:
    return MARKED.sub(lambda match: click.style(match[1], bold=True), text) if bold else text
