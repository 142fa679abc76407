"""`leftoff verify`: check every byte."""

from __future__ import annotations

import click

from leftoff.cli.arguments import journal_argument, json_option
from leftoff.cli.exits import Exit
from leftoff.cli.text import echo_json, plural, printable
from leftoff.work.mend import Damage, compare, examine


@click.command()
@journal_argument
@click.option("--against", "old", metavar="OLD", help="Prove, too, that JOURNAL was compacted from OLD.")
@json_option
def verify(place: str, old: str | None, as_json: bool) -> int:
    """Check every byte against its checksum.

    Each place of JOURNAL that is not as it was written is printed, with what it affects and what is still sound.
    Nothing is changed. A last commit that a crash left unfinished is no damage: the next run cuts it.
    """
    damage, torn = examine(place)
    if old is not None and not damage:
        damage = compare(place, old)
    if as_json:
        listed = [found._asdict() for found in damage]
        echo_json({"journal": place, "sound": not damage, "damage": listed, "torn_bytes": torn})
        return Exit.DAMAGED if damage else Exit.COMPLETE
    for found in damage:
        click.echo(told(found))
    if torn:
        click.echo(f"its last commit is torn: the next run will cut {plural(torn, 'byte')} and keep them aside")
    if damage and old is not None and not damage[0].affects:
        click.echo(f"{printable(place)} did not come of {printable(old)}", err=True)
    elif damage:
        click.echo(f"{printable(place)} is damaged in {plural(len(damage), 'place')}", err=True)
        click.echo(f"what can be saved: leftoff repair {printable(place)}", err=True)
    else:
        click.echo(f"{printable(place)} is sound" + (f", and came of {printable(old)}" if old is not None else ""))
    return Exit.DAMAGED if damage else Exit.COMPLETE


def told(found: Damage) -> str:
    """Return a damaged place as people read it."""
    lines = [f"{printable(found.where)}: {printable(found.what)}"]
    lines += [f"  affects: {printable(found.affects)}"] if found.affects else []
    lines += [f"  sound: {printable(found.sound)}"] if found.sound else []
    return "\n".join(lines)
