"""`leftoff export`: what is done and dead, as a table."""

from __future__ import annotations

import click

from leftoff.cli.arguments import check_run, journal_argument, json_option, run_option
from leftoff.cli.stdout import stdout_bytes
from leftoff.cli.text import echo_json, plural, printable
from leftoff.work.journal import open as open_journal


@click.command()
@journal_argument
@run_option
@click.option(
    "--fate", type=click.Choice(["done", "dead", "all"]), default="all", show_default=True, help="Which items."
)
@click.option("-o", "--output", metavar="FILE", help="Write to this file, which is replaced as a whole.")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="Default: by FILE's suffix, jsonl for standard output.",
)
@click.option("--flatten", is_flag=True, help="A column for each field of the results.")
@json_option
def export(
    place: str, run: str | None, fate: str, output: str | None, wanted: str | None, *, flatten: bool, as_json: bool
) -> None:
    """Write a row for each item that is done or dead.

    A row has the run, the key, the fate, when the item met it, its result as JSON, and of a dead letter how often it
    was tried and the last error. Without FILE the rows go to standard output. Parquet needs an extra: pip install
    "leftoff[parquet]". With --json what was written to FILE is told as one object. Nothing is locked or changed; the
    work may go on meanwhile.
    """
    from leftoff.export import export as export_rows

    if as_json and output is None and wanted not in (None, "jsonl"):
        raise click.UsageError("Without a FILE the rows themselves are printed, as JSON or as CSV.")
    with open_journal(place, create=False) as journal:
        names = check_run(journal, run)
        target = stdout_bytes() if output is None else output
        written = export_rows(
            journal, target, runs=names, fate=fate, format=wanted, flatten=flatten, progress=output is not None
        )
    if output is None:
        return
    if as_json:
        echo_json({"journal": place, "file": output, **written._asdict()})
    else:
        of_runs = plural(len(written.runs), "run")
        click.echo(f"{printable(output)}: {plural(written.rows, 'row')} of {of_runs}, {written.format}")
