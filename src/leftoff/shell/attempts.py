"""The attempts at a list's items, in the workers' threads, and what is told of them, in the owner's.

1. What a command wrote is kept before its item is done, and told when that is committed, whole, one item at a time.
2. A command that was ended by us, or that the system had no room for, is no error of its item, which is given back.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from leftoff.errors import JournalError, LeftoffError, Stopped
from leftoff.journal.entry import Tries
from leftoff.shell.command import Template
from leftoff.shell.halt import Halt
from leftoff.shell.inputs import Item
from leftoff.shell.outputs import Finished, Outputs
from leftoff.shell.processes import Ended, NoRoom, Processes, StarterLost
from leftoff.shell.starter import ENDED, EXITED, TIMED_OUT
from leftoff.work.current import current
from leftoff.work.each import Loop
from leftoff.work.outcome import Outcome
from leftoff.work.run import Run
from leftoff.work.signals import CAUSES, CODES, shielded

Tell = Callable[[Finished], object]
_TAIL: Final = 1000  # bytes of a failed command's stderr that its error shows
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
_NEWS: Final = 0.2  # seconds within which we learn of a signal that a command was the first to get


class CommandFailed(Exception):
    """Say how the command of an item failed, and the end of what it wrote to stderr."""


class GivenBack(BaseException):
    """End an attempt that counts against nothing."""


@dataclass(slots=True)
class Work:
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
