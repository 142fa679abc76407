"""Damage journals in every way there is, and see that nothing is believed that was not written.

    sample = load("progress.jsonl")                    # a sound journal that nobody has open; only read
    found = survey(sample, seed=1, cases=range(2000))
    print(found.table())
    assert not found.failures, found.failures

Each case is one damaged copy, made from the seed and its number. It is opened, read, checked and worked on, in a forked
child with bounded memory and time. What may come of it:

    refused   a LeftoffError that names the place, or `verify` told of the damage
    same      every answer is that of the sound journal
    torn      every answer is that of a beginning of the journal which docs/format.md lets a torn or cut end have
    read      of a case whose sums were computed anew: it was read as what it says

and what is a failure: ``silent`` (an answer changed without an error), ``broke`` (another exception), ``unnamed`` (an
error that does not tell which file), ``touched`` (reading wrote), ``crashed`` (the process died), ``hung``.

``python -m leftoff.testing.damage PLACE --seed 1 --first 0 --cases 2000`` does the same from a shell.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from leftoff.testing import damage_jsonl, damage_sqlite
from leftoff.testing.damage_bytes import CHANGES
from leftoff.testing.damage_children import run_in_children
from leftoff.testing.damage_judge import Judge, Opener, Verdict

__all__ = ["Damaged", "Failure", "Sample", "Survey", "damaged", "load", "survey"]

Files = Mapping[str, bytes]
UNSYNCED: Final = b'"durability":"process"'  # an owner who did not ask for each commit to be synced
RESEALED: Final = "resealed"
BAD: Final = frozenset({"silent", "broke", "unnamed", "touched", "crashed", "hung"})


class Format(NamedTuple):
    """Be what is known of the files with one ending: ways to damage them that need to understand them.

    The one called ``resealed`` leaves every sum right. ``earlier`` tells what a damaged one may be read as: from the
    whole, the damaged, and whether each commit had been synced.
    """

    changes: Mapping[str, Callable[[random.Random, bytes], bytes]]
    earlier: Callable[[bytes, bytes, bool], Iterator[bytes]]


def _nothing(_: bytes, __: bytes, ___: bool) -> Iterator[bytes]:
    return iter(())


FORMATS: Final[dict[str, Format]] = {
    ".jsonl": Format({RESEALED: damage_jsonl.resealed}, damage_jsonl.earlier),
    ".db": Format(
        {
            "schema": damage_sqlite.changed_schema,
            "rows": damage_sqlite.changed_rows,
            RESEALED: damage_sqlite.resealed,
        },
        _nothing,
    ),
    ".db-wal": Format({}, damage_sqlite.earlier),
}
"""By the ending of a file's name. A store in files of another kind is damaged byte by byte all the same."""

_UNKNOWN: Final = Format({}, _nothing)


class Sample(NamedTuple):
    """Be a sound journal: its place, and the bytes of its files by their name relative to the place's folder."""

    place: str
    files: Files


def load(place: str | os.PathLike[str]) -> Sample:
    """Read a journal that nobody has open: a file and its ``-wal``, or all files of a directory."""
    path = Path(place)
    files = sorted(path.rglob("*")) if path.is_dir() else [path, path.with_name(f"{path.name}-wal")]
    found = {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in files if file.is_file()}
    return Sample(path.name, {name: data for name, data in found.items() if data and not name.endswith(".lock")})


class Damaged(NamedTuple):
    """Be one damaged journal: how it was damaged, its files, and what it may be read as besides the sound one."""

    kind: str
    files: Files
    sealed: bool
    earlier: list[Files]


def damaged(sample: Sample, seed: int, number: int, other: Sample | None = None) -> Damaged:
    """Return case ``number`` of a seed. Parts of ``other`` are brought in; without one, parts of its own."""
    rng = random.Random(f"{seed}/{number}")
    name = rng.choice(sorted(sample.files))
    data, form = sample.files[name], _format_of(name)
    synced = not any(UNSYNCED in content for content in sample.files.values())
    brought = _counterpart(name, sample, other)
    ways: dict[str, Callable[[], bytes]] = {kind: partial(way, rng, data, brought) for kind, way in CHANGES.items()}
    ways |= {kind: partial(way, rng, data) for kind, way in form.changes.items()}
    kind = list(ways)[number % len(ways)]
    changed = next((changed for _ in range(10) if (changed := ways[kind]()) != data), data)
    earlier: list[Files] = [{**sample.files, name: beginning} for beginning in form.earlier(data, changed, synced)]
    return Damaged(kind, {**sample.files, name: changed}, kind == RESEALED, earlier)


def _format_of(name: str) -> Format:
    return next((form for ending, form in FORMATS.items() if name.endswith(ending)), _UNKNOWN)


def _counterpart(name: str, sample: Sample, other: Sample | None) -> bytes:
    """Return the other journal's file of the same kind; the end of our own, put in front, where there is none."""
    files = {} if other is None else other.files
    half = len(sample.files[name]) // 2
    own = sample.files[name][half:] + sample.files[name][:half]
    return next((data for file, data in files.items() if Path(file).suffix == Path(name).suffix), own)


class Failure(NamedTuple):
    """Be a case that must not be: its number, how it was damaged, the verdict, and what was seen."""

    number: int
    kind: str
    verdict: str
    detail: str


@dataclass
class Survey:
    """Be what came of many cases."""

    place: str
    seed: int
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many damaged journals were judged."""
        return sum(self.counts.values())

    def of(self, verdict: str) -> int:
        """Return how many cases came to a verdict."""
        return sum(count for (_, found), count in self.counts.items() if found == verdict)

    def table(self) -> str:
        """Return the counts per kind of damage and verdict, as text."""
        verdicts = sorted({verdict for _, verdict in self.counts})
        lines = [f"{self.place}: {self.cases} damaged journals, seed {self.seed}"]
        lines.append(f"{'':18}" + "".join(f"{verdict:>9}" for verdict in verdicts))
        lines += [
            f"{kind:18}" + "".join(f"{self.counts[kind, verdict]:>9}" for verdict in verdicts)
            for kind in sorted({kind for kind, _ in self.counts})
        ]
        return "\n".join(lines)


def survey(
    sample: Sample,
    *,
    seed: int,
    cases: range,
    other: Sample | None = None,
    opener: Opener | None = None,
    children: int | None = None,
    seconds: float = 10.0,
    memory: int = 1 << 30,
    folder: Path | None = None,
) -> Survey:
    """Judge many damaged copies of a journal, and return what came of them.

    seed, cases: which; other: a journal whose parts are brought in; opener: opens the store at a path (default: by
    the name's ending); children: processes at a time (default: one for each processor); seconds: limit for one case;
    memory: bytes a child may use beyond what it was forked with (Linux); folder: where the copies lie, one at a time.

    Raises ValueError for a sample that does not open and verify as it is.
    """
    found = Survey(sample.place, seed)
    with tempfile.TemporaryDirectory(prefix="leftoff-damage-", dir=folder) as scratch:
        Judge(Path(scratch, "sound"), sample.place, sample.files, opener).require_sound()

        def judge_all(numbers: range) -> Iterator[tuple[int, str, Verdict]]:
            judge = Judge(Path(scratch, str(os.getpid())), sample.place, sample.files, opener)
            for number in numbers:
                case = damaged(sample, seed, number, other)
                verdict = judge.judge(case.files, case.earlier, sealed=case.sealed)
                yield number, case.kind, verdict

        for number, told, verdict in run_in_children(
            judge_all, cases, children or os.cpu_count() or 1, seconds, memory
        ):
            kind = told or damaged(sample, seed, number, other).kind  # a child that died could not tell
            found.counts[kind, verdict.verdict] += 1
            if verdict.verdict in BAD:
                found.failures.append(Failure(number, kind, verdict.verdict, verdict.detail))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Survey the journal that the command line names; return 1 where there were failures."""
    parser = argparse.ArgumentParser(prog="python -m leftoff.testing.damage", description="Damage copies of a journal.")
    parser.add_argument("place", help="a sound journal that nobody has open: a file or a directory; it is only read")
    parser.add_argument("--other", help="another journal, whose parts are brought in")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--cases", type=int, default=1000, help="how many")
    given = parser.parse_args(arguments)
    other = load(given.other) if given.other else None
    cases = range(given.first, given.first + given.cases)
    found = survey(load(given.place), seed=given.seed, cases=cases, other=other)
    print(found.table())
    for failure in found.failures:
        print(*failure)
    return 1 if found.failures else 0


def command(sample: Path, other: Path | None, failure: Failure, seed: int) -> str:
    """Return the shell command that repeats one failure."""
    brought = f" --other {other}" if other else ""
    return f"python -m leftoff.testing.damage {sample}{brought} --seed {seed} --first {failure.number} --cases 1"


if __name__ == "__main__":
    sys.exit(main())
