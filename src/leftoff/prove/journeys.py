"""Run a program uninterrupted, then kill it on journey after journey, each from a fresh copy of its folder."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from leftoff.errors import UsageError
from leftoff.prove import trace
from leftoff.prove.folder import Stamp, changed, fresh_copy, stamps
from leftoff.prove.instants import Kill, at_instant
from leftoff.prove.session import Session

STDOUT: Final = "-"
_SLOWER: Final = 10.0  # times as long as the uninterrupted run …
_AT_LEAST: Final = 30.0  # … and so many seconds more may a restarted one take
_EVERY: Final = 0.002  # seconds between two looks at what strace wrote


class Clean(NamedTuple):
    """Be one run without a kill: how long it took, what it changed, when that was seen, and what was there before."""

    seconds: float
    files: list[str]
    seen: list[float]
    stamps: dict[str, Stamp]


class Journey(NamedTuple):
    """Be one journey: the kills that hit, and what went wrong with a start, None for nothing."""

    kills: list[Kill]
    wrong: str | None


@dataclass
class Program:
    """Be the program under proof: its command, its folder, where copies are made, its ledger and its limit."""

    command: Sequence[str]
    folder: Path
    scratch: Path
    ledger: str | None
    limit: float

    def place(self, name: str) -> Path:
        """Return the folder that the program works in under this name."""
        return self.scratch / name

    def output(self, name: str) -> Path:
        """Return the folder that keeps what it printed."""
        return self.scratch / f"{name}.output"

    def _fresh(self, name: str) -> dict[str, Stamp]:
        output = self.output(name)
        output.mkdir(exist_ok=True)
        for stream in ("stdout", "stderr"):
            (output / stream).write_bytes(b"")
        return fresh_copy(self.folder, self.place(name))

    def _start(self, name: str, command: Sequence[str]) -> Session:
        return Session(command, self.place(name), self.output(name), unbuffered=self.ledger == STDOUT)

    def clean(self, name: str, *, traced: Path | None = None) -> Clean:
        """Run it to its end from a fresh copy, watched or traced into a file.

        Raises UsageError where it does not end, or not well.
        """
        before = now = self._fresh(name)
        seen: list[float] = []

        def look() -> None:
            nonlocal now
            found = stamps(self.place(name))
            if found != now:
                now = found
                seen.append(session.seconds)

        command = list(self.command) if traced is None else trace.traced(list(self.command), traced)
        with self._start(name, command) as session:
            code = session.watch(self.limit, look) if traced is None else session.wait(self.limit)
            seconds = session.seconds
        what = shlex.join(self.command)
        if code is None:
            raise UsageError(
                f"{what} had not ended by itself after {self.limit:g} s: prove less work, or raise --limit"
            )
        if code:
            raise UsageError(
                f"{what} failed without any kill, with exit code {code}{self._last_words(name)};"
                " it has to end well once before it can be killed"
            )
        after = stamps(self.place(name))
        return Clean(seconds, changed(before, after), seen, before)

    def _last_words(self, name: str) -> str:
        lines = (self.output(name) / "stderr").read_text("utf-8", "backslashreplace").split("\n")
        said = [line for line in lines if line.strip()]
        return f": {said[-1].strip()[:200]}" if said else ""

    def journey(self, name: str, kills: Sequence[Kill], seconds: float) -> Journey:
        """Start it from a fresh copy, kill it as planned, and let it end; a kill that comes too late ends the plan.

        seconds: how long the uninterrupted run took.
        """
        self._fresh(name)
        limit = min(self.limit, _SLOWER * seconds + _AT_LEAST)
        hit: list[Kill] = []
        for kill in kills:
            found = self._killed(name, kill, limit)
            if isinstance(found, int):
                return Journey(hit, self._wrong(name, found, hit))
            hit.append(found)
        with self._start(name, self.command) as session:
            code = session.wait(limit)
            if code is None:
                return Journey(hit, f"started again it had not ended after {limit:.0f} s")
        return Journey(hit, self._wrong(name, code, hit))

    def _wrong(self, name: str, code: int, hit: Sequence[Kill]) -> str | None:
        if code == 0:
            return None
        when = "started again" if hit else "before any kill"
        return f"{when} it ended with exit code {code}{self._last_words(name)}"

    def _killed(self, name: str, kill: Kill, limit: float) -> Kill | int:
        """Start it and kill it; return the kill that hit it, or the code it had ended with before."""
        if not kill.call:
            with self._start(name, self.command) as session:
                code = session.wait(kill.after)
                return kill if code is None else code
        path = self.output(name) / "trace"
        path.unlink(missing_ok=True)
        watch = trace.Watch(path)
        with self._start(name, trace.killing(list(self.command), path, kill.call, kill.nth)) as session:
            while session.seconds < limit:
                code = session.wait(session.seconds + _EVERY)
                if watch.killed():
                    return kill
                if code is not None:
                    return code
        return at_instant(limit)  # it never came to that call

    def begun(self, name: str) -> Counter[str]:
        """Return how often the ledger has each line."""
        if self.ledger is None:
            return Counter()
        stdout = self.ledger == STDOUT
        path = self.output(name) / "stdout" if stdout else self.place(name) / self.ledger
        if not path.is_file():
            return Counter()
        return Counter(line for line in path.read_text("utf-8", "backslashreplace").split("\n") if line)
