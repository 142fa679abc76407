"""A command for each item of a list, over `Run.map`: each of its threads has one command running.

No command runs when the journal is given up: a second process never works on an item beside the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leftoff.errors import JournalMissing, UsageError
from leftoff.journal.store import Durability
from leftoff.shell.attempts import Tell, Work
from leftoff.shell.command import Template
from leftoff.shell.halt import is_percent, parse_halt
from leftoff.shell.inputs import Item, Source
from leftoff.shell.limits import cpu_count
from leftoff.shell.outputs import Outputs
from leftoff.shell.processes import KILL_AFTER
from leftoff.work.journal import open as open_journal
from leftoff.work.loops import DEFAULT
from leftoff.work.rate import parse_rate
from leftoff.work.report import Report

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from leftoff.work.options import LoopOptions

NAME: Final = "each"


@dataclass(frozen=True, slots=True)
class Summary:
    """Be the accounts of a list that was worked through; ``empty`` counts its items skipped for being empty."""

    report: Report
    empty: int


def each_command(
    command: Sequence[str],
    source: Source,
    journal: str | os.PathLike[str] = DEFAULT,
    *,
    run: str = NAME,
    jobs: int | None = None,
    timeout: float | None = None,
    kill_after: float = KILL_AFTER,
    results: str | os.PathLike[str] | None = None,
    ordered: bool = False,
    replay: bool = False,
    resume_failed: bool = False,
    halt: str = "never",
    durability: Durability = "power",
    tell: Tell = lambda finished: None,
    **options: Unpack[LoopOptions],
) -> Summary:
    """Run a command for each item that is not done yet; an item is done when its command has ended with exit status 0.

    command: a program and its arguments, ``{}`` in which is the item (`Template`); source: the items, of `from_words`
    or `from_file`; jobs: how many commands run at once (default: the CPUs); timeout: seconds after which one gets
    SIGTERM, and ``kill_after`` later SIGKILL; results: the folder that keeps what each wrote (default: the journal,
    where that is short); ordered: tell in the order of the input, else as they end; replay: tell of items done before,
    too; resume_failed: try dead letters of earlier runs again; halt: when to stop before the end, as ``now,fail=1``;
    tell: called with each `Finished` once it is committed; options: those of `Run.map`, with 1 for
    ``attempts``.

    Raises UsageError before anything starts where the call is wrong, what `Run.map` raises, `Stopped` when ``halt`` is
    reached or a signal came (what runs is finished, at the second it is ended), OSError where the system had no room.
    """
    if not run:
        raise UsageError("--run: the name of the run is empty")
    template = Template(command, source.columns)
    total = len(source.listed()) if is_percent(halt) else 0
    work = Work(template, parse_halt(halt, total), timeout, kill_after, tell)
    with open_journal(journal, durability=durability) as opened:
        its_run = opened.run(run)
        loop = its_run.map(
            work.attempt,
            source.items,
            key=_key,
            workers=jobs or cpu_count(),
            ordered=ordered,
            **_for_commands(options, work, command),
        )
        if resume_failed and run in opened.runs():
            its_run.retry()
        work.begin(its_run, Outputs(os.fspath(journal), run, results))
        try:
            work.follow(loop, replay=replay)
            return Summary(its_run.report(), source.empty)
        finally:
            work.end()


def _key(item: Item) -> str:
    return item.key


def _for_commands(options: LoopOptions, work: Work, command: Sequence[str]) -> LoopOptions:
    """Return a loop's options with what holds for commands: they rarely fail for a moment, and lists repeat lines."""
    if "on_fate" in options:
        raise UsageError("on_fate=: pass tell=, which is called with what an item's command wrote, too")
    if (rate := options.get("rate")) is not None:
        parse_rate(rate)  # before anything is owned
    wanted: LoopOptions = {"attempts": 1, "progress": False, "duplicates": "skip"}
    wanted.update(options)
    wanted["on_fate"] = work.on_fate
    wanted["parameters"] = {"command": list(command)}  # whose results the run holds
    return wanted


def planned(
    command: Sequence[str], source: Source, journal: str | os.PathLike[str] = DEFAULT, *, run: str = NAME
) -> Iterator[list[str]]:
    """Yield the commands that `each_command` would run now; write nothing, own nothing."""
    template = Template(command, source.columns)
    met: set[str] = set()
    with suppress(JournalMissing), open_journal(journal, create=False) as opened:
        if run in opened.runs():
            met = {key for fate in ("done", "dead") for key in opened.run(run).keys(fate)}
    for item in source.items:
        if item.key not in met:
            met.add(item.key)
            yield template.fill(item.text, item.columns)
