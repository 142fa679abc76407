"""`leftoff copy`: the same journal in another place or format."""

from __future__ import annotations

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.text import echo_json, plural, printable
from leftoff.journal.store import redacted
from leftoff.work.copy import move as move_journal
from leftoff.work.journal import open as open_journal


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--move", is_flag=True, help="Go on at DST: SRC refuses from then on, and names DST.")
@json_option
def copy(source: str, target: str, move: bool, as_json: bool) -> None:
    """Copy a journal, also while it is being written.

    DST is a new file, whose suffix chooses the format, or the postgresql:// URL of a database that holds no journal
    yet. It holds what SRC held at one instant, and appears complete and durable, or not at all. Between two SQLite
    files your own tables come along, otherwise only the journal does. A --move that was interrupted is finished by the
    same command.
    """
    if move:
        copied = move_journal(source, target)
    else:
        with open_journal(source, create=False) as journal:
            copied = journal.copy(target)
    source, target = redacted(source), redacted(target)
    if as_json:
        echo_json({"source": source, "target": target, "moved": move, **copied._asdict()})
    elif move and not copied.entries:
        click.echo(f"{printable(source)} was moved to {printable(target)} before")
    else:
        what = f"{plural(copied.entries, 'entry', 'entries')} of {plural(len(copied.runs), 'run')}"
        tables = "your tables too" if copied.tables else "the journal alone"
        click.echo(f"{printable(target)}: {what}, {tables}" + ("; the work goes on there" if move else ""))
