"""`leftoff status`: where a journal stands."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import click

from leftoff.cli.arguments import check_run, journal_argument, json_option, run_option
from leftoff.cli.exits import Exit
from leftoff.cli.screen import Screen, is_unread
from leftoff.cli.text import ago, echo_json, iso, moment, plural, printable, size
from leftoff.errors import Stopped
from leftoff.work.journal import Journal
from leftoff.work.journal import open as open_journal
from leftoff.work.look import Holder, RunStatus, Status, look
from leftoff.work.progress import duration, per_second
from leftoff.work.signals import StopGuard
from leftoff.work.watch import Pace, watch

_NAMED = 5  # so many keys are named, the others counted
_SHOWN = 20  # so many runs are shown, the others summed up
_EVERY = 2.0  # seconds


@click.command()
@journal_argument
@run_option
@click.option(
    "--watch", "watching", is_flag=True, help="Show it again and again, with rate and time left; Ctrl-C ends it."
)
@click.option("--every", metavar="SECONDS", type=click.FloatRange(min=0.1), help="Between two looks.  [default: 2]")
@click.option("--total", metavar="N", type=click.IntRange(min=1), help="So many items there are, for the time left.")
@json_option
def status(
    place: str, run: str | None, every: float | None, total: int | None, *, watching: bool, as_json: bool
) -> int:
    """Show where each run stands.

    For each run of JOURNAL: what is done, dead, open (in hand, or failed with tries left) and missing, what it has
    spent, when something happened last, and which process owns the run; for the journal, its size on disk and whether
    compacting it would pay. Nothing is locked or changed; the work may go on meanwhile.

    Of more than 20 runs the first and those that are not complete are shown, and the others are summed up.

    With --watch the rate is that of the last five minutes that were watched. On a terminal the screen is redrawn in
    place; elsewhere a block is printed each time, or with --json an object a line.
    """
    if not watching and (every or total):
        raise click.UsageError("--every and --total belong to --watch.")
    with open_journal(place, create=False) as journal:
        check_run(journal, run)
        if watching:
            return _watch(journal, run, every or _EVERY, total, as_json=as_json)
        seen = look(journal, run)
    if as_json:
        echo_json(_object(seen, {}))
    else:
        click.echo("\n".join(_lines(seen, {})))
    return 0


def _watch(journal: Journal, run: str | None, every: float, total: int | None, *, as_json: bool) -> int:
    """Show until a signal comes; Ctrl-C is how one leaves, and no failure."""

    def pause(least: float) -> None:
        if is_unread():
            raise BrokenPipeError
        guard.sleep(max(every, least))

    try:
        with StopGuard() as guard, nullcontext() if as_json else Screen() as screen:
            for seen, paces in watch(journal, run, total=total, pause=pause):
                if screen is None:
                    echo_json(_object(seen, paces))
                else:
                    screen.show(_lines(seen, paces))
    except Stopped as stopped:
        return Exit.COMPLETE if stopped.code == Exit.INTERRUPTED else stopped.code
    return 0


def _lines(seen: Status, paces: dict[str, Pace]) -> list[str]:
    runs = plural(len(seen.runs), "run") if seen.runs else "no run yet"
    lines = [f"{printable(seen.url)}: {size(seen.size)}, {runs}"]
    if seen.torn:
        lines.append(
            f"  its last commit is torn: the next run will cut {plural(seen.torn, 'byte')} and keep them aside"
        )
    if seen.aside:
        lines.append(f"  {size(seen.aside)} more are kept aside beside it")
    if seen.compacting_pays:
        lines.append(
            f"  about {plural(seen.droppable, 'entry', 'entries')} no longer matter: leftoff compact drops them"
        )
    shown, others = _chosen(seen.runs)
    for one in shown:
        lines += _paragraph(one, paces.get(one.report.run))
    return lines + _summary(others)


def _chosen(runs: list[RunStatus]) -> tuple[list[RunStatus], list[RunStatus]]:
    """Return the runs to be shown and those to be summed up: of many, the first and those that are not complete.

    A loop inside an item is a run of its own, so there may be thousands; the first is the one around them.
    """
    if len(runs) <= _SHOWN:
        return runs, []
    first, *later = runs
    chosen = [one for one in later if not _is_complete(one)][1 - _SHOWN :]
    names = {one.report.run for one in chosen}
    return [first, *chosen], [one for one in later if one.report.run not in names]


def _is_complete(one: RunStatus) -> bool:
    return (one.report.missing, one.report.dead, one.report.open) == (0, 0, 0)


def _summary(runs: list[RunStatus]) -> list[str]:
    if not runs:
        return []
    parts = {name: sum(getattr(one.report, name) for one in runs) for name in ("done", "dead", "open")}
    told = ", ".join(f"{count:,} {name}" for name, count in parts.items())
    all_are = ", all complete" if all(map(_is_complete, runs)) else ""
    return ["", f"{plural(len(runs), 'run')} more{all_are}: {told}; --run NAME shows one, --json all"]


def _paragraph(one: RunStatus, pace: Pace | None) -> list[str]:
    lines = ["", printable(one.report.run), f"  {_accounts(one)}"]
    if pace is not None:
        lines.append(f"  {_pace(pace)}")
    if one.spent:
        lines.append(f"  spent {', '.join(f'{amount:,.10g} {printable(name)}' for name, amount in one.spent.items())}")
    if one.newest is not None:
        lines.append(f"  last activity {moment(one.newest.at)}, {ago(time.time() - one.newest.at.timestamp())}")
    if one.owner is not None:
        lines.append(f"  {_owner(one.owner)}")
    if one.living > 1:
        lines.append(f"  {one.living} processes share its keys")
    if one.doubles:
        more = f" and {len(one.doubles) - _NAMED} more" if len(one.doubles) > _NAMED else ""
        lines.append(f"  two processes both did {', '.join(map(printable, one.doubles[:_NAMED]))}{more}")
    return lines


def _pace(pace: Pace) -> str:
    if pace.rate is None:
        return "watching how fast it goes"
    if not pace.rate:
        return f"nothing was done in the {duration(pace.seconds)} that were watched"
    parts = [f"{per_second(pace.rate)} in the last {duration(pace.seconds)}"]
    if pace.left is not None:
        parts.append(f"{pace.left:,} left")
    if pace.time_left is not None:
        parts.append(f"about {duration(pace.time_left)} to go")
    return ", ".join(parts)


def _accounts(one: RunStatus) -> str:
    report = one.report
    parts = [f"{report.done:,} done", f"{report.dead:,} dead", f"{report.open:,} open"]
    if report.missing is None:
        parts.append("total not known before the input was walked to its end")
    else:
        parts += [f"{report.missing:,} missing", f"{report.total:,} in all"]
        if report.duplicates:
            parts.append(plural(report.duplicates, "duplicate"))
    return ", ".join(parts)


def _owner(owner: Holder) -> str:
    if owner.moved is not None:
        return f"moved to {printable(owner.moved)} at {owner.start}; it goes on there"
    who = f"process {owner.pid} on {printable(owner.host)} since {owner.start}"
    return f"{'owned now by' if owner.runs else 'not running; last owned by'} {who}, durability {owner.durability}"


def _object(seen: Status, paces: dict[str, Pace]) -> dict[str, Any]:
    runs = []
    for one in seen.runs:
        accounts = asdict(one.report)
        if one.report.missing is None:
            accounts["total"] = None
        last = one.newest
        newest = None if last is None else {"at": iso(last.at), "seq": last.seq, "kind": last.kind}
        owner = None if one.owner is None else asdict(one.owner)
        told = {**accounts, "newest": newest, "owner": owner, "living": one.living, "doubles": one.doubles}
        told["spent"] = one.spent
        if (pace := paces.get(one.report.run)) is not None:
            told |= {"rate": pace.rate, "left": pace.left, "seconds_left": pace.time_left}
        runs.append(told)
    return {
        "journal": seen.url, "bytes": seen.size, "torn_bytes": seen.torn, "aside_bytes": seen.aside,
        "droppable_entries": None if paces else seen.droppable, "runs": runs,
    }  # fmt: skip
