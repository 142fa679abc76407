"""`leftoff papers report`: what came in, query by query, as text, JSON or a page of HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from leftoff.cli.text import as_json as to_json
from leftoff.cli.text import plural, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leftoff.papers import Came, NewPaper, ServiceCame

SHOWN = 20  # papers that the text names
WIDEST = 32  # characters of a query's name


@click.command("report")
@click.option("--db", metavar="FILE", help="The database; default: the project's.")
@click.option("--project", metavar="FILE", help="A project file; default: leftoff.toml, unless --db is given.")
@click.option(
    "--since", metavar="DATE|Nd", default="7d", show_default=True, help="The first day, or how many days ago."
)
@click.option(
    "--format", "wanted", type=click.Choice(["text", "json", "html"]), help="Default: by FILE's suffix, else text."
)
@click.option("-o", "--output", metavar="FILE", help="Write to this file, which is replaced as a whole.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def report(
    db: str | None, project: str | None, since: str, wanted: str | None, output: str | None, *, as_json: bool
) -> None:
    """Tell what came in since a day, query by query, held against what the services count.

    New, revised, merged, retracted and missing papers; what is held of what each service counts, and as of when; the
    newest papers. Days are those of UTC. The page of HTML asks nothing of the network. Nothing is locked or changed; a
    sync may go on then.
    """
    import leftoff
    from leftoff.papers import report as report_papers
    from leftoff.papers.project import FILE

    if as_json and wanted not in (None, "json"):
        raise click.UsageError(f"--json and --format {wanted} contradict each other.")
    suffixes = {".html": "html", ".htm": "html", ".json": "json"}
    form = "json" if as_json else wanted or suffixes.get(Path(output or "").suffix.lower(), "text")
    came = report_papers(db, project=FILE if db is None and project is None else project, since=since)
    if form == "html":
        text = came.as_html()
    else:
        text = f"{to_json(came.as_dict())}\n" if form == "json" else "".join(f"{line}\n" for line in _lines(came))
    if output is None:
        click.echo(text, nl=False)
        return
    with leftoff.replacing(output) as file:
        file.write(text)
    click.echo(f"{printable(output)}: {plural(came.totals.new, 'new paper')} since {came.since}, {form}", err=True)


def _lines(came: Came) -> Iterator[str]:
    totals = came.totals
    yield f"{printable(came.db)}: {plural(totals.new, 'new paper')} since {came.since}, {totals.papers:,} in all"
    yield ""
    heads = ("query", "new", "revised", "merged", "retracted", "missing")
    sums = ("all", totals.new, totals.revised, totals.merged, totals.retracted, totals.missing)
    rows = [(each.name, each.new, each.revised, each.merged, each.retracted, each.missing) for each in came.queries]
    yield from _columns(heads, [*rows, sums])
    yield ""
    standing = [_standing(each.name, service) for each in came.queries for service in each.services]
    yield from _columns(("query", "held", "counted", "missing", "gap", "service, last complete search"), standing)
    if came.papers:
        yield ""
    for paper in came.papers[:SHOWN]:
        yield _paper(paper)
    if totals.new > min(SHOWN, len(came.papers)):
        yield f"… and {totals.new - min(SHOWN, len(came.papers)):,} more"


def _standing(name: str, service: ServiceCame) -> tuple[object, ...]:
    when = f"{service.source}, {(service.complete_at or 'never')[:10]}"
    if service.open_since is not None:
        when += f"; one is OPEN since {service.open_since[:10]}: run sync again"
    return (name, service.held, service.counted, service.missing, service.gap, when)


def _columns(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield rows under their heads; the first column stands left, numbers right, other words at the end."""
    table = [list(heads), *([_cell(each) for each in row] for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(heads))]
    words = isinstance(rows[0][-1], str) if rows else True
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join([*cells[:-1], row[-1] if words else cells[-1]]).rstrip()


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return (
        "-" if value is None else shortened(str(value), WIDEST) if len(str(value)) > WIDEST else printable(str(value))
    )


def _paper(paper: NewPaper) -> str:
    link = paper.links[0] if paper.links else paper.key
    who = f"{paper.authors[0]}{' et al.' if len(paper.authors) > 1 else '.'} " if paper.authors else ""
    retracted = "RETRACTED. " if paper.retracted else ""
    where = ", ".join(each for each in (paper.journal, paper.date) if each)
    what = printable(f"{retracted}{who}{paper.title or '(no title)'}")
    return f"{paper.at[:10]}  {what}\n            {printable(where)}  {printable(link)}"
