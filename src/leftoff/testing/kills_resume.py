"""Kill a user's program at many places, resume it each time, and say what it lost, repeated or got wrong.

The pytest fixture `kill_and_resume` (`fixtures`) is the way in; docs/testing/kills.md tells how to use it.
"""

from __future__ import annotations

import inspect
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from leftoff.errors import LeftoffError, UsageError
from leftoff.testing import kills_script
from leftoff.testing.kills import End, ForkServer, choose
from leftoff.testing.kills_lines import OURS
from leftoff.testing.kills_story import Compare, Story, read_result, read_story, told_apart

Program = Callable[..., object] | str | os.PathLike[str]
At = Literal["instants", "boundaries", "lines"]
INSTANTS: Final = 20
SHOWN: Final = 3  # of each kind of finding


@dataclass
class Resumed:
    """Be what came of the kills: how many there were, how many items were repeated, and what was wrong after which.

    ``lost``: items that were done and then were not, or were worked on again; ``repeated``: more of them than may be in
    flight; ``different``: another end than that of the uninterrupted run.
    """

    kills: int = 0
    repeats: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether anything is."""
        return bool(self.lost or self.repeated or self.different)

    def __str__(self) -> str:
        """Say all of it in a few lines."""
        lines = [f"{self.kills} kills, {self.repeats} items repeated"]
        for name in ("lost", "repeated", "different"):
            texts = getattr(self, name)
            lines += [f"{name}: {text}" for text in texts[:SHOWN]]
            lines += [f"{name}: {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
        return "\n".join(lines)


class Kills:
    """Run one program in folders of its own, whole, killed and resumed."""

    def __init__(
        self,
        folder: Path,
        program: Program,
        arguments: Sequence[Any],
        *,
        compare: Compare,
        files: Sequence[str | os.PathLike[str]],
        in_flight: int,
        limit: float,
    ) -> None:
        self._folder, self._compare, self._files = folder, compare, [Path(file).resolve() for file in files]
        self._in_flight, self._limit, self._number = in_flight, limit, 0
        self._file, self._name, self._arguments = _found(program, arguments)
        source = Path(kills_script.__file__) if self._name == "run_script" else self._file
        self._server = ForkServer(source, [entry or str(Path.cwd()) for entry in sys.path])
        self._clean = Story()
        self._result: Any = None
        self.resumed = Resumed()

    def run(self, at: At, kills: int | None, rng: random.Random) -> Resumed:
        """Kill and resume; return what was found."""
        with self._server:
            record = self._folder / "lines"
            folder, end = self._started(record=record if at == "lines" else None)
            if end.code:
                raise AssertionError(f"uninterrupted, it ended with exit code {end.code}:\n{end.output}")
            self._clean, self._result = read_story(folder), read_result(folder, self._compare)
            for number in _numbers(at, kills, rng, end, record):
                self._kill("boundary" if at == "boundaries" else "line", number)
            if at == "instants":
                self._kill_at_instants(INSTANTS if kills is None else kills, end.seconds, rng)
        if not self.resumed.kills:
            raise AssertionError(f"no kill hit it: there are no {at} to kill it at")
        return self.resumed

    def _started(self, folder: Path | None = None, **options: Any) -> tuple[Path, End]:
        """Run it in a folder, or in a new one that holds the given files alone."""
        if folder is None:
            self._number += 1
            folder = self._folder / str(self._number)
            folder.mkdir()
            for file in self._files:
                (shutil.copytree if file.is_dir() else shutil.copy)(file, folder / file.name)
        inside = (*OURS, str(self._file))
        return folder, self._server.run(
            self._name, *self._arguments, folder=folder, from_start=True, inside=inside, limit=self._limit, **options
        )

    def _kill_at_instants(self, kills: int, seconds: float, rng: random.Random) -> None:
        hit = 0
        for _ in range(kills * 20):
            if hit == kills:
                return
            if self._kill("after", seconds * (hit + rng.random()) / kills):
                hit += 1
            else:
                seconds *= 0.95  # the machine was busier when the whole run was measured
        raise AssertionError(f"only {hit} of {kills} kills hit it before its end: it is too short for more")

    def _kill(self, how: str, number: float) -> bool:
        """Kill it there, if it comes there, and resume it; keep the folder where something is wrong."""
        options: dict[str, Any] = {how: number}
        folder, end = self._started(None, **options)
        findings = []
        if end.killed:
            self.resumed.kills += 1
            findings = list(self._findings(folder))
        elif end.code:
            findings = [("different", f"it ended with exit code {end.code}:\n{end.output}")]
        for name, what in findings:
            getattr(self.resumed, name).append(f"{what} (killed {how} {number}; {folder} is as it was left)")
        if not findings:
            shutil.rmtree(folder)
        return end.killed

    def _findings(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Resume what was killed and yield what is wrong: the name of a list, and a text for it."""
        try:
            held = read_story(folder)
            _, end = self._started(folder)
            if end.code:
                yield "different", f"resumed, it ended with exit code {end.code}:\n{end.output}"
                return
            story = read_story(folder)
        except LeftoffError as error:
            yield "different", str(error)
            return
        self.resumed.repeats += story.repeats
        if lost := (held.done - story.done) | story.redone:
            yield "lost", _listed(lost)
        if story.repeats > self._in_flight:
            yield "repeated", f"work on {story.repeats} items began again"
        if missing := (self._clean.done - story.done) | (self._clean.dead - story.dead):
            yield "different", f"it ended without {_listed(missing)}"
        elif invented := (story.done - self._clean.done) | (story.dead - self._clean.dead):
            yield "different", f"it ended with {_listed(invented)}"
        if (result := read_result(folder, self._compare)) != self._result:
            yield "different", told_apart(self._result, result)


def _listed(items: set[str]) -> str:
    return ", ".join(sorted(items)[:SHOWN]) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")


def _numbers(at: At, kills: int | None, rng: random.Random, end: End, record: Path) -> list[int]:
    """Return the boundaries or lines to kill it at."""
    if at == "boundaries":
        numbers = range(2 * end.calls)
        return list(numbers) if kills is None else sorted(rng.sample(numbers, min(kills, len(numbers))))
    if at == "lines":
        places = record.read_text("utf-8").splitlines()
        return choose(places, len(places) if kills is None else kills, rng)
    return []


def _found(program: Program, arguments: Sequence[Any]) -> tuple[Path, str, list[Any]]:
    """Return the file of a program, the function to call and its arguments."""
    if not callable(program):
        script = Path(program).resolve()
        if not script.is_file():
            raise UsageError(f"kill_and_resume: there is no script {program}")
        return script, "run_script", [str(script), *map(str, arguments)]
    name, file = getattr(program, "__qualname__", repr(program)), inspect.getsourcefile(program)
    if file is None or not name.isidentifier():
        raise UsageError(
            f"kill_and_resume: {name} cannot be found in another process; give it a script, or a function defined at"
            " the top of a file"
        )
    return Path(file).resolve(), name, list(arguments)


def kill_and_resume(
    folder: Path,
    program: Program,
    *arguments: Any,
    at: At = "instants",
    kills: int | None = None,
    seed: int,
    compare: Compare = (),
    files: Sequence[str | os.PathLike[str]] = (),
    in_flight: int = 1,
    limit: float = 60.0,
) -> Resumed:
    """Run a program whole, then kill and resume it again and again; return what it lost, repeated or got wrong.

    folder: an empty one, for all runs; the rest is as the fixture has it.
    """
    if at not in get_args(At):
        raise UsageError(f"kill_and_resume: at={at!r}: write {' or '.join(map(repr, get_args(At)))}")
    if kills is not None and kills < 1:
        raise UsageError(f"kill_and_resume: kills={kills}: it takes one at least")
    work = Kills(folder, program, arguments, compare=compare, files=files, in_flight=in_flight, limit=limit)
    return work.run(at, kills, random.Random(seed))
