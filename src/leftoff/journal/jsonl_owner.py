"""Who writes a JSON Lines journal: the appender of the file, and the owner of each run.

1. A line is built from what was committed before it: offset, running CRC and seq move together, under one lock.
2. Nothing is acknowledged before `write` returned whole and, with "power", the file was synced.
3. After any error of `write` or sync the appender is poisoned: the commit is in doubt, only reopening can tell.
4. Before each commit: same process, file still has a name, and is exactly as long as we left it.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from json.encoder import encode_basestring
from pathlib import Path
from typing import Final

from leftoff.errors import ForkedHandle, JournalClosed, JournalError, JournalInDoubt, JournalLost, OwnershipLost
from leftoff.journal.entry import (
    CONCLUSIONS,
    MARK_EVERY,
    NAMED,
    SUPERSEDING,
    Draft,
    Tries,
    count_crashes,
    created,
    fold_open,
    open_mark,
)
from leftoff.journal.jsonl_index import Index, line_at
from leftoff.journal.jsonl_scan import Position, entries_on, seal
from leftoff.journal.lock import Hold, owner_value
from leftoff.journal.memory import tally
from leftoff.journal.names import Names
from leftoff.journal.store import Durability, Mark
from leftoff.journal.sync import FULL, full, sync_file, unusable

_SYNC_PAUSE: Final = 0.005  # seconds between two syncs with "process"; measured: without it a fifth slower
_FIRST_TRY: Final = Tries(begun=True)
_MORE: Final = ',"more":1,"sum":"'
_LAST: Final = ',"sum":"'


class Appender:
    """Append commits to the one file, for all owners of this process."""

    def __init__(self, path: Path, fd: int, position: Position, durability: Durability, hold: Hold | None) -> None:
        """Take over the open descriptor, its checked end and the lock, None where there are no locks to be had."""
        self.path = path
        self.fd = fd
        self.offset, self._crc, self.seq = position
        self.power = durability == "power"
        self.not_before = 0.0  # seconds since 1970: no entry's time may lie before it; 0 leaves that to the clock
        self._hold = hold
        self.lock = threading.Lock()
        self._pid = os.getpid()
        self._names = Names({str(path): os.fstat(fd).st_ino})
        self._poison: JournalError | None = None
        self._second, self._second_text = -1, ""
        self._synced = self.offset
        self._stop = threading.Event()
        self._syncer: threading.Thread | None = None

    @property
    def position(self) -> Position:
        """The end of the last commit."""
        with self.lock:
            return Position(self.offset, self._crc, self.seq)

    def guard(self) -> None:
        """Raise whatever makes the next commit impossible or unsafe."""
        if self._poison is not None:
            raise self._poison
        if os.getpid() != self._pid:
            raise ForkedHandle(f"{self.path} was opened before a fork; open it again in this process")
        if self.power:
            lost, size = self._names.lost() is not None, os.lseek(self.fd, 0, os.SEEK_END)
        else:  # where nothing is synced at once, fstat is the quicker
            status = os.fstat(self.fd)
            lost, size = status.st_nlink == 0, status.st_size
        if lost:
            self.poison(
                JournalLost(f"{self.path} was deleted or replaced while it was open; put it back or start again")
            )
        if size != self.offset:
            self.poison(
                OwnershipLost(
                    f"{self.path} was written by somebody else while it was open; nothing more is written to it"
                )
            )

    def poison(self, error: JournalError) -> None:
        """Refuse all further work with this error."""
        self._poison = error
        raise error

    def append(self, lines: Sequence[tuple[str, int]]) -> list[int]:
        """Write one commit, given the middle of each line and its number of entries; return the lines' offsets.

        Call it with the lock held.
        """
        self.guard()
        commit, crc, seq = self.offset, self._crc, self.seq + 1
        now = time.time()
        if self.not_before:
            now = self.not_before = max(now, self.not_before)
        second = int(now)
        if second != self._second:
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        synced = "" if self.power else f',"synced":{self._synced}'
        lead = f',"commit":{commit}{synced},"at":"{self._second_text}.{int((now - second) * 1000):03d}Z",'
        data, offsets, last = b"", [], len(lines) - 1
        for number, (middle, entries) in enumerate(lines):
            body = f'{{"seq":{seq}{lead}{middle}{_MORE if number < last else _LAST}'.encode()
            line, crc = seal(body, crc)
            offsets.append(commit + len(data))
            data += line
            seq += entries
        self._write(data)
        self.offset, self._crc, self.seq = commit + len(data), crc, seq - 1
        return offsets

    def _write(self, data: bytes) -> None:
        if not self.power and self._syncer is None:
            self._start_syncing()
        try:
            if os.write(self.fd, data) != len(data):
                # A disk or a file limit that is just reached. The rest would be a second write, torn from the first.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301  # one way out for all errors
            if self.power:
                sync_file(self.fd)
        except OSError as error:
            raise self.fail("a commit", error) from error

    def _start_syncing(self) -> None:
        try:
            self._syncer = threading.Thread(target=self._sync_on, name="leftoff-sync", daemon=True)
            self._syncer.start()
        except RuntimeError as error:  # a limit of the process or of memory
            self._syncer = None
            raise unusable(self.path, OSError(None, str(error))) from error

    def fail(self, what: str, error: OSError | MemoryError) -> JournalError:
        """Refuse all further work, as a commit or a sync failed; return the error that says so."""
        if isinstance(error, OSError) and error.errno in FULL:
            self._poison = full(self.path)
        else:
            why = error.strerror if isinstance(error, OSError) else "out of memory"
            self._poison = JournalInDoubt(
                f"{self.path}: {what} failed ({why}) and may or may not be durable; start again to find out"
            )
        return self._poison

    def _sync_on(self) -> None:
        """Sync what was written, again and again: a power failure costs milliseconds of work."""
        while not self._stop.wait(_SYNC_PAUSE if self._synced < self.offset else 10 * _SYNC_PAUSE):
            target = self.offset
            if target == self._synced:
                continue
            try:
                sync_file(self.fd)
            except OSError as error:
                self.fail("a sync", error)
                return
            self._synced = target
            if self._names.lost() is not None:
                self._poison = JournalLost(
                    f"{self.path} was deleted or replaced while it was open; put it back or start again"
                )
                return

    def close(self) -> None:
        """Sync what is left, give the lock up and close."""
        if os.getpid() != self._pid:
            return  # before all else: a lock that another thread held at the fork is held here for ever
        self._stop.set()
        if self._syncer is not None:
            self._syncer.join()
        try:
            if self._synced < self.offset and not self.power and self._poison is None:
                sync_file(self.fd)
        except OSError as error:
            raise self.fail("the last sync", error) from error
        finally:
            self._poison = self._poison or JournalClosed(f"{self.path} was closed; open it again")
            os.close(self.fd)
            if self._hold is not None:
                self._hold.release()


class JsonlOwner:
    """Own one run of a JSON Lines journal."""

    connection = None

    def __init__(self, appender: Appender, index: Index, program: str | None, forget: Callable[[], object]) -> None:
        """Write the owner entry, behind the run's header when it is new; ``forget`` is called with the release."""
        self.run = index.run
        self._forget = forget
        self._appender = appender
        self._index = index
        newest = index.named.get(("owner", ""))
        self.epoch = 1 + (next(entries_on(line_at(appender.fd, newest))).epoch if newest is not None else 0)
        index.owned = True
        self._fates = index.fates
        self.open_items = index.open_items
        count_crashes(self.open_items)
        self._ident = f'"run":{encode_basestring(self.run)},"epoch":{self.epoch},"'
        drafts = [] if newest is not None else [created(program)]
        self.commit([*drafts, Draft("owner", "", owner_value("power" if appender.power else "process"))])

    def mark(self, key: str) -> Mark:
        """Return the fate of one key."""
        return self._fates.get(key, 0)

    def marks(self, keys: Sequence[str]) -> list[Mark]:
        """Return the fates of many keys, in order."""
        fates = self._fates
        return [fates.get(key, 0) for key in keys]

    def concluded(self) -> Iterator[tuple[str, Mark]]:
        """Yield nothing: `mark` looks into memory."""
        return iter(())

    def tally(self, met: Iterable[int] | bytearray) -> tuple[int, int]:
        """Return how many of the conclusions whose bit is set are done, and dead."""
        return tally(self._fates.values(), bytes(met))

    def begin(self) -> None:
        """Do nothing: there are no rows of the user's here."""

    def pending(self) -> bool:
        """Return False: there are no rows of the user's here."""
        return False

    def abandon(self) -> None:
        """Do nothing: there are no rows of the user's here."""

    def commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Append the drafts as one commit; return the marks of the done and dead among them."""
        with self._appender.lock:
            try:
                return self._commit(drafts)
            except MemoryError as error:  # what is in the file and what is known of it may have parted
                raise self._appender.fail("a commit", error) from error

    def _commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        index, open_items, fates, marks = self._index, self.open_items, self._fates, []
        if index.since_mark >= MARK_EVERY:
            drafts = [*drafts, self._mark_after(drafts)]
        lines = self._lines(drafts)
        offsets = self._appender.append(lines)
        index.since_mark += len(drafts)
        others = index.places is not None
        for kind, key, value in drafts:
            if kind == "done":
                index.concluded = fates[key] = mark = index.concluded + 1
                marks.append(mark)
                open_items.pop(key, None)
            elif kind == "started" and value is None:
                open_items[key] = _FIRST_TRY
            elif kind == "dead":
                marks.append(index.conclude(kind, key))
                open_items.pop(key, None)
            else:
                others = True
        if others:
            self._learn(drafts, _spread(lines, offsets))
        return marks

    def _learn(self, drafts: Sequence[Draft], offsets: Iterable[int]) -> None:
        """Take in what `commit` leaves out: the places of conclusions, and all other entries."""
        index = self._index
        for (kind, key, value), offset in zip(drafts, offsets, strict=True):
            if kind in CONCLUSIONS:
                if index.places is not None:
                    index.places.append(offset)
                continue
            if kind in NAMED:
                index.named[kind, key] = offset
            elif kind in SUPERSEDING:
                index.conclude(kind, key)
            elif kind == "open":
                index.since_mark = 0
                continue
            if kind != "started" or value is not None:
                fold_open(self.open_items, kind, key, json.loads(value) if value else None)

    def _mark_after(self, drafts: Sequence[Draft]) -> Draft:
        """Draft the `open` entry that holds once ``drafts`` are committed with it."""
        table = dict(self.open_items)
        for kind, key, value in drafts:
            fold_open(table, kind, key, json.loads(value) if value else None)
        return open_mark(table)

    def _lines(self, drafts: Sequence[Draft]) -> list[tuple[str, int]]:
        """Build each line's middle and count its entries: a plain start shares the line of the `done` before it."""
        ident = self._ident
        lines: list[tuple[str, int]] = []
        done = ""
        for kind, key, value in drafts:
            if value is not None:
                text = f'{ident}{kind}":{encode_basestring(key)},"value":{value}'
            elif done and kind == "started":
                lines[-1] = (f'{done},"started":{encode_basestring(key)}', 2)
                done = ""
                continue
            else:
                text = f'{ident}{kind}":{encode_basestring(key)}'
            done = text if kind == "done" else ""
            lines.append((text, 1))
        return lines

    def release(self) -> None:
        """Give the run up, with all that is known of it; the file's lock is the store's and falls when it closes."""
        self._forget()


def _spread(lines: Sequence[tuple[str, int]], offsets: Sequence[int]) -> Iterator[int]:
    """Yield each entry's line offset."""
    for (_, entries), offset in zip(lines, offsets, strict=True):
        for _ in range(entries):
            yield offset
