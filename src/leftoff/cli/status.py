"""`leftoff status`: where a journal stands."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from leftoff.cli.arguments import check_run, journal_argument, json_option, run_option
from leftoff.cli.text import ago, echo_json, iso, moment, plural, printable, size
from leftoff.work.journal import open as open_journal
from leftoff.work.look import Holder, RunStatus, Status, look

_NAMED = 5  # so many keys are named, the others counted


@click.command()
@journal_argument
@run_option
@json_option
def status(place: str, run: str | None, as_json: bool) -> None:
    """Show where each run stands.

    For each run of JOURNAL: what is done, dead, open (in hand, or failed with tries left) and missing, when
    something happened last, and which process owns the run; for the journal, its size on disk and whether compacting
    it would pay. Nothing is locked or changed; the work may go on
    meanwhile.
    """
    with open_journal(place, create=False) as journal:
        check_run(journal, run)
        seen = look(journal, run)
    if as_json:
        echo_json(_object(seen))
        return
    runs = plural(len(seen.runs), "run") if seen.runs else "no run yet"
    click.echo(f"{printable(seen.url)}: {size(seen.size)}, {runs}")
    if seen.torn:
        click.echo(f"  its last commit is torn: the next run will cut {plural(seen.torn, 'byte')} and keep them aside")
    if seen.aside:
        click.echo(f"  {size(seen.aside)} more are kept aside beside it")
    if seen.compacting_pays:
        click.echo(f"  about {plural(seen.droppable, 'entry', 'entries')} no longer matter: leftoff compact drops them")
    for one in seen.runs:
        click.echo(_paragraph(one))


def _paragraph(one: RunStatus) -> str:
    lines = [f"\n{printable(one.report.run)}", f"  {_accounts(one)}"]
    if one.newest is not None:
        lines.append(f"  last activity {moment(one.newest.at)}, {ago(time.time() - one.newest.at.timestamp())}")
    if one.owner is not None:
        lines.append(f"  {_owner(one.owner)}")
    if one.living > 1:
        lines.append(f"  {one.living} processes share its keys")
    if one.doubles:
        more = f" and {len(one.doubles) - _NAMED} more" if len(one.doubles) > _NAMED else ""
        lines.append(f"  two processes both did {', '.join(map(printable, one.doubles[:_NAMED]))}{more}")
    return "\n".join(lines)


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


def _object(seen: Status) -> dict[str, Any]:
    runs = []
    for one in seen.runs:
        accounts = asdict(one.report)
        if one.report.missing is None:
            accounts["total"] = None
        last = one.newest
        newest = None if last is None else {"at": iso(last.at), "seq": last.seq, "kind": last.kind}
        owner = None if one.owner is None else asdict(one.owner)
        runs.append({**accounts, "newest": newest, "owner": owner, "living": one.living, "doubles": one.doubles})
    return {
        "journal": seen.url, "bytes": seen.size, "torn_bytes": seen.torn, "aside_bytes": seen.aside,
        "droppable_entries": seen.droppable, "runs": runs,
    }  # fmt: skip
