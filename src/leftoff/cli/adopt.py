"""`leftoff adopt`: take over what another tool has done."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from leftoff.cli.arguments import journal_argument, json_option
from leftoff.cli.exits import Exit
from leftoff.cli.text import as_json as to_json
from leftoff.cli.text import echo_json, plural, printable, shortened

if TYPE_CHECKING:
    from leftoff.adopt import Adopted, Done

_SHOWN = 5  # so many doubts are named, the others counted
_WIDEST = 160


@click.command()
@journal_argument
@click.option("--from", "source", metavar="SOURCE", required=True, help="What the other tool left.")
@click.option("--run", metavar="NAME", help="The loop that will go on. [default: each for a joblog, else the only run]")
@click.option("--command", metavar="TEMPLATE", help="joblog: the command that parallel was given, with its {}.")
@click.option("--items", metavar="LIST", help="joblog: the list that parallel was given, at that time.")
@click.option("--key", metavar="FIELD", help="jsonl, csv: the field that holds the key.")
@click.option("--value", metavar="FIELD", help="jsonl, csv: the field that holds the result.")
@click.option("--where", metavar="FIELD=TEXT", help="jsonl, csv: done is only what says this, last.")
@click.option("--workers", metavar="N", type=click.IntRange(min=0), help="So many were in hand: doubt the newest.")
@click.option("--check", is_flag=True, help="outputs: read each file whole (.json, .jsonl, .gz).")
@click.option("--trust-seen", is_flag=True, help="scrapy: what was requested counts as done, fetched or not.")
@click.option("--dry-run", is_flag=True, help="Print the keys that would be adopted, and change nothing.")
@json_option
def adopt(
    place: str,
    source: str,
    run: str | None,
    where: str | None,
    *,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Record as done what another tool has done.

    SOURCE is the --joblog of GNU parallel, a file of keys (JSON Lines, CSV, or a key a line), a pattern of output files
    such as 'out/{key}.json', or Scrapy's JOBDIR. What it is is told by its name or content, or by a word in front, such
    as csv:done.log: joblog, jsonl, csv, lines, outputs or scrapy.

    A key that is done or dead in JOURNAL is left as it is, so the same command may be run again. What is torn or cannot
    be read back is named and not adopted: it is worked on again. With --json the last line is one object, the account.
    """
    from leftoff.adopt import adopt as adopt_found
    from leftoff.adopt.choose import choose

    chosen = choose(source, where=_pair(where), **options)
    adopted = adopt_found(
        place, chosen.found, run=run or chosen.run, dry_run=dry_run, tell=(_show(as_json=as_json) if dry_run else None)
    )
    if as_json:
        echo_json({"journal": place, "dry_run": dry_run, **_object(adopted)})
    else:
        click.echo(_paragraph(place, adopted, dry_run=dry_run), err=dry_run)
    return Exit.FAILED if adopted.doubts and not adopted.adopted + adopted.known else Exit.COMPLETE


def _pair(where: str | None) -> tuple[str, str] | None:
    if where is None:
        return None
    field, equals, text = where.partition("=")
    if not (field and equals):
        raise click.BadParameter(f"{where!r} is not FIELD=TEXT, such as status=ok", param_hint="--where")
    return field, text


def _show(*, as_json: bool) -> Any:
    def show(done: Done) -> None:
        # Not click.echo, which flushes each line: there may be millions.
        line = to_json({"key": str(done.key), "value": done.value}) if as_json else printable(str(done.key))
        sys.stdout.write(f"{line}\n")

    return show


def _paragraph(place: str, adopted: Adopted, *, dry_run: bool) -> str:
    """Say for people what an adoption did."""
    verb = "would be adopted" if dry_run else "adopted"
    parts = [f"{plural(adopted.adopted, 'key')} {verb}", f"{adopted.known:,} known before"]
    if adopted.not_done:
        parts.append(f"{adopted.not_done:,} failed there")
    lines = [f"{printable(place)}, run {printable(adopted.run)}: {', '.join(parts)}"]
    if adopted.doubts:
        lines.append(f"  {adopted.doubts:,} not believed, so to be worked on again:")
        lines += [f"    {_doubt(doubt.where)}: {_doubt(doubt.why)}" for doubt in adopted.doubted[:_SHOWN]]
        if adopted.doubts > _SHOWN:
            lines.append(f"    and {adopted.doubts - _SHOWN:,} more")
    lines += [f"  {_doubt(note)}" for note in adopted.notes]
    return "\n".join(lines)


def _doubt(text: str) -> str:
    return shortened(text, _WIDEST)


def _object(adopted: Adopted) -> dict[str, Any]:
    return {**asdict(adopted), "doubted": [doubt._asdict() for doubt in adopted.doubted]}
