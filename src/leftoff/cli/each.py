"""`leftoff each`: a command for each item of a list, resumable."""

from __future__ import annotations

import base64
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

import click

from leftoff.cli.arguments import json_option
from leftoff.cli.exits import Exit
from leftoff.cli.text import echo_json, plural, printable
from leftoff.shell import Finished, Source, Summary, each_command, from_file, from_words, planned
from leftoff.shell.inputs import is_terminal
from leftoff.shell.limits import parse_places, parse_span
from leftoff.shell.outputs import pieces
from leftoff.shell.processes import Output
from leftoff.shell.starter import KEPT
from leftoff.work.versions import ON_CHANGE

_ITEMS = ":::"
_FOREIGN = ("::::", ":::+", "::::+")


class Each(click.Command):
    """Take ``::: ITEMS -- COMMAND`` as it stands: items and arguments that look like options are none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether a ``--`` has said that all that follows is COMMAND."""
        given = list(args)
        rest = super().parse_args(ctx, args)
        words = ctx.params["words"]
        before = given[: len(given) - len(words)]
        ctx.params["divided"] = bool(before) and before[-1] == "--"
        return rest


@click.command(cls=Each, context_settings={"allow_interspersed_args": False})
@click.argument("words", metavar="[::: ITEM...] -- COMMAND [ARGUMENT]...", nargs=-1)
@click.option("--journal", metavar="FILE", default="leftoff.jsonl", show_default=True, help="Where progress is kept.")
@click.option("--run", metavar="NAME", default="each", show_default=True, help="Its name there, one for each COMMAND.")
@click.option("-a", "--arg-file", "place", metavar="LIST", help="Items from the lines of a file; - is standard input.")
@click.option("-0", "--null", is_flag=True, help="Items end with a NUL, as find -print0 writes them.")
@click.option("--csv", is_flag=True, help="The first line names columns: {NAME} is a field, {} the whole record.")
@click.option("--key", metavar="NAME", help="The column that is a record's key, in place of the whole record.")
@click.option("-j", "--jobs", metavar="N", help="So many at once: 8, 200% of the CPUs, +1 or -1.  [default: the CPUs]")
@click.option(
    "--attempts", "--retries", metavar="N", type=int, default=1, show_default=True, help="Tries for each item."
)
@click.option(
    "--crashes", metavar="N", type=int, default=5, show_default=True, help="Kills of leftoff that it may see."
)
@click.option("--rate", metavar="R", help="At most so many starts, such as 3/s or 100/min.")
@click.option("--timeout", metavar="T", help="Seconds, or 1m30s, that each may take.")
@click.option("--kill-after", metavar="T", default="5", show_default=True, help="Seconds from SIGTERM to SIGKILL.")
@click.option("--stop-after", metavar="T", help="Seconds, or 2h30m, after which nothing is begun; exit code 75.")
@click.option("--grace", metavar="T", help="Between a SIGTERM and the kill: what does not end by then is given back.")
@click.option(
    "--on-change",
    type=click.Choice(ON_CHANGE),
    default="warn",
    show_default=True,
    help="If COMMAND is another one now.",
)
@click.option("--halt", metavar="WHEN", default="never", show_default=True, help="Such as now,fail=1 or soon,fail=10%.")
@click.option("--results", metavar="DIR", help="Keep what each wrote in DIR/ITEM/stdout and stderr.")
@click.option("-k", "--keep-order", "ordered", is_flag=True, help="Print in the order of the items.")
@click.option("--tag", is_flag=True, help="Print the item and a tab before each line.")
@click.option("--resume-failed", is_flag=True, help="Try dead letters of earlier runs again.")
@click.option("--replay", is_flag=True, help="Print, too, what was kept of items done before.")
@click.option("--bar", is_flag=True, help="Show how far it is.")
@click.option("--dry-run", is_flag=True, help="Print the commands that would run now, and run none.")
@click.option("--durability", type=click.Choice(["power", "process"]), default="power", show_default=True)
@json_option
def each(
    words: tuple[str, ...], divided: bool, place: str | None, null: bool, csv: bool, key: str | None, **options: Any
) -> int:
    """Run COMMAND for each item, resumably.

    {} in any argument of COMMAND is the item; without one the item is its last argument. No shell reads either. Items
    are ITEMs, or the lines of -a LIST or of standard input. What is done is skipped the next time, however this ends:
    an item is done when its command exits with 0. What a command writes is kept in the journal and printed when it has
    ended. A failing item is a dead letter after its --attempts: leftoff retry lets it be tried again.

    \b
    leftoff each ::: a.png b.png -- convert {} {}.jpg
    leftoff each -a urls.txt -j 8 --rate 3/s -- curl -fsS -O {}
    leftoff each --csv -a people.csv --key id -- ./mail {id} {name}
    """  # noqa: D301  # \b is click's: it leaves the lines below it as they are
    items, command = _divide(words, divided)
    source = _source(items, place, null=null, csv=csv, key=key)
    as_json, dry_run = options.pop("as_json"), options.pop("dry_run")
    if dry_run:
        for arguments in planned(command, source, options["journal"], run=options["run"]):
            if as_json:
                echo_json({"command": arguments})
            else:
                click.echo(printable(shlex.join(arguments)))
        return Exit.COMPLETE
    tag, jobs, bar = options.pop("tag"), options.pop("jobs"), options.pop("bar")
    printer = _print_json if as_json else _printer(sys.stdout.buffer, tag=tag)
    for name in ("timeout", "stop_after", "kill_after", "grace"):
        options[name] = parse_span(options[name], name)
    summary = each_command(
        command, source, jobs=None if jobs is None else parse_places(jobs), progress=bar, tell=printer, **options
    )
    return _end(summary, options["run"], as_json=as_json)


def _divide(words: Sequence[str], divided: bool) -> tuple[Sequence[str] | None, Sequence[str]]:
    """Return the items that stand here, if any do, and the command."""
    first = words[0] if words and not divided else ""
    if first in _FOREIGN:
        raise click.UsageError(f"{first}: give the items of a file with -a LIST; several lists are not combined.")
    if first == _ITEMS:
        items = words[1:]
        if "--" not in items:
            raise click.UsageError("Write -- between the items and the command: ::: a b c -- COMMAND {}")
        end = items.index("--")
        items, command = items[:end], items[end + 1 :]
        if _ITEMS in items:
            raise click.UsageError("There is a second ::: among the items; several lists are not combined.")
    else:
        items, command = None, words
        if not divided and _ITEMS in words:
            raise click.UsageError("The items come first: leftoff each ::: a b c -- COMMAND {}")
    if not command:
        raise click.UsageError("Name the COMMAND to be run for each item, behind --.")
    return items, command


def _source(items: Sequence[str] | None, place: str | None, *, null: bool, csv: bool, key: str | None) -> Source:
    if items is None:
        if place is None and is_terminal():
            raise click.UsageError("There are no items: give ::: ITEM... or -a LIST, or pipe a list in.")
        return from_file("-" if place is None else place, null=null, csv=csv, key=key)
    if place is not None:
        raise click.UsageError("Give ::: ITEM... or -a LIST, not both.")
    if null or csv or key is not None:
        raise click.UsageError("-0, --csv and --key are for lists of -a LIST or standard input, not for ::: ITEM...")
    return from_words(items)


def _printer(out: BinaryIO, *, tag: bool) -> Callable[[Finished], None]:
    """Return what prints an item's output, byte by byte as the command wrote it."""
    err = sys.stderr.buffer

    def tell(finished: Finished) -> None:
        label = f"{printable(finished.key)}\t".encode("utf-8", "backslashreplace") if tag else b""
        for stream, output in ((out, finished.stdout), (err, finished.stderr)):
            is_begun = False
            for piece in pieces(output):
                stream.write(_tagged(piece, label, is_begun=is_begun) if tag else piece)
                is_begun = not piece.endswith(b"\n")
            stream.flush()

    return tell


def _tagged(piece: bytes, label: bytes, *, is_begun: bool) -> bytes:
    """Put the label in front of each line that begins in a piece."""
    tagged = label.join(re.findall(rb"[^\n]*\n|[^\n]+", piece))
    return tagged if is_begun else label + tagged


def _print_json(finished: Finished) -> None:
    told: dict[str, Any] = {"key": finished.key, "exit": finished.exit, "seconds": finished.seconds}
    if finished.folder is not None:
        told["folder"] = finished.folder
    else:
        told |= {"stdout": _json_text(finished.stdout), "stderr": _json_text(finished.stderr)}
    echo_json({**told, "error": finished.error, "resumed": finished.resumed})


def _json_text(output: Output) -> Any:
    """Return text, or bytes as the journal has them; of what is long and not kept, the end."""
    data = b""
    for piece in pieces(output):
        data = (data + piece)[-KEPT:]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"$bytes": base64.b64encode(data).decode()}


def _end(summary: Summary, run: str, *, as_json: bool) -> int:
    report = summary.report
    if as_json:
        echo_json({**asdict(report), "empty": summary.empty})
    elif report.repeated or report.duplicates or 0 < report.resumed < report.total:
        click.echo(printable(str(report)), err=True)
    if summary.empty and not as_json:
        click.echo(f"{printable(run)}: {plural(summary.empty, 'empty item')} skipped", err=True)
    return Exit.DEAD_LETTERS if report.dead else Exit.COMPLETE
