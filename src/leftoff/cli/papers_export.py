"""`leftoff papers export`: the library as other programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.stdout import stdout_bytes
from leftoff.cli.text import echo_json, plural, printable

if TYPE_CHECKING:
    from leftoff.papers import ExportFormat


@click.command("export")
@click.argument("names", metavar="[DOI|PMID]...", nargs=-1)
@click.option("--db", metavar="FILE", required=True, help="A database that papers sync made.")
@click.option("-o", "--output", metavar="FILE", help="Write to this file, which is replaced as a whole.")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["bibtex", "ris", "csl-json", "csv", "jsonl"]),
    help="Default: by FILE's suffix: .bib, .ris, .json, .csv, .jsonl.",
)
@click.option("--latex", is_flag=True, help="In BibTeX, write accents and symbols as LaTeX commands.")
@json_option
def export_papers(
    names: tuple[str, ...], db: str, output: str | None, wanted: ExportFormat | None, *, latex: bool, as_json: bool
) -> None:
    """Write the papers of a database for citation managers, LaTeX or tables.

    All papers, or those that are named by DOI, PMID or PMCID. Without FILE they go to standard output. With --json what
    was written to FILE is told as one object. Nothing is locked or changed; a sync may go on meanwhile.
    """
    from leftoff.papers import export

    output = None if output == "-" else output
    if output is None and as_json and wanted not in (None, "jsonl", "csl-json"):
        raise click.UsageError("Without a FILE the papers themselves are printed, and that format is not JSON.")
    if output is None and wanted is None:
        if not as_json:
            raise click.UsageError("Say which --format, or name a FILE with -o whose suffix tells it.")
        wanted = "jsonl"
    target = stdout_bytes() if output is None else output
    report = export(db, target, names, format=wanted, latex=latex, progress=output is not None)
    if output is None:
        return
    if as_json:
        echo_json({"db": db, "file": output, **report._asdict()})
    else:
        click.echo(f"{printable(output)}: {plural(report.papers, 'paper')}, {report.format}")
