"""The SQLite store: the user's tables and our entries in one file.

Reading has a connection of its own, which cannot write and never waits for a writer; who writes is `SqliteOwner`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from leftoff.errors import (
    ForkedHandle,
    JournalClosed,
    JournalError,
    JournalLost,
    JournalMissing,
    JournalReadOnly,
    JournalUnusable,
    OwnershipLost,
)
from leftoff.journal.chain import ChainOwner
from leftoff.journal.connection import Connection, Guarded
from leftoff.journal.entry import Entry, Tries
from leftoff.journal.lock import Hold, holder
from leftoff.journal.names import inode_of
from leftoff.journal.rows import Rows, RunRow
from leftoff.journal.shard import WHOLE, Shard
from leftoff.journal.sqlite_file import (
    BUSY_SECONDS,
    SMALL,
    SQLITE,
    connect_reader,
    damaged,
    read_header,
    refuse_newer,
    set_durability,
    translated,
)
from leftoff.journal.sqlite_owner import SqliteOwner, fetch_with
from leftoff.journal.sqlite_verify import check_all, check_pages, check_schema, drops_commits, examine_sqlite
from leftoff.journal.sqlite_wal import Tail, read_tail, size_of
from leftoff.journal.store import Damage, Durability
from leftoff.journal.sync import open_private, refuse_odd_file, unusable


class SqliteStore:
    """Keep runs in an SQLite database, beside the user's tables."""

    shared = False
    promises = frozenset({"P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9"})

    def __init__(self, path: Path, durability: Durability = "power", *, read_only: bool = False) -> None:
        """Open a journal for reading; a file that does not exist, or holds no tables of ours, is an empty journal.

        Raise `NotAJournal`, `JournalTooNew`, `JournalReadOnly` or `JournalDamaged`.
        """
        refuse_odd_file(path)
        self.url = str(path)
        self.path = Path(os.path.realpath(path))  # one lock file for every name of the database
        self.durability = durability
        self.notes: list[str] = []
        self.busy_seconds = BUSY_SECONDS
        self._read_only = read_only
        self._pid = os.getpid()
        self._closed = False
        self._connection: Guarded | None = None
        self._rows: Rows | None = None
        self._inode = 0
        self._torn = False
        self._owners: dict[str, SqliteOwner] = {}
        self._readers: list[Guarded] = []
        self._looking = threading.RLock()
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    # -- reading -------------------------------------------------------------------------------------------------

    def _look(self) -> Rows | None:
        """Return what reads the journal, None while there is none."""
        if self._closed:
            raise JournalClosed(f"{self.url} was closed; open it again")
        if os.getpid() != self._pid:
            raise ForkedHandle(f"{self.url} was opened before a fork; open it again in this process")
        with self._looking:  # by one thread after the other: what is checked is of one transaction
            return self._look_at(inode_of(self.path))

    def _look_at(self, inode: int) -> Rows | None:
        if self._connection is not None and inode != self._inode:
            self._close_reader()
        if self._rows is None and inode:
            if size_of(str(self.path)):
                self._open(inode)
            elif size_of(f"{self.path}-wal"):  # which SQLite would delete
                raise damaged(self.path, f"the file is empty, and {self.path.name}-wal is not")
        return self._rows

    def _open(self, inode: int) -> None:
        if self._connection is None:
            refuse_newer(self.path)
            with translated(self.path):
                tail = read_tail(f"{self.path}-wal")
                self._connection = connect_reader(self.path)
            self._inode = inode
            if tail is not None:
                self._torn = True
                self._refuse_lost_commits(tail)
        with translated(self.path):
            journal_id = read_header(self._fetch, self.path)
        if journal_id is not None:
            rows = Rows(self._fetch, self.path, journal_id, SQLITE)
            self._check_opened(rows)
            self._rows = rows
        else:
            self._check_without_journal()

    def _refuse_lost_commits(self, tail: Tail) -> None:
        """Raise `JournalDamaged` if SQLite leaves out more of the write-ahead log than a crash can have torn."""
        with translated(self.path):
            journal_id = None if tail.flipped else read_header(self._fetch, self.path)
        rows = None if journal_id is None else Rows(self._fetch, self.path, journal_id, SQLITE)
        if drops_commits(tail, rows) if rows is not None else not tail.torn:
            raise damaged(self.path, f"frame {tail.frame + 1} of {self.path.name}-wal is not what was written")

    def _check_opened(self, rows: Rows) -> None:
        """Check every run's row and head; a small journal whole."""
        with self._one_instant():
            if size_of(str(self.path)) <= SMALL:
                for damage in check_all(self._fetch, rows):
                    raise damaged(self.path, f"{damage.where}: {damage.what}")
                return
            runs = rows.runs()
            for run in runs:
                rows.check_head(run)
            if rows.newest_seq() != max((run.seq for run in runs), default=0):
                raise damaged(self.path, "the newest entry belongs to no run")

    def _check_without_journal(self) -> None:
        """Raise `JournalDamaged` where our tables are missing because the schema was damaged."""
        with self._one_instant():
            for damage in check_schema(self._fetch, self.path):
                raise damaged(self.path, damage.what)
        if size_of(str(self.path)) <= SMALL:
            for damage in check_pages(self._fetch, self.path):
                raise damaged(self.path, damage.what)

    @contextmanager
    def _one_instant(self) -> Iterator[None]:
        """Let all that is read inside be of one instant: another process may commit between two statements."""
        with translated(self.path):
            self._fetch("BEGIN")
            try:
                yield
            finally:
                if self._connection is not None and self._connection.in_transaction:
                    self._fetch("ROLLBACK")

    def _fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if self._connection is None:
            raise JournalClosed(f"{self.url} was closed; open it again")
        return self._connection.execute(sql, parameters).fetchall()

    def rows(self) -> Rows:
        """Return what reads the journal; it exists."""
        rows = self._look()
        if rows is None:
            raise JournalLost(f"{self.url} was deleted or replaced while it was open; put it back or start again")
        return rows

    def _run(self, name: str) -> tuple[Rows, RunRow] | None:
        rows = self._look()
        row = rows.run(name) if rows is not None else None
        return (rows, row) if rows is not None and row is not None else None

    def runs(self) -> list[str]:
        """Return the names of the runs, oldest first."""
        rows = self._look()
        return [run.name for run in rows.runs()] if rows is not None else []

    def entries(self, run: str | None = None, after: int = 0) -> Iterator[Entry]:
        """Iterate the entries with a greater seq than ``after``, oldest first, each one checked."""
        rows = self._look()
        if rows is None:
            return
        runs = rows.runs()
        ids = {row.name: row.run for row in runs}
        if run is None or run in ids:
            last = max((row.seq for row in runs), default=0)
            yield from rows.entries({row.run: row.name for row in runs}, None if run is None else ids[run], after, last)

    def latest(self, run: str, kind: str, key: str = "") -> Entry | None:
        """Return the newest entry of a kind and key."""
        found = self._run(run)
        return found[0].latest(found[1], kind, key) if found else None

    def newest(self, run: str) -> Entry | None:
        """Return the newest entry of a run."""
        found = self._run(run)
        if found is None:
            return None
        rows, row = found
        return next(rows.entries({row.run: row.name}, row.run, row.seq - 1, row.seq), None)

    def holder(self, run: str) -> dict[str, Any] | None:
        """Return host, pid and start of the process that can write to the run at this moment, None if there is none."""
        found = self._run(run)
        return holder(self.path, found[1].run) if found else None

    def torn(self) -> int:
        """Return 0: SQLite itself leaves an unfinished transaction out."""
        return 0

    def keys(self, run: str, fate: str) -> Iterator[str]:
        """Iterate the keys whose fate is ``done`` or ``dead``, in journal order."""
        found = self._run(run)
        if found is None:
            return
        rows, row = found
        if fate == "dead":
            yield from rows.dead(row)
        else:
            for page in rows.conclusions(row, "'done'"):
                yield from (key for key, _ in page)

    def conclusions(self, run: str, keys: Sequence[str]) -> list[Entry | None]:
        """Return the conclusions of keys, in order; None for a key that has none."""
        found = self._run(run)
        return found[0].conclusions_of(found[1], keys) if found else [None] * len(keys)

    def counts(self, run: str) -> tuple[int, int]:
        """Return how many keys are done, and how many are dead."""
        found = self._run(run)
        return (found[1].done, found[1].dead) if found else (0, 0)

    def open_items(self, run: str) -> dict[str, Tries]:
        """Return the items that were begun or failed and have no conclusion."""
        found = self._run(run)
        return found[0].open_items(found[1])[0] if found else {}

    def length(self) -> int:
        """Return the number of entries."""
        rows = self._look()
        return 0 if rows is None else rows.length()

    def head(self, run: str) -> tuple[str, int, int] | None:
        """Return the journal's id, and seq and sum of the run's newest entry; None where there is no such run."""
        found = self._run(run)
        return None if found is None else (found[0].journal_id, found[1].seq, found[1].sum)

    def reader(self) -> sqlite3.Connection:
        """Return a new connection to the database that cannot write, for a source of items beside the loop."""
        self._look()
        if not inode_of(self.path):
            raise JournalMissing(f"{self.url} does not exist yet; it is made when its first run begins")
        with translated(self.path):
            connection = connect_reader(self.path)
        self._readers.append(connection)
        return connection

    def verify(self) -> Iterator[Damage]:
        """Check every byte that can be checked, without writing."""
        try:
            yield from examine_sqlite(self.path, self.url).damage
        except JournalUnusable:
            raise
        except JournalError as error:
            yield Damage(self.url, str(error))

    # -- writing -------------------------------------------------------------------------------------------------

    def own(self, run: str, program: str | None = None, shard: Shard = WHOLE) -> SqliteOwner:  # noqa: ARG002
        """Take the run over, creating database, tables and run where they do not exist.

        A loop of this process that has the run already loses it.
        """
        rows = self._look()
        if self._read_only:
            raise JournalReadOnly(f"{self.url} was opened for reading only; open it without read_only to go on with it")
        if run in self._owners:
            self._owners.pop(run).give_up(
                OwnershipLost(f"the run {run!r} was begun anew in this process; use the newer loop")
            )
        known = rows.run(run) if rows is not None else None
        hold = Hold(self.path, known.run, f"the run {run!r} of {self.url}") if known else None
        try:
            owner = self._take_over(run, program, hold)
        except BaseException:
            if hold is not None:
                hold.release()
            raise
        self._owners[run] = owner
        self._look()
        return owner

    def _take_over(self, run: str, program: str | None, hold: Hold | None) -> SqliteOwner:
        with suppress(FileExistsError):
            os.close(_create(self.path))
        with translated(self.path):
            connection = Connection(str(self.path), timeout=self.busy_seconds)
        try:
            with translated(self.path):
                fetch = fetch_with(connection)
                set_durability(fetch, self.path, power=True)
                if self._torn:
                    # What SQLite left out must not lie behind new frames, where it would look like lost commits.
                    fetch("PRAGMA wal_checkpoint(TRUNCATE)", ())
            owner = SqliteOwner(self, connection, run, program, hold)
            try:
                if self.durability == "process":
                    # Only now: the entry that asks for it is durable, so that a tear is understood.
                    with translated(self.path):
                        set_durability(fetch, self.path, power=False)
            except BaseException:
                owner.release()
                raise
            return owner
        except BaseException:
            connection.close_for_good()
            raise

    def let_go(self, owner: ChainOwner) -> None:
        """Take in that an owner has given its run up."""
        if self._owners.get(owner.run) is owner:
            del self._owners[owner.run]

    def close(self) -> None:
        """Close the store; every owner is released."""
        self._closed = True
        self._close_reader()  # first: who closes last empties the log into the database, and a reader cannot
        for owner in list(self._owners.values()):
            owner.release()

    def _close_reader(self) -> None:
        connections, self._readers = self._readers, []
        if self._connection is not None:
            connections.append(self._connection)
        self._connection = self._rows = None
        if os.getpid() == self._pid:
            for connection in connections:
                connection.close()


def _create(path: Path) -> int:
    """Create the file, private. One that exists is not opened: closing it again would drop SQLite's locks on it."""
    try:
        return open_private(path, os.O_EXCL)
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        raise JournalMissing(f"{path.parent} does not exist; make the folder for {path.name} first") from error
    except OSError as error:
        raise unusable(path, error) from error
