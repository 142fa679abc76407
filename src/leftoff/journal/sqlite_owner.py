"""The owner of one run of an SQLite journal: what it commits is whole, durable, and only its own.

1. Each owner has a connection of its own, so that several runs of one process never share a transaction.
2. A commit writes the entries and the run's head; the head moves only from where, and in the epoch in which, the owner
   left it.
3. After any error of a commit the owner is poisoned: the commit is in doubt, only reopening can tell.
4. Before each commit: same process, the file and the lock file are still the ones at their paths.
"""

# ruff: noqa: S608  # only constants are joined into SQL
from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol
from zlib import crc32

from leftoff.errors import (
    ForkedHandle,
    JournalBusy,
    JournalClosed,
    JournalError,
    JournalFull,
    JournalInDoubt,
    JournalLost,
    OwnershipLost,
)
from leftoff.journal.chain import FATE_KINDS, ChainOwner, Place
from leftoff.journal.connection import Connection
from leftoff.journal.entry import MARK_EVERY, Draft, count_crashes, created
from leftoff.journal.lock import Hold, owner_value
from leftoff.journal.names import Names, inode_of
from leftoff.journal.rows import IS_FATE, Fetch, Rows, RunRow
from leftoff.journal.sqlite_file import (
    FROM_BELOW,
    SQLITE,
    create_tables,
    damaged,
    read_header,
    translate,
)
from leftoff.journal.store import Durability, Mark
from leftoff.journal.sync import sync_directory, unusable

MARK_SPAN: Final = 65536
"""At most so many entries of the *file* lie between a run's head and its newest `open` entry, other runs' included."""

_INSERT: Final = (
    "INSERT INTO leftoff_entry (seq, run, epoch, at, kind, key, value, value_sum, prev, sum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_RUN: Final = "INSERT INTO leftoff_run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOVE_HEAD: Final = (
    "UPDATE leftoff_run SET seq = ?, sum = ?, mark = ?, done = ?, dead = ?, superseded = ?, row_sum = ?"
    " WHERE run = ? AND epoch = ? AND seq = ?"
)
_MARK: Final = (
    "SELECT seq, epoch, at, CASE kind WHEN 'done' THEN 0 WHEN 'dead' THEN 1 WHEN 'forgotten' THEN 2 ELSE 3"
    " END, value_sum, prev, sum"
    " FROM leftoff_entry INDEXED BY leftoff_fate"
    f" WHERE run = ? AND key = ? AND {IS_FATE.format('')} ORDER BY seq DESC LIMIT 1"
)


def fetch_with(connection: Connection) -> Fetch:
    """Return what runs the owner's own statements on its connection."""
    return lambda sql, parameters: connection.own(sql, parameters).fetchall()


class SqlitePlace(Place, Protocol):
    """Be what an owner needs of its store: where its file is, too."""

    path: Path


class SqliteOwner(ChainOwner):
    """Own one run of an SQLite journal."""

    def __init__(
        self, place: SqlitePlace, connection: Connection, run: str, program: str | None, hold: Hold | None
    ) -> None:
        """Take the run over in one commit.

        Tables and header where they are missing, the next epoch, the owner entry.
        """
        path, durability = place.path, place.durability
        self.run = run
        self._place = place
        self._path = path
        self._name = str(path)
        self._connection = connection
        self._fetch = fetch_with(connection)
        self._pid = os.getpid()
        inode = inode_of(path)
        self._refusal: JournalError | None = None
        self._what = f"the run {run!r} of {path}"
        connection.on_busy = self._translate_busy
        try:
            self._hold = self._take(durability, program, hold)
        except FROM_BELOW as error:
            if isinstance(error, JournalError):
                raise
            raise translate(error, path) from error
        try:
            sync_directory(path.parent)  # SQLite syncs it too, and ignores the error
        except BaseException as error:
            self._hold.release()
            if isinstance(error, OSError):
                raise unusable(path, error) from error
            raise
        log = f"{path}-wal"
        self._names = Names({self._name: inode, log: inode_of(log)})

    def _take(self, durability: Durability, program: str | None, held: Hold | None) -> Hold:
        connection = self._connection
        connection.begin_transaction()
        journal_id = read_header(self._fetch, self._path)
        if journal_id is None:
            journal_id = secrets.token_hex(8)
            create_tables(connection.own, journal_id, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        self._rows = Rows(self._fetch, self._path, journal_id, SQLITE)
        row = self._rows.run(self.run)
        drafts = [] if row else [created(program)]
        if row is None:
            row = self._add_run()
        hold = held or Hold(self._path, row.run, self._what)
        try:
            self._become(row)
            self._write([*drafts, Draft("owner", "", owner_value(durability))])
            connection.end_transaction()
        except BaseException:
            hold.release()
            raise
        return hold

    def _add_run(self) -> RunRow:
        number = self._fetch("SELECT coalesce(max(run), 0) + 1 FROM leftoff_run", ())[0][0]
        first = self._rows.newest_seq() + 1
        row = RunRow(number, self.run, 0, 0, self._rows.salt, first, 0, 0, 0)
        self._connection.own(_ADD_RUN, (*row, row.row_sum(self._rows.salt)))
        return row

    def _become(self, row: RunRow) -> None:
        """Raise the epoch, and know where the run stands."""
        self._row = row
        self.epoch = row.epoch + 1
        moved = row._replace(epoch=self.epoch)
        sql = "UPDATE leftoff_run SET epoch = ?, row_sum = ? WHERE run = ?"
        self._connection.own(sql, (self.epoch, moved.row_sum(self._rows.salt), row.run))
        self._row = moved
        self._next = self._rows.newest_seq() + 1
        self.open_items, self._since_mark = self._rows.open_items(row) if row.seq else ({}, 0)
        count_crashes(self.open_items)

    # -- asking --------------------------------------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """The user's database connection."""
        if self._refusal is not None:
            raise self._refusal
        return self._connection

    def mark(self, key: str) -> Mark:
        """Return the fate of one key."""
        try:
            found = self._connection.own(_MARK, (self._row.run, key)).fetchone()
            if found is None:
                return 0
            seq, epoch, at, code, value_sum, prev, total = found
            text = f"{seq}|{self._row.run}|{epoch}|{at}|{FATE_KINDS[code]}|{value_sum}|{key}"
            fits = crc32(text.encode(), prev) == total
        except FROM_BELOW as error:
            raise self._refusal or translate(error, self._path) from error
        if not fits:
            raise damaged(self._path, f"entry {seq} is not what was written about {key!r}")
        return (seq, -seq, 0, 0)[code]

    # -- the item ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Say that an item begins: from now on the user's rows belong to it."""
        self._connection.begin_item()

    def pending(self) -> bool:
        """Return whether the user has written rows that belong to no committed entry yet."""
        return self._connection.has_rows()

    def abandon(self) -> None:
        """Take back the user's rows since `begin`."""
        connection = self._connection
        if self._refusal is None and os.getpid() == self._pid:
            try:
                connection.undo_transaction()
            except sqlite3.Error as error:
                self._refusal = translate(error, self._path)
                raise self._refusal from error
        connection.end_item()

    def commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Make the drafts and the user's rows durable, all or none.

        Return the marks of the done and dead among them.
        """
        self._guard()
        connection = self._connection
        connection.admit_commit()
        row = self._row
        if self._since_mark >= MARK_EVERY or row.seq - row.mark >= MARK_SPAN:
            drafts = [*drafts, self._mark_after(drafts)]
        if not connection.opened:
            self._begin_transaction()
        try:
            marks = self._write(drafts)
            connection.end_transaction()
        except (*FROM_BELOW, JournalError) as error:
            self._row = row
            raise self._failed(error) from error
        connection.end_item()
        self._fold(drafts)
        return marks

    def _guard(self) -> None:
        """Raise whatever makes the next commit impossible or unsafe."""
        if self._refusal is not None:
            raise self._refusal
        if os.getpid() != self._pid:
            raise ForkedHandle(f"{self._path} was opened before a fork; open it again in this process")
        lost = self._names.lost()
        if lost is not None:
            self._refusal = JournalLost(
                f"{lost} was deleted or replaced while it was open; put it back or start again"
                if lost == self._name
                else f"{lost} was deleted while it was open, by somebody or by a second SQLite library in this process;"
                " nothing more is written: start again"
            )
            raise self._refusal
        self._hold.check()

    def _begin_transaction(self) -> None:
        try:
            self._connection.begin_transaction()
        except FROM_BELOW as error:
            busy = translate(error, self._path)
            if not isinstance(
                busy, JournalBusy
            ):  # nothing was written yet, so waiting for a lock leaves nothing in doubt
                self._refusal = busy
            raise busy from error

    def _translate_busy(self, error: sqlite3.Error) -> BaseException:
        return translate(error, self._path)

    def _write(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Insert the entries and move the head, in the open transaction."""
        before = self._row
        done, dead, superseded = self._account(drafts)
        try:
            lines, marks, mark = self._lines(drafts, range(self._next, self._next + len(drafts)))
            self._connection.own_many(_INSERT, lines)
        except sqlite3.IntegrityError:  # another run of this file has used these numbers
            self._next = self._rows.newest_seq() + 1
            if self._next - before.mark >= MARK_SPAN:
                drafts = [*drafts, self._mark_after(drafts)]
            lines, marks, mark = self._lines(drafts, range(self._next, self._next + len(drafts)))
            self._connection.own_many(_INSERT, lines)
        seq, total = lines[-1][0], lines[-1][-1]
        done, dead, superseded = before.done + done, before.dead + dead, before.superseded + superseded
        row = RunRow(before.run, before.name, before.epoch, seq, total, mark, done, dead, superseded)
        head = (
            seq,
            total,
            mark,
            done,
            dead,
            superseded,
            row.row_sum(self._rows.salt),
            before.run,
            before.epoch,
            before.seq,
        )
        if self._connection.own(_MOVE_HEAD, head).rowcount != 1:
            raise OwnershipLost(f"{self._what} was taken over by another process; nothing of this commit was written")
        self._row = row
        self._next = seq + 1
        return marks

    def _failed(self, error: Exception) -> Exception:
        """Give the transaction up after an error inside a commit; return what to raise."""
        with suppress(sqlite3.Error):
            self._connection.undo_transaction()
        self._connection.end_item()
        cause = error if isinstance(error, JournalError) else translate(error, self._path)
        if cause is not error and not isinstance(cause, JournalFull):
            why = str(error) or "out of memory"
            cause = JournalInDoubt(
                f"{self._path}: a commit failed ({why}) and may or may not be durable; start again to find out"
            )
        self._refusal = cause
        return cause

    def release(self) -> None:
        """Give the run up; rows of an item in hand are taken back."""
        self.give_up(JournalClosed(f"{self._path} was closed; open it again"))

    def give_up(self, refusal: JournalError) -> None:
        """Give the run up, and refuse further work with this error."""
        if isinstance(self._refusal, JournalClosed):
            return
        self._refusal = refusal
        self._place.let_go(self)
        if os.getpid() == self._pid:
            with suppress(sqlite3.Error):
                self._connection.undo_transaction()
            self._connection.close_for_good()
        self._connection.end_item()
        self._hold.release()
