"""`leftoff log`: every entry of a journal."""

from __future__ import annotations

import sys

import click

from leftoff.cli.arguments import check_run, journal_argument, json_option, run_option
from leftoff.cli.screen import is_unread
from leftoff.cli.text import as_json as to_json
from leftoff.cli.text import entry_object, moment, printable, shortened
from leftoff.errors import Stopped
from leftoff.journal.entry import Entry
from leftoff.work.journal import Journal
from leftoff.work.journal import open as open_journal
from leftoff.work.look import before_last, follow
from leftoff.work.signals import StopGuard

_WIDEST = 72  # characters of a value; --json prints it whole


@click.command()
@journal_argument
@run_option
@click.option("-n", "last", metavar="N", type=click.IntRange(min=0), help="Begin with the last N entries.")
@click.option("-f", "--follow", "following", is_flag=True, help="Wait for more entries; Ctrl-C ends it.")
@json_option
def log(place: str, run: str | None, last: int | None, following: bool, as_json: bool) -> int:
    """Print the entries, oldest first.

    One entry of JOURNAL a line. A line holds the entry's number, the time in UTC, the run, what happened, and to
    which key. With --json each line is an object, its value whole.
    """
    with open_journal(place, create=False) as journal:
        check_run(journal, run)
        after = 0 if last is None else before_last(journal, run, last)
        if following:
            return _follow(journal, run, after, as_json=as_json)
        for entry in journal.entries(run, after=after):
            _show(entry, as_json=as_json)
    return 0


def _follow(journal: Journal, run: str | None, after: int, *, as_json: bool) -> int:
    """Print until a signal comes, which is how following ends: say nothing more."""

    def pause(seconds: float) -> None:
        sys.stdout.flush()
        if is_unread():
            raise BrokenPipeError
        guard.sleep(seconds)

    try:
        with StopGuard() as guard:
            for entry in follow(journal, run, after=after, pause=pause):
                _show(entry, as_json=as_json)
    except Stopped as stopped:
        return stopped.code
    return 0


def _show(entry: Entry, *, as_json: bool) -> None:
    # Not click.echo, which flushes each line: a journal may have millions.
    sys.stdout.write(f"{to_json(entry_object(entry)) if as_json else _line(entry)}\n")


def _line(entry: Entry) -> str:
    what = [f"{entry.kind:<8}", printable(entry.key), _detail(entry)]
    words = [f"{entry.seq:>7}", moment(entry.at), printable(entry.run), *what]
    return "  ".join(word for word in words if word).rstrip()


def _detail(entry: Entry) -> str:
    """Return what a value says, in a few words."""
    value = entry.value
    if value is None:
        return ""
    match entry.kind, value:
        case (("failed" | "dead"), {"error": {"type": kind, "message": message}}):
            text = f"{kind}: {message}" if message else str(kind)
        case "owner", {"host": host, "pid": pid, "durability": durability}:
            text = f"process {pid} on {host}, durability {durability}"
        case "pass", {"total": total, "done": done, "dead": dead, "missing": missing}:
            text = f"{total:,} items: {done:,} done, {dead:,} dead, {missing:,} missing"
        case "version", {"id": version, "parts": parts}:
            text = f"{version} of {', '.join(parts)}"
        case "charged", {"item": item, "attempt": attempt, "charged": charged}:
            text = f"{item}, attempt {attempt}: {', '.join(f'{amount:g} {name}' for name, amount in charged.items())}"
        case "uncertain", {"attempt": attempt, "token": token}:
            text = f"attempt {attempt}, token {token}"
        case _:
            text = to_json(value)
    return shortened(text, _WIDEST)
