"""`leftoff compact`: leave out what no longer matters."""

from __future__ import annotations

import click

from leftoff.cli.arguments import journal_argument, json_option
from leftoff.cli.text import echo_json, plural, printable, size
from leftoff.work.mend import compact as compact_journal


@click.command()
@journal_argument
@click.option("--keep", is_flag=True, help="Keep the original aside, for verify --against.")
@click.option("--vacuum", is_flag=True, help="SQLite: rewrite the whole database, your tables too, to make it smaller.")
@json_option
def compact(place: str, keep: bool, vacuum: bool, as_json: bool) -> None:
    """Leave out the entries that no longer matter.

    JOURNAL answers as before: what is done, dead or open, values, tries, steps, cursors and tokens stay. It is owned
    meanwhile, and replaced at one instant. Its last entries name what they replaced, so that an original that was
    kept can be proven to be its ancestor.
    """
    done = compact_journal(place, keep=keep, vacuum=vacuum)
    if as_json:
        echo_json({"journal": place, **done._asdict()})
        return
    gone = done.before - done.after
    click.echo(
        f"{printable(place)}: {gone:,} of {plural(done.before, 'entry', 'entries')} left out,"
        f" {size(done.bytes_before)} before, {size(done.bytes_after)} now"
    )
    if gone and done.bytes_after >= done.bytes_before:
        click.echo(
            "  the space is used for what comes next" + ("" if vacuum else "; --vacuum makes an SQLite file smaller")
        )
    if done.aside is not None:
        click.echo(f"  the original is {printable(done.aside)}")
