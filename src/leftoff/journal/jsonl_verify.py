"""Check a JSON Lines journal without writing, and judge what lies behind a damaged line.

A sum is the CRC of every byte before it, so one changed byte breaks every later sum as seen from the file's begin. But
the sum *written* on a line is all that the next line needs: from there on each line is checked against the one before.

1. Proven: an unbroken chain from the header.
2. Fits: behind a damaged place, but each line continues the sum of the line before, and stands at the offset that it
   names. That these bytes were written here is as certain as above; what stood at the damaged place is not known.
3. Displaced: fits the line before, but stands at another offset: bytes vanished or came in between.
4. A line with only its sum changed is told from a changed entry: its entry continues the chain, and the next line too.
5. A commit is all or nothing: with one of its lines lost, the others are broken and not believed either.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from leftoff.errors import JournalDamaged
from leftoff.journal.jsonl_scan import (
    BLOCK,
    SUM_TAIL,
    WHOLE,
    check,
    crc_after,
    is_torn,
    open_readable,
    read_header,
    region,
    understood,
)
from leftoff.journal.store import Damage, Examined

PROVEN: Final = "proven"
FITS: Final = "fits"
DISPLACED: Final = "displaced"
RESUMMED: Final = "resummed"  # its sum alone is not what was written
BROKEN: Final = "broken"
LOST: Final = "lost"
KEPT: Final = (PROVEN, FITS, RESUMMED)

_SUM: Final = re.compile(rb'"sum":"([0-9a-f]{8})"\}\n\Z')
_TEXT: Final = rb'"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"'
_NAMES: Final = re.compile(
    rb'"run":(' + _TEXT + rb'),"epoch":\d+,"([a-z]+)":(' + _TEXT + rb')(?:.*,"started":(' + _TEXT + rb"))?", re.DOTALL
)
_NAMES_BEGIN: Final = re.compile(rb'(?="run":)')  # a quote in a text has a backslash before it
_LOOKS: Final = 5  # at a file that an owner changes while it is checked
_DIGITS: Final = 20  # what is longer is no number of ours
_NAMED: Final = 8  # so many keys are named, the others counted


class Line(NamedTuple):
    """Be one line of the file: its number from 1, where it begins, its bytes, and what they are worth."""

    number: int
    offset: int
    data: bytes
    grade: str

    @property
    def seq(self) -> int:
        """The seq of its first entry, 0 for what does not read as an entry."""
        match = WHOLE.match(self.data)
        return int(match[1]) if match and len(match[1]) < _DIGITS else 0

    @property
    def last_seq(self) -> int:
        """The seq of its last entry."""
        match = _NAMES.search(self.data)
        return self.seq + bool(match and match[2] == b"done" and match[4])


def examine_jsonl(path: Path, url: str) -> Examined:
    """Check every byte of the journal at ``path``, called ``url`` in what is said of it."""
    fd = open_readable(path, url)
    try:
        with understood(url):
            return _examine(fd, url)
    finally:
        os.close(fd)


def _examine(fd: int, url: str) -> Examined:
    looks = 0
    while True:
        looks += 1
        size = os.fstat(fd).st_size
        try:
            start = read_header(os.pread(fd, BLOCK, 0), url)
            return Examined([], len(check(fd, start, url)[1]) if start else 0)
        except JournalDamaged:
            if os.fstat(fd).st_size == size or looks == _LOOKS:
                return _examine_damaged(fd, size, url)


def _examine_damaged(fd: int, size: int, url: str) -> Examined:
    found = list(places(fd, size))
    torn = 0
    if found and found[-1].tears(fd, size):
        torn = size - found.pop().offset
    return Examined([place.told(url) for place in found], torn)


class Place:
    """Be one damaged place: neighbouring lines that cannot be believed, and how much fits behind them."""

    def __init__(self, before: Line | None) -> None:
        """Begin behind the last line that is sound."""
        self.before = before
        self.first: Line | None = None
        self.last: Line | None = None
        self.after: Line | None = None  # the next line that fits
        self.bad: int | None = None  # the offset of the first line that does not fit itself
        self.lines = 0
        self.behind = 0  # entries that fit, up to the next damaged place
        self.named: list[tuple[str, str, str]] = []  # run, kind and key, as the lines read
        self.names_left_out = 0
        self.unreadable = False
        self.resummed = False

    @property
    def offset(self) -> int:
        """Where the place begins."""
        return self.first.offset if self.first else 0

    def add(self, line: Line) -> None:
        """Take in one more line that cannot be believed."""
        self.first, self.last = self.first or line, line
        self.lines += 1
        if line.grade == LOST and self.bad is None:
            self.bad = line.offset
        self.resummed = line.grade == RESUMMED
        found = list(names_on(line.data))
        self.unreadable |= not found and line.number > 1
        room = _NAMED - len(self.named)
        self.named += found[:room]
        self.names_left_out += len(found[room:]) if room < len(found) else 0

    def tears(self, fd: int, size: int) -> bool:
        """Return whether the place is the end of the file, as a crash leaves it."""
        if self.first is None or self.after is not None or self.resummed or self.before is None:
            return False
        bad = size if self.bad is None else self.bad
        return is_torn(region(fd, self.offset, size), self.offset, bad)

    def told(self, url: str) -> Damage:
        """Say where the place is, what is wrong, what it affects, and what is sound."""
        first, last = self.first, self.last
        assert first is not None  # noqa: S101  # a place has a line
        assert last is not None  # noqa: S101
        lines = f"line {first.number}" if first is last else f"lines {first.number} to {last.number}"
        where = f"{url}: {lines} (offset {first.offset})"
        before = f"everything before it, {_up_to(self.before)}" if self.before else "nothing before it"
        behind = ""
        if self.after is not None:
            what = "but not at their places" if self.after.grade == DISPLACED else "at their places"
            behind = f"; behind it {_entries(self.behind)} that fit each other, {what}"
        if self.resummed:
            return Damage(where, "its sum is not what was written, its entry is", "nothing", before + behind)
        return Damage(where, self._what(), self._affects(), before + behind)

    def _what(self) -> str:
        if self.first is not None and self.first.number == 1 and self.lines == 1:
            return "the header is not what was written"
        if self.after is not None and self.after.grade == DISPLACED:
            return "not what was written: bytes are missing here, or do not belong here"
        return "not what was written"

    def _affects(self) -> str:
        if self.first is not None and self.first.number == 1 and self.lines == 1:
            return "the journal's id; no entry"
        first = self.before.last_seq + 1 if self.before is not None else 1
        if self.after is None:
            entries = f"every entry from {first} on"
        elif self.after.seq <= first:
            entries = "no entry that is known of"
        elif self.after.seq - 1 == first:
            entries = f"entry {first}"
        else:
            entries = f"entries {first} to {self.after.seq - 1}"
        if not self.named:
            return f"{entries}, of any run; which keys cannot be told"
        read = ", ".join(f"{kind} {key!r} of run {run}" for run, kind, key in self.named)
        more = f" and {self.names_left_out} more" if self.names_left_out else ""
        rest = "; the rest cannot be read" if self.unreadable or self.after is None else ""
        return f"{entries}; what can still be read there, not to be believed: {read}{more}{rest}"


def _up_to(line: Line) -> str:
    return f"entries up to {line.last_seq}" if line.number > 1 else "the header"


def _entries(count: int) -> str:
    return f"{count:,} entry" if count == 1 else f"{count:,} entries"


def places(fd: int, size: int) -> Iterator[Place]:
    """Yield the damaged places of the file, in order."""
    place: Place | None = None
    good: Line | None = None
    for line in judged(fd, size):
        if line.grade in (LOST, BROKEN, RESUMMED):
            if place is not None and (place.after is not None or line.grade == RESUMMED):
                yield place
                place = None
            place = place or Place(good)
            place.add(line)
        if line.grade not in (LOST, BROKEN):
            if place is not None and line.grade != RESUMMED:
                place.after = place.after or line
                place.behind += line.last_seq - line.seq + 1
            good = line
    if place is not None:
        yield place


def judged(fd: int, size: int) -> Iterator[Line]:
    """Yield every line with its grade, whole commits together."""
    commit: list[Line] = []
    dropped_from = resumed_at = shift = 0
    behind = False
    for line in _walk(fd, size):
        match = WHOLE.fullmatch(line.data[:-1])
        if line.number == 1 and line.grade != LOST:
            yield line
        elif line.grade == LOST or match is None or len(match[2]) >= _DIGITS:
            if not behind:
                dropped_from = commit[0].offset if commit else line.offset
            resumed_at = line.offset + len(line.data)
            yield from (one._replace(grade=BROKEN) for one in commit)
            commit, behind = [], True
            yield line._replace(grade=LOST)
        else:
            begin, more = int(match[2]), bool(match[4])
            if behind and dropped_from <= begin < resumed_at:
                yield line._replace(grade=BROKEN)
                continue
            if behind:
                shift, behind = line.offset - begin, False
            grade = DISPLACED if shift and line.grade != PROVEN else line.grade
            commit.append(line._replace(grade=grade))
            if not more:
                yield from commit
                commit = []
    yield from (one._replace(grade=BROKEN) for one in commit)


def _walk(fd: int, size: int) -> Iterator[Line]:
    """Yield every line as proven, fitting behind the line before, with its sum changed, or lost."""
    known, may_be = 0, [0]  # the sum behind the line before, and what it may be where that line does not fit
    grade, waiting = PROVEN, None
    for number, offset, data in _lines(fd, size):
        after = next(((crc, found) for crc in may_be if (found := crc_after(data, crc)) is not None), None)
        if after is None:
            if waiting is not None:
                yield waiting
            may_be = _sums_behind(data, known if waiting is None else None)
            waiting = Line(number, offset, data, LOST)
            continue
        if waiting is not None:
            resummed = len(may_be) > 1 and after[0] == may_be[1]
            yield waiting._replace(grade=RESUMMED) if resummed else waiting
            grade = grade if resummed else FITS
            waiting = None
        known, may_be = after[1], [after[1]]
        yield Line(number, offset, data, grade)
    if waiting is not None:
        yield waiting


def _sums_behind(data: bytes, before: int | None) -> list[int]:
    """Return what the sum behind a line that does not fit may be: by the sum written on it, by the entry on it."""
    match = _SUM.search(data)
    written = [crc32(data[-SUM_TAIL:], int(match[1], 16))] if match else [-1]
    if before is None or len(data) < SUM_TAIL:
        return written
    total = crc32(data[:-SUM_TAIL], before)
    return [*written, crc32(b'%08x"}\n' % total, total)]


def _lines(fd: int, size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and bytes of each line up to ``size``; the last may lack its newline."""
    number, offset, at, rest = 0, 0, 0, b""
    while at < size:
        block = os.pread(fd, min(BLOCK, size - at), at)
        if not block:
            break
        at += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            number += 1
            yield number, offset, line + b"\n"
            offset += len(line) + 1
    if rest:
        yield number + 1, offset, rest


def names_on(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield (run, kind, key) of the entries that a line reads as, whatever its sum says.

    Where the end of a line is lost, it and the next read as one.
    """
    for match in filter(None, map(_NAMES.search, _NAMES_BEGIN.split(data))):
        try:
            run, key = json.loads(match[1]), json.loads(match[3])
            started = json.loads(match[4]) if match[4] else None
        except ValueError:
            continue
        kind = match[2].decode()
        yield run, kind, key
        if kind == "done" and started is not None:
            yield run, "started", started
