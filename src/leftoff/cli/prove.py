"""`leftoff prove`: kill a program of the user's own, and compare."""

from __future__ import annotations

import shlex
from typing import Any

import click
from click.core import ParameterSource

from leftoff.cli.arguments import json_option
from leftoff.cli.exits import Exit
from leftoff.cli.text import echo_json, printable
from leftoff.prove import prove as prove_program


@click.command(context_settings={"allow_interspersed_args": False})  # what follows COMMAND is COMMAND's
@click.argument("command", metavar="COMMAND [ARGUMENT]...", nargs=-1, required=True)
@click.option("--folder", metavar="DIR", default=".", help="The folder the program works in; each run gets a copy.")
@click.option("--compare", metavar="PATTERN", multiple=True, help="Compare these files, not all that it changes.")
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Leave these files out.")
@click.option(
    "--ignore", metavar="NAME", multiple=True, help="Leave COLUMN, TABLE.COLUMN or TABLE.* out, or step or cursor."
)
@click.option("--any-order", is_flag=True, help="Lines may come in another order.")
@click.option("--repeats", metavar="N", default=0, help="Lines or rows that one kill may repeat.  [default: 0]")
@click.option("--ledger", metavar="FILE", help="Has a line for each begin of work on an item; - for standard output.")
@click.option("--workers", metavar="N", default=1, help="Lines of the ledger that one kill may repeat.  [default: 1]")
@click.option("--kills", metavar="N", default=40, show_default=True, help="So many in all.")
@click.option("--kills-per-run", metavar="N", default=2, show_default=True, help="So many before it may end.")
@click.option("--seed", metavar="S", type=int, help="Kill at the same instants again.")
@click.option("--only", metavar="J", type=int, help="Make journey J alone.")
@click.option("--strace/--no-strace", default=True, help="Aim kills between two calls, where strace is installed.")
@click.option("--power/--no-power", default=True, help="Look for missing syncs, which takes strace.")
@click.option(
    "--limit", metavar="SECONDS", default=600.0, show_default=True, help="A run that takes longer is endless."
)
@click.option("--keep", metavar="DIR", help="Keep the copies of the folder there.")
@json_option
@click.pass_context
def prove(context: click.Context, /, command: tuple[str, ...], *, as_json: bool, **options: Any) -> int:
    """Kill a program again and again, and compare.

    COMMAND is run to its end in a copy of the folder, then from fresh copies again and again, each time killed by
    SIGKILL and started again. What it leaves must be what the uninterrupted run left. With strace, kills fall right
    before calls that change a file, and files that were never synced are found. The exit code is 0 if nothing was
    found, 1 if a fault was.
    """
    proof = prove_program(command, **options)
    repeat = None if proof.failure is None else _repeat(context, proof.seed, proof.failure.journey)
    if as_json:
        echo_json({**proof.as_dict(), "repeat": repeat})
    else:
        for line in proof.lines():
            click.echo(printable(line))
        if repeat is not None:
            click.echo(f"  repeat: {printable(repeat)}")
    return Exit.COMPLETE if proof.proven else Exit.FAILED


def _repeat(context: click.Context, seed: int, journey: int) -> str:
    """Return the command that makes one journey again."""
    words = ["leftoff", "prove", "--seed", str(seed), "--only", str(journey)]
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if given and isinstance(parameter, click.Option) and name not in ("seed", "only", "keep", "as_json"):
            value = context.params[name]
            if isinstance(value, bool):
                words.append(parameter.opts[0] if value else (parameter.secondary_opts or parameter.opts)[0])
            else:
                for one in value if isinstance(value, tuple) else (value,):
                    words += [parameter.opts[0], str(one)]
    return shlex.join([*words, "--", *context.params["command"]])
