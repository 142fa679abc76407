"""`leftoff forget`: take conclusions back."""

from __future__ import annotations

import click

from leftoff.cli.arguments import check_keys, journal_argument, json_option, keys_argument, run_option, the_run
from leftoff.cli.text import echo_json, plural, printable
from leftoff.work.journal import open as open_journal


@click.command()
@journal_argument
@keys_argument
@run_option
@click.option("--all", "everything", is_flag=True, help="Forget every item of the run: start over.")
@json_option
def forget(place: str, keys: tuple[str, ...], run: str | None, everything: bool, as_json: bool) -> None:
    """Forget that items are done or dead.

    The next run works again on the items of JOURNAL with these KEYs, or on --all of them. The old entries stay in
    the journal, and nothing that the work itself wrote is undone. Write -- before a KEY that begins with a dash.
    """
    if not keys and not everything:
        raise click.UsageError("Name the KEYs to forget, or --all of them.")
    if keys and everything:
        raise click.UsageError("Name KEYs or --all, not both.")
    with open_journal(place, create=False) as journal:
        name = the_run(journal, run)
        check_keys(journal, name, keys, "done", "dead")
        nothing = not any(journal.store.counts(name))  # then the run need not be taken over
        count = 0 if nothing else journal.run(name).forget(keys or None)
    if as_json:
        echo_json({"run": name, "forgotten": count})
    elif count:
        click.echo(f"{printable(name)}: {plural(count, 'item')} forgotten; the next run works on them again")
    else:
        click.echo(f"{printable(name)}: nothing to forget")
