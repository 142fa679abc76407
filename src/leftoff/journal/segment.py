"""One writer's file in a directory of segments, as everybody else reads it.

1. A segment has one writer, the process that created it; nobody else ever changes it, but for the repair of a damaged
   one, which puts another file in its place. What its writer's death, or a power failure, left torn at its end stays
   there and is left out.
2. Every byte is checked before it is believed, as in any JSON Lines journal, and again from there on when it has grown.
3. No file is kept open: there may be thousands.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from leftoff.errors import JournalDamaged, JournalLost, UsageError
from leftoff.journal.entry import SUPERSEDING, Entry
from leftoff.journal.jsonl_index import Index, line_at
from leftoff.journal.jsonl_scan import BLOCK, HEADER_LENGTH, Position, check, entries_on, read_header, understood
from leftoff.journal.jsonl_spans import Spans
from leftoff.journal.lock import is_held
from leftoff.journal.shard import Shard, make_shard
from leftoff.journal.sync import unreadable

_PIECE: Final = 1 << 18  # bytes that one of many segments keeps in memory while they are merged
_HEADS: Final = (b'"created":"",', b'"owner":"",')


class SegmentIndex(Index):
    """Hold what one segment says of a run, with what its writer took back of other segments."""

    def __init__(self, run: str) -> None:
        """Know nothing yet."""
        super().__init__(run)
        self.voids: list[tuple[str, dict[str, int]]] = []

    def _take(self, entry: Entry, place: int) -> None:
        super()._take(entry, place)
        if entry.kind in SUPERSEDING and entry.value is not None:
            self.voids.append((entry.key, {str(name): int(seq) for name, seq in entry.value["of"].items()}))


class Segment:
    """Read the file of one writer."""

    def __init__(self, path: Path) -> None:
        """Know nothing yet; `look` brings it up to date."""
        self.path = path
        self.id = ""
        self.end: Position | None = None  # None while its creation is not complete
        self.torn = 0
        self.first = (float("inf"), 0, path.name)  # by what the files are ordered: time and epoch of its first entry
        self.newest = 0.0  # time of its last entry, seconds since 1970
        self.created: dict[str, Entry] = {}
        self.owners: dict[str, Entry] = {}
        self.new_headers: list[Entry] = []  # those that nobody has compared yet
        self._spans = Spans()
        self._size = -1
        self._inode = 0

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Open the file for reading, and let what no release writes surface as damage."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise JournalLost(f"{self.path} was deleted or moved away; put it back") from error
        except OSError as error:
            raise unreadable(self.path, error) from error
        try:
            with understood(str(self.path)):
                inode = os.fstat(fd).st_ino
                self._inode = self._inode or inode
                if inode != self._inode:  # the places that are known here are those of the file that was there
                    raise JournalLost(
                        f"{self.path} was replaced while it was open, as a repair does; open the journal again"
                    )
                yield fd
        finally:
            os.close(fd)

    def look(self) -> bool:
        """Check what was appended since the last look; return whether there was anything."""
        with self.opened() as fd:
            size = os.fstat(fd).st_size
            if size == self._size:
                return False
            start = self.end
            if start is None:
                data = os.pread(fd, BLOCK, 0)
                start = read_header(data, str(self.path))
                if start is not None:
                    self.id = str(json.loads(data[:HEADER_LENGTH])["id"])
            if start is not None:
                if self.end is not None and size < start.offset:  # a header may have come since the size was asked
                    raise self._shorter()
                self.end, tail = check(fd, start, str(self.path))
                self.torn = len(tail)
                self._take_in(start.offset, self.end.offset, fd)
            self._size = size
        return True

    def _shorter(self) -> JournalDamaged:
        return JournalDamaged(f"{self.path} is shorter than it was; restore a copy of the file")

    def _take_in(self, start: int, end: int, fd: int) -> None:
        """Note who owned which runs, and when it was written to last."""
        last = b""
        for block in self._blocks(start, end, fd):
            if not self.newest and not last:
                entry = next(entries_on(block[: block.index(b"\n")]))
                self.first = (entry.at.timestamp(), entry.epoch, self.path.name)
            for entry in _heads(block):
                if entry.kind == "created":
                    self.created[entry.run] = entry
                    self.new_headers.append(entry)
                else:
                    self.owners[entry.run] = entry
                self._check_shard(entry)
            last = block[block.rfind(b"\n", 0, -1) + 1 :]
        if last:
            self.newest = max(entry.at.timestamp() for entry in entries_on(last))

    def _check_shard(self, entry: Entry) -> None:
        try:
            make_shard(entry.value.get("shard"))
        except UsageError as error:
            raise JournalDamaged(f"{self.path}: entry {entry.seq} claims what is no share of the keys") from error

    def _blocks(self, start: int, end: int, fd: int | None = None) -> Iterator[bytes]:
        """Yield the whole lines between two offsets that were checked, in pieces."""
        offset, rest = start, b""
        while offset < end:
            if fd is not None:
                block = os.pread(fd, min(BLOCK, end - offset), offset)
            else:
                with self.opened() as again:
                    block = os.pread(again, min(_PIECE, end - offset), offset)
            if not block:
                raise self._shorter()
            offset += len(block)
            block = rest + block
            cut = block.rfind(b"\n") + 1
            rest = block[cut:]
            if cut:
                yield block[:cut]

    def entries(self, start: int, end: int) -> Iterator[Entry]:
        """Iterate the entries between two offsets that were checked."""
        for block in self._blocks(start, end):
            for line in block[:-1].split(b"\n"):
                with understood(str(self.path)):
                    found = [shown(entry) for entry in entries_on(line)]
                yield from found

    def index(self, run: str) -> SegmentIndex:
        """Return what it says of a run."""
        index = SegmentIndex(run)
        if self.end is not None and run in self.created:
            with self.opened() as fd:
                end = self.end.offset
                index.read_span(fd, self._spans.of(run, fd, end), end)
        return index

    def entry_at(self, offset: int) -> Entry:
        """Return the first entry of the line at an offset."""
        with self.opened() as fd:
            return next(entries_on(line_at(fd, offset)))

    def shard(self, run: str) -> Shard:
        """Return the keys that its writer claimed of a run."""
        return make_shard(self.owners[run].value.get("shard"))

    def is_live(self) -> bool:
        """Return whether its writer lives; always False where the file system has no locks."""
        return is_held(self.path)

    def who(self, run: str) -> dict[str, Any]:
        """Return host, pid and start of its writer."""
        value = self.owners[run].value
        return {name: value.get(name) for name in ("host", "pid", "start")}


def shown(entry: Entry) -> Entry:
    """Return an entry without what only its journal needs: which segments a `forgotten` or `retried` speaks of."""
    return replace(entry, value=None) if entry.kind in SUPERSEDING else entry


def _heads(block: bytes) -> list[Entry]:
    """Return the `created` and `owner` entries in some whole lines, in their order."""
    starts = set()
    for head in _HEADS:
        at = block.find(head)
        while at >= 0:
            starts.add(block.rfind(b"\n", 0, at) + 1)
            at = block.find(head, at + 1)
    found = [entry for start in sorted(starts) for entry in entries_on(block[start : block.index(b"\n", start)])]
    return [entry for entry in found if entry.kind in ("created", "owner") and not entry.key]
