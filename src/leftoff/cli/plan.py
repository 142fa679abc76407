"""`leftoff plan`: what would be done, before it is."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain

import click

from leftoff.cli.arguments import journal_argument, json_option, run_option, the_run
from leftoff.cli.text import echo_json, iso, plural, printable
from leftoff.shell import from_file
from leftoff.work.budget import Uncertain
from leftoff.work.journal import open as open_journal
from leftoff.work.plan import Plan
from leftoff.work.progress import duration
from leftoff.work.run import Run

_NAMED = 5  # so many keys are named, the others counted


@click.command()
@journal_argument
@click.argument("command", metavar="[-- COMMAND [ARGUMENT]...]", nargs=-1)
@run_option
@click.option("-a", "--arg-file", "listed", metavar="LIST", help="The items: the lines of a file; - is standard input.")
@click.option("-0", "--null", is_flag=True, help="Items end with a NUL.")
@click.option("--csv", is_flag=True, help="The first line names columns, and each other record is an item.")
@click.option("--key", metavar="NAME", help="The column that is a record's key, in place of the whole record.")
@json_option
def plan(
    place: str,
    command: tuple[str, ...],
    run: str | None,
    listed: str | None,
    *,
    null: bool,
    csv: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Show what a loop would do before it does it.

    LIST has the items that the run of JOURNAL would be given, as for `leftoff each`; those of other loops by their
    keys. Shown are new, failed, done and dead items, those that the run knows and LIST has no more, the time left at
    the rate that was measured, and attempts that were cut off and may have been paid for; with COMMAND, whether the
    results are of another one. Without LIST it is the items that the run knows. Nothing is locked or changed.
    """
    if listed is None and (null or csv or key is not None):
        raise click.UsageError("-0, --csv and --key say how to read the items of -a LIST.")
    with open_journal(place, create=False) as journal:
        one = journal.run(the_run(journal, run))
        items = (
            _known(one)
            if listed is None
            else [item.key for item in from_file(listed, null=null, csv=csv, key=key).items]
        )
        found = one.plan(items, parameters={"command": list(command)} if command else None)
        uncertain = one.uncertain()
    if as_json:
        attempts = [{**asdict(each), "at": iso(each.at)} for each in uncertain]
        echo_json({**asdict(found), "work": found.work, "uncertain": attempts})
    else:
        click.echo("\n".join(_lines(found, uncertain, is_listed=listed is not None)))


def _known(run: Run) -> list[str]:
    """Return the keys of all items that a run knows."""
    return list(chain(run.store.open_items(run.name), run.keys("done"), run.keys("dead")))


def _lines(found: Plan, uncertain: list[Uncertain], *, is_listed: bool) -> list[str]:
    counts = [f"{len(found.new):,} new"] if is_listed else []
    counts += [f"{len(found.failed):,} failed or in hand", f"{len(found.done):,} done", f"{len(found.dead):,} dead"]
    if found.duplicates:
        counts.append(plural(found.duplicates, "duplicate"))
    lines = [f"{printable(found.run)}: {', '.join(counts)}"]
    pace = "" if found.seconds_left is None else f", about {duration(found.seconds_left)} at the rate measured"
    lines.append(f"  to do: {plural(found.work, 'item')}{pace if found.work else ''}")
    for what, keys in (("dead letters", found.dead), ("not in the list any more", found.removed)):
        if keys:
            lines.append(f"  {what}: {_names(keys)}")
    if found.changed:
        lines.append(f"  changed since the last results: {_names(found.changed)}")
    lines += [
        f"  cut off, and perhaps paid for: {printable(each.key)}, attempt {each.attempt}, token {each.token}"
        for each in uncertain
    ]
    if not is_listed:
        lines.append("  new and removed items are told with the list: -a LIST")
    return lines


def _names(keys: list[str]) -> str:
    more = f" and {len(keys) - _NAMED:,} more" if len(keys) > _NAMED else ""
    return ", ".join(map(printable, keys[:_NAMED])) + more
