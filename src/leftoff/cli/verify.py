"""`leftoff verify`: check every byte."""

from __future__ import annotations

import click

from leftoff.cli.arguments import journal_argument, json_option
from leftoff.cli.exits import Exit
from leftoff.cli.text import echo_json, plural, printable
from leftoff.work.look import verify as damaged_places


@click.command()
@journal_argument
@json_option
def verify(place: str, as_json: bool) -> int:
    """Check every byte against its checksum.

    Each place of JOURNAL that is not as it was written is printed. Nothing is changed. A last commit that a crash
    left unfinished is no damage: the next run cuts it.
    """
    damage = damaged_places(place)
    if as_json:
        echo_json({"journal": place, "sound": not damage, "damage": [found._asdict() for found in damage]})
    elif damage:
        for found in damage:
            click.echo(f"{printable(found.where)}: {printable(found.what)}")
        click.echo(f"{printable(place)} is damaged in {plural(len(damage), 'place')}", err=True)
    else:
        click.echo(f"{printable(place)} is sound")
    return Exit.DAMAGED if damage else Exit.COMPLETE
