"""`leftoff repair`: put what can be believed of a damaged journal in its place."""

from __future__ import annotations

import sys
from typing import Any

import click

from leftoff.cli.arguments import journal_argument, json_option
from leftoff.cli.exits import Exit
from leftoff.cli.text import echo_json, plural, printable
from leftoff.cli.verify import told
from leftoff.journal.segments_header import HEADER
from leftoff.work.mend import Repair, plan
from leftoff.work.mend import repair as repair_journal

_SHOWN = 20  # so many keys are named, the others counted


@click.command()
@journal_argument
@click.option("--yes", is_flag=True, help="Do not ask, for scripts.")
@click.option("--plausible", is_flag=True, help="Keep, too, what fits each other but nothing else proves.")
@json_option
def repair(place: str, yes: bool, plausible: bool, as_json: bool) -> int:
    """Repair a damaged journal: show what would be kept and lost, ask, keep the original aside.

    What of JOURNAL can be believed is put in its place; the original stays beside it as JOURNAL.damaged-1, byte by
    byte; in a directory only damaged files are touched, each in this way. Items whose conclusion was lost are worked
    on again by the next run. Nothing happens to a sound journal.
    """
    wanted = plan(place, plausible=plausible)
    if not wanted.damage:
        return _tell(place, wanted, as_json)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise click.UsageError("Nobody can be asked here: look with leftoff verify, then repair with --yes.")
        click.echo(_plan(wanted, plausible))
        click.confirm(f"Repair {printable(place)}?", abort=True)
    return _tell(place, repair_journal(place, plausible=plausible), as_json)


def _plan(wanted: Repair, plausible: bool) -> str:
    lines = []
    for name, part in wanted.parts or [("", wanted)]:
        lines += [told(found) for found in part.damage]
        lines += [f"kept: {plural(part.kept, 'entry', 'entries')}"] if name != HEADER else []
        if part.left_out and not plausible:
            lines.append(f"left out: {plural(part.left_out, 'entry', 'entries')} not at their places (--plausible)")
    if wanted.undone:
        keys = ", ".join(f"{printable(key)} of {printable(run)}" for run, key in wanted.undone[:_SHOWN])
        more = f" and {len(wanted.undone) - _SHOWN} more" if len(wanted.undone) > _SHOWN else ""
        lines.append(f"worked on again: {keys}{more}, and whatever the lost entries concluded")
    else:
        lines.append("worked on again: whatever the lost entries concluded")
    lines.append("what was forgotten or retried in a lost entry that cannot be read has to be forgotten again")
    lines += [f"new tokens: the items of {printable(run)}, whose header is lost" for run in wanted.renewed]
    return "\n".join(lines)


def _tell(place: str, done: Repair, as_json: bool) -> int:
    if as_json:
        echo_json({"journal": place, **_object(done)})
    elif not done.damage:
        click.echo(f"{printable(place)} is sound; there is nothing to repair")
    else:
        kept = plural(done.kept, "entry is kept", "entries are kept") + ", "
        if [name for name, _ in done.parts] == [HEADER]:  # which holds none
            kept = ""
        originals = ", ".join(str(part.aside) for _, part in done.parts) or str(done.aside)
        word = "originals are" if len(done.parts) > 1 else "original is"
        click.echo(f"{printable(place)} is repaired: {kept}the {word} {printable(originals)}")
    return Exit.COMPLETE


def _object(done: Repair) -> dict[str, Any]:
    told = {
        **done._asdict(),
        "damage": [found._asdict() for found in done.damage],
        "undone": [{"run": run, "key": key} for run, key in done.undone],
    }
    del told["parts"]
    return told | ({"parts": [{"file": name, **_object(part)} for name, part in done.parts]} if done.parts else {})
