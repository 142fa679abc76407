"""`leftoff retry`: give dead letters back to the next run."""

from __future__ import annotations

import click

from leftoff.cli.arguments import check_keys, journal_argument, json_option, keys_argument, run_option, the_run
from leftoff.cli.text import echo_json, plural, printable
from leftoff.work.journal import open as open_journal


@click.command()
@journal_argument
@keys_argument
@run_option
@json_option
def retry(place: str, keys: tuple[str, ...], run: str | None, as_json: bool) -> None:
    """Let dead letters be worked on again.

    The next run works on the dead letters of JOURNAL with these KEYs, or on all of them, from their first try.
    Write -- before a KEY that begins with a dash.
    """
    with open_journal(place, create=False) as journal:
        name = the_run(journal, run)
        check_keys(journal, name, keys, "dead")
        nothing = next(journal.run(name).keys("dead"), None) is None  # then the run need not be taken over
        count = 0 if nothing else journal.run(name).retry(keys or None)
    if as_json:
        echo_json({"run": name, "retried": count})
    elif count:
        click.echo(f"{printable(name)}: {plural(count, 'dead letter')} will be worked on again by the next run")
    else:
        click.echo(f"{printable(name)}: no dead letters")
