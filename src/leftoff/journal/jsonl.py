"""The JSON Lines store: one file, read whole at opening; who writes to it is `jsonl_owner`."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from leftoff.errors import JournalClosed, JournalDamaged, JournalError, JournalReadOnly, JournalUnusable
from leftoff.journal.entry import Entry, Tries
from leftoff.journal.jsonl_index import Index, line_at
from leftoff.journal.jsonl_owner import Appender, JsonlOwner
from leftoff.journal.jsonl_scan import (
    BLOCK,
    HEADER,
    HEADER_LENGTH,
    SUM_TAIL,
    Position,
    check,
    entries_on,
    make_header,
    open_readable,
    read_header,
    time_text,
    understood,
)
from leftoff.journal.jsonl_spans import Spans
from leftoff.journal.jsonl_verify import examine_jsonl
from leftoff.journal.lock import Hold, holder
from leftoff.journal.shard import WHOLE, Shard
from leftoff.journal.store import Damage, Durability
from leftoff.journal.sync import (
    keep_aside,
    open_private,
    refuse_odd_file,
    sync_directory,
    sync_file,
    unusable,
    write_all,
)

_LOOKS: Final = 5  # at a file that an owner changes while it is checked


class JsonlStore:
    """Keep runs in one JSON Lines file."""

    shared = False
    promises = frozenset({"P1", "P2", "P3", "P4", "P6", "P7", "P8", "P9"})

    def __init__(self, path: Path, durability: Durability = "power") -> None:
        """Open a journal for reading and check every byte of it; a file that does not exist is an empty journal."""
        refuse_odd_file(path)
        self.url = str(path)
        self.path = Path(os.path.realpath(path))  # one lock file for every name of the journal
        self.durability = durability
        self.notes: list[str] = []
        self.connection = None
        self._indexes: dict[str, Index] = {}
        self._spans = Spans()
        self._looking = threading.RLock()
        self._fd = -1
        self._inode = 0
        self._checked: Position | None = None
        self._torn = 0
        self._appender: Appender | None = None
        self._closed = False
        try:
            self._refresh()
        except BaseException:
            self.close()  # nobody will have this handle
            raise

    # -- reading -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Check what was appended since the last look. A torn tail is left alone: only an owner may cut it."""
        with self._looking:  # by one thread after the other: a file is opened and known in two steps
            self._look()

    def _look(self) -> None:
        if self._closed:
            raise JournalClosed(f"{self.url} was closed; open it again")
        self._torn = 0
        if self._appender is not None:
            self._checked = self._appender.position
            return
        with understood(self.url):
            self._reopen_if_replaced()
            if self._fd < 0:
                return
            if self._checked is None:
                self._checked = read_header(os.pread(self._fd, BLOCK, 0), self.url)
            if self._checked is not None:
                self._checked, tail = self._check(self._checked)
                self._torn = len(tail)

    def _check(self, start: Position) -> tuple[Position, bytes]:
        """Check from ``start`` on; once more where an owner changed the file meanwhile: it may have cut a torn tail."""
        for _ in range(_LOOKS):
            size = os.fstat(self._fd).st_size
            try:
                return check(self._fd, start, self.url)
            except JournalDamaged:
                if os.fstat(self._fd).st_size == size:
                    raise
        return check(self._fd, start, self.url)

    def _reopen_if_replaced(self) -> None:
        """Follow the path: a journal that was compacted or restored is another file."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            status = None
        if self._fd >= 0 and (
            status is None or status.st_ino != self._inode or (self._checked and status.st_size < self._checked[0])
        ):
            os.close(self._fd)
            self._fd, self._checked = -1, None
            self._indexes.clear()
            self._spans = Spans()
        if self._fd < 0 and status is not None:
            self._fd = open_readable(self.path, self.url)
            self._inode = os.fstat(self._fd).st_ino

    def _index(self, run: str) -> Index:
        self._refresh()
        end = self._checked.offset if self._checked is not None else HEADER_LENGTH
        index = self._indexes.get(run)
        if index is not None and (index.owned or index.end == end):
            return index
        try:
            with understood(self.url):
                if index is None:
                    index = self._indexes[run] = Index(run)
                    index.read_span(self._fd, self._spans.of(run, self._fd, end), end)
                else:
                    index.read(self._fd, end)
        except BaseException:
            self._indexes.pop(run, None)  # it may know half of what it was to read
            raise
        return index

    def _lines(self, after: int = 0) -> Iterator[bytes]:
        """Yield the lines, from where no seq greater than ``after`` can have been before, for whoever asks often."""
        known, inode = self._checked, self._inode
        self._refresh()
        end = self._checked.offset if self._checked else 0
        begin = known.offset if known is not None and known.seq <= after and inode == self._inode else HEADER_LENGTH
        offset, rest = begin, b""
        while offset < end:
            block = os.pread(self._fd, min(BLOCK, end - offset), offset)
            offset += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from lines

    def runs(self) -> list[str]:
        """Return the names of the runs, oldest first."""
        with understood(self.url):
            lines = (line for line in self._lines() if b',"created":"",' in line)
            return list(dict.fromkeys(entry.run for line in lines for entry in entries_on(line)))

    def entries(self, run: str | None = None, after: int = 0) -> Iterator[Entry]:
        """Iterate the entries with a greater seq than ``after``, oldest first, each one checked."""
        with understood(self.url):
            for line in self._lines(after):
                for entry in entries_on(line):
                    if entry.seq > after and run in (None, entry.run):
                        yield entry

    def latest(self, run: str, kind: str, key: str = "") -> Entry | None:
        """Return the newest entry of a kind and key."""
        offset = self._index(run).named.get((kind, key))
        with understood(self.url):
            return None if offset is None else next(entries_on(line_at(self._fd, offset)))

    def newest(self, run: str) -> Entry | None:
        """Return the newest entry of a run."""
        index = self._index(run)
        if index.owned:
            return next(iter(deque(self.entries(run), maxlen=1)), None)
        with understood(self.url):
            return list(entries_on(index.newest))[-1] if index.newest else None

    def holder(self, run: str) -> dict[str, Any] | None:  # noqa: ARG002  # the whole file has one writer
        """Return host, pid and start of the process that can write to the file now, None if there is none."""
        return holder(self.path, 0)

    def torn(self) -> int:
        """Return how many bytes of an unfinished last commit the next owner will cut off."""
        self._refresh()
        return self._torn

    def keys(self, run: str, fate: str) -> Iterator[str]:
        """Iterate the keys whose fate is ``done`` or ``dead``, in journal order."""
        sign = 1 if fate == "done" else -1
        index = self._index(run)
        if fate == "dead" and not index.dead:
            return iter(())
        return (key for key, mark in list(index.fates.items()) if mark * sign > 0)

    def conclusions(self, run: str, keys: Sequence[str]) -> list[Entry | None]:
        """Return the conclusions of keys, in order; None for a key that has none."""
        index = self._index(run)
        with understood(self.url):
            return index.conclusions(self._fd, list(keys), self._checked.offset if self._checked else HEADER_LENGTH)

    def counts(self, run: str) -> tuple[int, int]:
        """Return how many keys are done, and how many are dead."""
        index = self._index(run)
        return len(index.fates) - index.dead, index.dead

    def open_items(self, run: str) -> dict[str, Tries]:
        """Return the items that were begun or failed and have no conclusion."""
        return dict(self._index(run).open_items)

    def length(self) -> int:
        """Return the number of lines, the header apart."""
        self._refresh()
        end = self._checked.offset if self._checked else 0
        starts = range(0, end, BLOCK)
        return max(0, sum(os.pread(self._fd, min(BLOCK, end - at), at).count(b"\n") for at in starts) - 1)

    def head(self, run: str) -> tuple[str, int, int] | None:
        """Return the journal's id, and seq and sum of the file's newest entry; None where there is no such run."""
        if ("created", "") not in self._index(run).named or self._checked is None:
            return None
        match = HEADER.match(os.pread(self._fd, BLOCK, 0))
        total = os.pread(self._fd, 8, self._checked.offset - SUM_TAIL)
        return None if match is None else (match[2].decode(), self._checked.seq, int(total, 16))

    def verify(self) -> Iterator[Damage]:
        """Check every byte, without writing; what lies behind a damaged place is judged by itself."""
        try:
            yield from examine_jsonl(self.path, self.url).damage
        except FileNotFoundError:
            return
        except JournalUnusable:
            raise
        except JournalError as error:
            yield Damage(self.url, str(error))

    # -- writing -------------------------------------------------------------------------------------------------

    def own(self, run: str, program: str | None = None, shard: Shard = WHOLE) -> JsonlOwner:  # noqa: ARG002
        """Take the run over; the whole file has one appender at a time."""
        appender = self._hold()
        with understood(self.url):
            return JsonlOwner(appender, self._index(run), program, partial(self._indexes.pop, run, None))

    def hold_file(self) -> Position:
        """Own the whole file until `close` and write no entry; return its end. A torn tail is cut as by an owner."""
        return self._hold().position

    def _hold(self) -> Appender:
        if self._appender is None:
            hold = Hold(self.path, 0, f"{self.url} (JSON Lines has one writer a file)")
            try:
                self._appender = self.begin_appending(hold)
            except BaseException:
                hold.release()
                raise
        return self._appender

    def begin_appending(self, hold: Hold | None) -> Appender:
        """Return what appends to the file, which nobody else does; it lets go of ``hold`` when it is closed."""
        try:
            fd = open_private(self.path, os.O_APPEND)
        except OSError as error:
            raise unusable(self.path, error) from error
        try:
            with understood(self.url):
                position = self._recover(fd)
            self._refresh()
        except BaseException:
            os.close(fd)
            raise
        return Appender(self.path, fd, position, self.durability, hold)

    def _recover(self, fd: int) -> Position:
        """Check the file once more under the lock; complete an interrupted creation, cut a torn tail."""
        start = read_header(os.pread(fd, BLOCK, 0), self.url)
        if start is None:
            sync_directory(self.path.parent)  # first: who finds a header goes on, though its writer may have died here
            os.ftruncate(fd, 0)
            journal_id, created = secrets.token_hex(8), time_text(time.time())
            write_all(fd, make_header(journal_id, created))
            try:
                sync_file(fd)
            except BaseException:
                with suppress(OSError):  # the error that came first tells more
                    os.ftruncate(fd, 0)  # else the next try would believe a header that may never reach the disk
                raise
            start = read_header(os.pread(fd, BLOCK, 0), self.url)
            if start is None:
                raise JournalReadOnly(f"{self.url} does not give back what was written to it; use another file system")
            return start
        known = self._checked if self._checked is not None and os.fstat(fd).st_ino == self._inode else start
        position, tail = check(fd, known, self.url)
        if size := os.fstat(fd).st_size - position.offset:
            aside = keep_aside(self.path, tail, "torn")
            os.ftruncate(fd, position.offset)
            sync_file(fd)
            self.notes.append(f"{self.url}: its last commit was torn; {size} bytes were cut and kept in {aside.name}")
        sync_file(fd)  # what "process" left unsynced: the next line will say that all before it is durable
        return position

    def close(self) -> None:
        """Close the journal; every owner is released."""
        self._closed = True
        appender, self._appender = self._appender, None
        fd, self._fd = self._fd, -1
        try:
            if appender is not None:
                appender.close()
        finally:
            if fd >= 0:
                os.close(fd)
