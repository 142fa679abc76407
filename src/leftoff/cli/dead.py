"""`leftoff dead`: the dead letters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leftoff.cli.arguments import check_run, journal_argument, json_option, run_option
from leftoff.cli.text import echo_json, iso, moment, plural, printable
from leftoff.work.deciding import dead_letters
from leftoff.work.journal import open as open_journal
from leftoff.work.outcome import DeadLetter


@click.command()
@journal_argument
@run_option
@click.option("-v", "--verbose", is_flag=True, help="Show each traceback too.")
@json_option
def dead(place: str, run: str | None, verbose: bool, as_json: bool) -> None:
    """List the dead letters.

    They are the items of JOURNAL that were set aside after their attempts, each with its key, when it was set
    aside, how often it was tried, by which version of its function,
    and the error. With --json each line is an object, traceback included. `leftoff retry` lets them be worked on
    again.
    """
    with open_journal(place, create=False) as journal:
        letters = [letter for name in check_run(journal, run) for letter in dead_letters(journal.store, name)]
    for letter in letters:
        if as_json:
            echo_json(_object(letter))
        else:
            click.echo(_lines(letter, verbose=verbose))
    if not letters:
        click.echo("no dead letters", err=True)


def _lines(letter: DeadLetter, *, verbose: bool) -> str:
    lines = [
        f"{printable(letter.key)}",
        f"  {printable(letter.run)}, {moment(letter.at)}, {_tries(letter)}",
        f"  {printable(str(letter.error))}",
    ]
    if verbose:
        lines += [f"    {printable(line)}" for line in letter.error.traceback.splitlines()]
    return "\n".join(lines)


def _tries(letter: DeadLetter) -> str:
    counts = [f"raised {plural(letter.errors, 'time')}"] if letter.errors else []
    counts += [f"the process ended under it {plural(letter.crashes, 'time')}"] if letter.crashes else []
    counts += [f"by version {letter.version}"] if letter.version else []
    return ", ".join(counts)


def _object(letter: DeadLetter) -> dict[str, Any]:
    return {
        "run": letter.run,
        "key": letter.key,
        "errors": letter.errors,
        "crashes": letter.crashes,
        "at": iso(letter.at),
        "version": letter.version,
        "error": asdict(letter.error),
    }
