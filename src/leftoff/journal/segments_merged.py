"""One run of a directory of segments, merged from all its writers.

1. A conclusion holds unless a `forgotten` or `retried` of its own segment follows it, or one of another segment names
   it: no clock decides, and the order in which segments are read changes nothing.
2. Of two conclusions that hold, `done` counts before `dead`; two that are `done` are reported.
3. The tries of an item without conclusion are those that the newest writer tells of: it went on from what the others
   had said.
4. Marks are numbers in this merge alone: those of a segment follow those of the segments before it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from leftoff.journal.entry import Entry, Tries
from leftoff.journal.jsonl_index import Index, entry_at
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.segment import Segment, SegmentIndex
from leftoff.journal.shard import Shard
from leftoff.journal.store import Mark


class Merged(Index):
    """Hold what all segments say of one run; its owner's new entries go on top."""

    def __init__(self, run: str, segments: Sequence[Segment]) -> None:
        """Read the segments, in this order."""
        super().__init__(run)
        self.segments = list(segments)
        self.doubles: list[str] = []  # keys that are done in more than one segment
        self._bases: list[int] = []
        self._named: list[dict[tuple[str, str], int]] = []
        self._open: list[dict[str, Tries]] = []
        self._beaten: dict[str, list[int]] = {}  # key: the segments whose conclusion another one outdoes
        self._last: list[bytes] = []
        self._starts: list[int] = []
        self._places: dict[int, array[int]] = {}
        indexes = [segment.index(run) for segment in self.segments]
        for segment, names in _voids(self.segments, indexes):
            _leave_out(self.segments[segment], indexes[segment], names)
        for number, index in enumerate(indexes):
            self._add(number, index)
        self.base = self.concluded
        self.dead = sum(mark < 0 for mark in self.fates.values()) if any(index.dead for index in indexes) else 0
        self.places = array("Q")  # of what the owner concludes from now on
        self.open_items = self._join(range(len(self.segments)))

    def _add(self, number: int, index: SegmentIndex) -> None:
        base, fates = self.concluded, index.fates
        for key in sorted(fates.keys() & self.fates.keys()):
            known = self.fates[key]
            if known > 0 and fates[key] > 0:
                self.doubles.append(key)
            loser = number
            if fates[key] > 0 or known < 0:
                loser = self._segment_of(known)
            else:
                del fates[key]
            self._beaten.setdefault(key, []).append(loser)
        if base:
            self.fates.update((key, mark + base if mark > 0 else mark - base) for key, mark in fates.items())
        else:
            self.fates.update(fates)
        self.concluded = base + index.concluded
        self._bases.append(base)
        self._named.append(index.named)
        self._open.append(index.open_items)
        self._last.append(index.newest)
        self._starts.append(index.start)

    def _segment_of(self, mark: Mark) -> int:
        return bisect_left(self._bases, abs(mark)) - 1

    def _join(self, numbers: Sequence[int], *, ended: bool = False) -> dict[str, Tries]:
        """Join the items without conclusion of some segments; where their writers ``ended``, what was begun crashed."""
        joined: dict[str, Tries] = {}
        for number in numbers:
            for key, told in self._open[number].items():
                if key not in self.fates:
                    joined[key] = told.after_crash() if ended and told.begun else told
        return joined

    def taken_over(self, shard: Shard) -> dict[str, Tries]:
        """Return the items without conclusion as a new owner of a shard finds them: who was in flight has crashed."""
        ended = [number for number, segment in enumerate(self.segments) if not segment.is_live()]
        return {key: tries for key, tries in self._join(ended, ended=True).items() if shard.has(key)}

    def told_by(self, key: str) -> dict[str, int]:
        """Return which segments say something of a key that must be taken back, each with its last seq."""
        mark = self.fates.get(key, 0)
        numbers = {number for number, table in enumerate(self._open) if key in table} | {*self._beaten.get(key, ())}
        if mark and abs(mark) <= self.base:
            numbers.add(self._segment_of(mark))
        segments = [self.segments[number] for number in sorted(numbers)]
        return {segment.id: segment.end.seq for segment in segments if segment.end is not None}

    def conclusions_of(self, keys: Sequence[str], fd: int) -> list[Entry | None]:
        """Return the conclusions of keys, None for one without; ``fd`` is the owner's own file."""
        return [self._conclusion_of(self.fates.get(key, 0), fd) for key in keys]

    def _conclusion_of(self, mark: Mark, fd: int) -> Entry | None:
        if not mark:
            return None
        if abs(mark) > self.base:
            assert self.places is not None  # noqa: S101  # it is made with this merge
            return entry_at(fd, self.places[abs(mark) - self.base - 1])
        number = self._segment_of(mark)
        segment = self.segments[number]
        if number not in self._places:
            assert segment.end is not None  # noqa: S101  # it holds a conclusion
            with segment.opened() as opened:
                index = SegmentIndex(self.run)
                self._places[number] = index.find_places(opened, segment.end.offset, self._starts[number])
        return segment.entry_at(self._places[number][abs(mark) - self._bases[number] - 1])

    def latest(self, kind: str, key: str) -> Entry | None:
        """Return the newest entry of a kind and key in the segments."""
        found = [
            segment.entry_at(named[kind, key])
            for segment, named in zip(self.segments, self._named, strict=True)
            if (kind, key) in named
        ]
        return max(found, key=order, default=None)

    def last_lines(self) -> list[bytes]:
        """Return the last line that each segment has of the run."""
        return [line for line in self._last if line]


def order(entry: Entry) -> tuple[Any, int]:
    """Return what entries of several writers are ordered by: a writer's times are later than all it had read."""
    return entry.at, entry.epoch


def _voids(segments: Sequence[Segment], indexes: Sequence[SegmentIndex]) -> list[tuple[int, dict[str, int]]]:
    """Return, for each segment that others took something back of, the keys and up to which seq."""
    numbers = {segment.id: number for number, segment in enumerate(segments) if segment.end is not None}
    voids: dict[int, dict[str, int]] = {}
    for index in indexes:
        for key, names in index.voids:
            for name, seq in names.items():
                if name in numbers:
                    table = voids.setdefault(numbers[name], {})
                    table[key] = max(seq, table.get(key, 0))
    return list(voids.items())


def _leave_out(segment: Segment, index: SegmentIndex, names: dict[str, int]) -> None:
    """Leave out what a segment says of some keys, where it said nothing more of them behind a seq."""
    end = segment.end
    assert end is not None  # noqa: S101  # somebody read what it said
    touched: dict[str, int] = {}
    if any(seq < end.seq for seq in names.values()):
        for entry in segment.entries(HEADER_LENGTH, end.offset):
            if entry.run == index.run and entry.key in names:
                touched[entry.key] = entry.seq
    for key, seq in names.items():
        if seq >= end.seq or touched.get(key, 0) <= seq:
            index.fates.pop(key, None)
            index.open_items.pop(key, None)
