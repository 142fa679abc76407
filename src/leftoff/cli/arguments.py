"""What several commands take: the journal, the run, keys, and how to print."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from leftoff.cli.text import printable
from leftoff.errors import UsageError
from leftoff.work.journal import Journal

F = TypeVar("F", bound=Callable[..., Any])

_NAMED = 5  # so many keys are named in an error, the others counted


def journal_argument(function: F) -> F:
    """Take the JOURNAL."""
    return click.argument("place", metavar="JOURNAL")(function)


def keys_argument(function: F) -> F:
    """Take any number of KEYs."""
    return click.argument("keys", metavar="[KEY]...", nargs=-1)(function)


def run_option(function: F) -> F:
    """Take the name of a run."""
    return click.option("--run", "run", metavar="NAME", help="The run, where the journal holds several.")(function)


def json_option(function: F) -> F:
    """Take the wish for JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def check_run(journal: Journal, run: str | None) -> list[str]:
    """Return the runs that were meant: the one named, or all. Raise UsageError for a name that is not there."""
    names = journal.runs()
    if run is None:
        return names
    if run not in names:
        raise UsageError(f"{journal.url} holds no run {run}: {_held(names)}")
    return [run]


def the_run(journal: Journal, run: str | None) -> str:
    """Return the one run that was meant. Raise UsageError where it has to be named."""
    names = check_run(journal, run)
    if len(names) != 1:
        raise UsageError(f"{journal.url}: {_held(names)}" + ("; choose one with --run" if names else ""))
    return names[0]


def _held(names: list[str]) -> str:
    return f"its runs are {', '.join(names)}" if names else "it holds no run yet"


def check_keys(journal: Journal, run: str, keys: Iterable[str], *fates: str) -> None:
    """Raise UsageError if a key has none of these fates, so that a typing error is not taken for success."""
    unknown = dict.fromkeys(keys)
    for fate in fates:
        for key in journal.run(run).keys(fate):
            unknown.pop(key, None)
    if unknown:
        names = ", ".join(printable(key) for key in list(unknown)[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        what = "dead letters" if fates == ("dead",) else "done or dead items"
        raise UsageError(f"these are no {what} of run {run} of {journal.url}: {names}{more}; nothing was changed")
