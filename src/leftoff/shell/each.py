"""A command for each item of a list, over `Run.map`: each of its threads has one command running.

1. What a command wrote is kept before its item is done, and told when that is committed, whole, one item at a time.
2. No command runs when the journal is given up: a second process never works on an item beside the first.
3. A command that was ended by us, or that the system had no room for, is no error of its item, which is given back.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from leftoff.errors import JournalError, JournalMissing, LeftoffError, Stopped, UsageError
from leftoff.journal.entry import Tries
from leftoff.journal.store import Durability
from leftoff.shell.command import Template
from leftoff.shell.halt import Halt, is_percent, parse_halt
from leftoff.shell.inputs import Item, Source
from leftoff.shell.limits import cpu_count
from leftoff.shell.outputs import Finished, Outputs
from leftoff.shell.processes import KILL_AFTER, Ended, NoRoom, Processes, StarterLost
from leftoff.shell.starter import ENDED, EXITED, TIMED_OUT
from leftoff.work.current import current
from leftoff.work.each import Loop
from leftoff.work.journal import open as open_journal
from leftoff.work.loops import DEFAULT
from leftoff.work.outcome import Outcome
from leftoff.work.rate import parse_rate
from leftoff.work.report import Report
from leftoff.work.run import Run
from leftoff.work.signals import CAUSES, CODES, shielded

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from leftoff.work.options import LoopOptions

Tell = Callable[[Finished], object]
NAME: Final = "each"
_TAIL: Final = 1000  # bytes of a failed command's stderr that its error shows
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
_NEWS: Final = 0.2  # seconds within which we learn of a signal that a command was the first to get


class CommandFailed(Exception):
    """Say how the command of an item failed, and the end of what it wrote to stderr."""


class GivenBack(BaseException):
    """End an attempt that counts against nothing."""


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
    work = _Work(template, parse_halt(halt, total), timeout, kill_after, tell)
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


def _for_commands(options: LoopOptions, work: _Work, command: Sequence[str]) -> LoopOptions:
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


@dataclass(slots=True)
class _Work:
    """Make the attempts, in the workers' threads, and tell what became of them, in the owner's."""

    template: Template
    halt: Halt
    timeout: float | None
    kill_after: float
    tell: Tell
    brought: dict[str, tuple[int, Finished]] = field(default_factory=dict)  # by key, not told yet; with their numbers
    concluded: set[str] = field(default_factory=set)  # those of them that are committed
    counting: threading.Lock = field(default_factory=threading.Lock)
    halted: bool = False
    stop: tuple[int, str] | None = None  # the exit code and the cause of a stop that commands died of, too
    deaf: bool = False  # who is told cannot hear any more

    run: Run = field(init=False)
    outputs: Outputs = field(init=False)
    processes: Processes = field(init=False)

    def begin(self, run: Run, outputs: Outputs) -> None:
        """Be ready for the first attempt."""
        self.run, self.outputs = run, outputs
        self.processes = Processes(self.kill_after)

    def end(self) -> None:
        """End what still runs, and wait for that."""
        self.processes.close()

    # -- in a worker's thread ------------------------------------------------------------------------------------

    def attempt(self, item: Item) -> dict[str, Any]:
        """Run the item's command; return what is kept of it."""
        hand = current()
        arguments = self.template.fill(item.text, item.columns)
        try:
            ended = self.processes.run(arguments, hand.token, hand.attempt, self.timeout)
        except OSError as error:
            raise CommandFailed(f"{error.strerror}: {error.filename}") from None
        if ended.what == ENDED or self._is_stopped_with(ended):
            ended.close()
            raise GivenBack
        is_done = ended.what == EXITED and ended.status == 0
        message = "" if is_done else _how(ended, self.timeout) + _tail(ended)
        try:
            value = self.outputs.keep(item.key, ended, is_done=is_done)
        except (OSError, JournalError) as error:
            ended.close()
            raise NoRoom(error) from error
        if is_done:
            self._bring(item, ended)
            self._count("done")
            return value
        self._bring(item, ended, message)
        if self._is_last_try(item.key):
            self._count("dead")
        raise CommandFailed(message)

    def _is_last_try(self, key: str) -> bool:
        walk = self.run.current_walk
        return walk is not None and walk.owner.open_items.get(key, Tries()).errors + 1 >= walk.options.attempts

    def _count(self, fate: str) -> None:
        """Halt when it is enough: here and not when it is committed, as that commit starts the next item, too."""
        with self.counting:
            walk = self.run.current_walk
            if self.halted or walk is None or not self.halt.is_reached(fate):
                return
            self.halted = True
            walk.guard.ask(f"--halt {self.halt.text}")
            if self.halt.now:
                self.processes.end()

    def _bring(self, item: Item, ended: Ended, error: str | None = None) -> None:
        """Have what a command wrote told once its item's entry is committed; of an earlier try, let it go."""
        if before := self.brought.pop(item.key, None):
            before[1].close()
        folder = str(ended.stdout.parent) if isinstance(ended.stdout, Path) else None
        status = ended.status if ended.what == EXITED else None
        seconds = round(ended.seconds, 3)
        finished = Finished(item.key, status, seconds, ended.stdout, ended.stderr, error, folder)
        self.brought[item.key] = (item.number, finished)

    def _is_stopped_with(self, ended: Ended) -> bool:
        """Return whether a command died of a signal that was sent to us, too, as a service's end is to all of it."""
        if ended.what != EXITED or -ended.status not in _STOPPING:
            return False
        limit = time.monotonic() + _NEWS
        while (asked := self._asked()) is None and time.monotonic() < limit:
            time.sleep(0.01)
        self.stop = self.stop or asked
        return asked is not None

    def _asked(self) -> tuple[int, str] | None:
        walk = self.run.current_walk
        code = None if walk is None else walk.guard.asked
        return None if walk is None or code is None else (code, walk.guard.cause or CAUSES[code])

    # -- in the owner's ------------------------------------------------------------------------------------------

    def on_fate(self, fate: str, key: str, *_: object) -> None:
        """Learn what was committed."""
        if fate != "failed":
            self.concluded.add(key)

    def follow(self, loop: Loop[Outcome[Item, Any]], *, replay: bool) -> None:
        """Walk the loop and tell; what is committed is told however the loop ends."""
        try:
            with loop:
                for outcome in loop:
                    self._tell(outcome, replay=replay)
        except BaseException as error:
            if not self.deaf:
                self._tell_rest()
            meant = self._meaning(error)
            if meant is None:
                raise
            raise meant from None

    def _meaning(self, error: BaseException) -> BaseException | None:
        """Return what an end means that is a matter between us and the workers."""
        if isinstance(error, GivenBack):
            code, cause = self.stop or (CODES[signal.SIGTERM], f"--halt {self.halt.text}")
            return Stopped(f"stopped by {cause}; everything finished is kept: run the same again to go on", code)
        if isinstance(error, NoRoom):
            return error.error
        if isinstance(error, StarterLost):
            return LeftoffError("the process that starts the commands is gone: run the same again to go on")
        return None

    def _tell(self, outcome: Outcome[Item, Any], *, replay: bool) -> None:
        key, value = outcome.key, outcome.value
        self.concluded.discard(key)
        if key in self.brought:
            self._say(self.brought.pop(key)[1])
        elif replay and outcome.error is not None:
            self._say(Finished(key, None, None, error=outcome.error.message, resumed=True))
        elif replay and isinstance(value, dict) and "exit" in value:
            out, err, folder = self.outputs.kept(key, value)
            self._say(Finished(key, value["exit"], value["seconds"], out, err, None, folder, True))

    def _tell_rest(self) -> None:
        """Tell what was committed last, and what still waited for its turn."""
        for key, (_, finished) in sorted(self.brought.items(), key=lambda each: each[1][0]):
            if key in self.concluded:
                self._say(finished)
            finished.close()
        self.brought.clear()

    @shielded
    def _say(self, finished: Finished) -> None:
        """Tell of an item, whole: a signal waits for that."""
        self.deaf = True  # if this raises
        try:
            self.tell(finished)
        finally:
            finished.close()
        self.deaf = False


def _how(ended: Ended, timeout: float | None) -> str:
    if ended.what == TIMED_OUT:
        return f"it took longer than --timeout {timeout:g} s"
    if ended.status < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-ended.status).name}"
        return f"killed by signal {-ended.status}"
    return f"exit status {ended.status}"


def _tail(ended: Ended) -> str:
    """Return the end of what a command wrote to stderr, for its error."""
    if isinstance(ended.stderr, bytes):
        tail = ended.stderr[-_TAIL:]
    elif isinstance(ended.stderr, Path):
        tail = b""
    else:
        ended.stderr.seek(0, os.SEEK_END)
        ended.stderr.seek(max(0, ended.stderr.tell() - _TAIL))
        tail = ended.stderr.read()
        ended.stderr.seek(0)
    text = tail.decode("utf-8", "backslashreplace").strip()
    return f": {text}" if text else ""
