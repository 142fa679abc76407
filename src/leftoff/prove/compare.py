"""What an interrupted run lost, repeated and left different, held against the uninterrupted one."""

from __future__ import annotations

import fnmatch
import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leftoff.errors import UsageError
from leftoff.prove.contents import Kind, Part, Parts, Record, Unreadable, kind_of, things, without_sides

_SHOWN: Final = 3  # of each sort and file
_WIDTH: Final = 100


@dataclass(frozen=True)
class Rules:
    """Be what is compared, and how strictly.

    compare: patterns of files, none for everything that a run changed; exclude: patterns of files that are left out;
    ignore: columns (COLUMN, TABLE.COLUMN), tables (TABLE.*) and kinds of entries of a journal that are left out;
    any_order: lines may come in another order.
    """

    compare: Sequence[str] = ()
    exclude: Sequence[str] = ()
    ignore: Sequence[str] = ()
    any_order: bool = False


@dataclass
class Difference:
    """Be what is not as the uninterrupted run left it: how many records, and ``examples`` in words.

    lost: were there and are missing; repeated: are there more often; different: were never there; reordered: files
    with the right lines in another order.
    """

    lost: int = 0
    repeated: int = 0
    different: int = 0
    reordered: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, sort: str, where: str, texts: Sequence[str], count: int | None = None) -> None:
        """Count records of one sort, and show the first of them."""
        if not texts:
            return
        setattr(self, sort, getattr(self, sort) + (len(texts) if count is None else count))
        self.examples += [f"{where}: {sort}: {_short(text)}" for text in texts[:_SHOWN]]
        if len(texts) > _SHOWN:
            self.examples.append(f"{where}: {sort}: and {len(texts) - _SHOWN} more")

    def is_fault(self, repeats: int) -> bool:
        """Return whether it is more than so many repeated records."""
        return bool(self.lost or self.different or self.reordered or self.repeated > repeats)


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


class Reference:
    """Hold what the uninterrupted run left, to compare others with it."""

    def __init__(self, folder: Path, files: Iterable[str], rules: Rules) -> None:
        """Read what ``rules`` name in ``folder``; ``files`` are what the run changed.

        ``kinds`` then has each thing that is compared and how, ``files`` the files that they consist of.
        """
        self.folder = folder
        self._rules = rules
        self._ignore = frozenset(rules.ignore)
        named = named_files(folder, rules) if rules.compare else _without(files, rules.exclude)
        self.files = without_sides(folder, named)
        self.kinds = {name: kind_of(folder / name) for name in things(folder, self.files)}
        self._parts = {name: self._read(name, kind) for name, kind in self.kinds.items()}

    def _read(self, name: str, kind: Kind) -> Parts:
        try:
            return kind.read(self.folder / name, self._ignore)
        except Unreadable as error:
            raise UsageError(
                f"{name} cannot be read after an uninterrupted run: {error}; leave it out with --exclude"
            ) from error

    def __len__(self) -> int:
        """How many records there are to compare."""
        return sum(len(part.records) for parts in self._parts.values() for part in parts.values())

    def compare(self, folder: Path) -> Difference:
        """Return how the same files in another folder differ."""
        found = Difference()
        for name, kind in self.kinds.items():
            self._compare_thing(found, name, kind, folder / name)
        if self._rules.compare:
            new = things(folder, without_sides(folder, named_files(folder, self._rules)))
            found.add("different", "new file", [name for name in new if name not in self.kinds])
        return found

    def _compare_thing(self, found: Difference, name: str, kind: Kind, path: Path) -> None:
        expected = self._parts[name]
        if not path.exists():
            count = sum(len(part.records) for part in expected.values())
            found.add("lost", name, ["the whole file"], max(count, 1))
            return
        try:
            parts = kind.read(path, self._ignore)
        except Unreadable as error:
            found.add("different", name, [str(error)])
            return
        for inside in {**expected, **parts}:
            where = f"{name}, {inside}" if inside else name
            self._compare_part(found, where, expected.get(inside, Part([])), parts.get(inside, Part([])))

    def _compare_part(self, found: Difference, where: str, expected: Part, got: Part) -> None:
        if all(record.key is not None for record in (*expected.records, *got.records)):
            _by_key(found, where, expected.records, got.records)
            return
        before, after = (Counter(record.text for record in part.records) for part in (expected, got))
        more = after - before
        found.add("lost", where, list((before - after).elements()))
        found.add("repeated", where, [text for text in more.elements() if text in before])
        found.add("different", where, [text for text in more.elements() if text not in before])
        if before == after and expected.ordered and not self._rules.any_order:
            pairs = zip(expected.records, got.records, strict=True)
            moved = next((f"{old.text} is now {new.text}" for old, new in pairs if old != new), None)
            found.add("reordered", where, [] if moved is None else [moved])


def _by_key(found: Difference, where: str, expected: Iterable[Record], got: Iterable[Record]) -> None:
    before, after = ({record.key: record.text for record in records} for records in (expected, got))
    found.add("lost", where, [f"{key}: {text}" for key, text in before.items() if key not in after])
    changed = [f"{key}: {text}, was {before[key]}" for key, text in after.items() if before.get(key, text) != text]
    new = [f"{key}: {text}, was not there" for key, text in after.items() if key not in before]
    found.add("different", where, changed + new)


def named_files(folder: Path, rules: Rules) -> list[str]:
    """Return the files that the patterns name, in order."""
    found: set[str] = set()
    for pattern in rules.compare:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise UsageError(f"--compare {pattern}: name what is compared relative to the working folder, inside it")
        matched = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207  # a pattern of names, as a shell has it
        for name in matched:
            path = folder / name
            inner = [name] if path.is_file() else [str(p.relative_to(folder)) for p in path.rglob("*") if p.is_file()]
            found.update(inner)
    return _without(sorted(found), rules.exclude)


def _without(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that no pattern fits, whole or by their last part."""
    return [
        name
        for name in names
        if not any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns for text in (name, Path(name).name))
    ]
