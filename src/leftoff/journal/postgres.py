"""The PostgreSQL store: the user's tables and a schema of ours in one database, for runs on many machines.

1. Reading has a connection of its own, in autocommit and unable to write. It holds the advisory locks of the runs that
   this handle owns, too: no statement of the user's can let go of one.
2. When that connection is lost, it is opened again; a lock that somebody else has meanwhile ends our owner of that run.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg

from leftoff.errors import (
    ForkedHandle,
    JournalBusy,
    JournalClosed,
    JournalError,
    JournalLost,
    JournalMissing,
    OwnershipLost,
)
from leftoff.journal.chain import ChainOwner
from leftoff.journal.entry import Entry, Tries
from leftoff.journal.postgres_connection import Connection, Guarded
from leftoff.journal.postgres_owner import PostgresOwner
from leftoff.journal.postgres_server import (
    INDEXES,
    PATIENCE,
    POSTGRES,
    check_durability,
    connect,
    create_tables,
    read_header,
    translated,
)
from leftoff.journal.rows import Rows, RunRow
from leftoff.journal.rows_verify import check_journal
from leftoff.journal.shard import WHOLE, Shard
from leftoff.journal.store import Damage, Durability, redacted

_SOON = 1.0  # seconds: so long the server may take to notice that a client has died
# From one run to the next by the index: a scan of all entries would make a verification a tenth longer.
_OF_NO_RUN: Final = """WITH RECURSIVE told(run) AS (
  (SELECT min(run) FROM leftoff.entry) UNION ALL
  SELECT (SELECT min(run) FROM leftoff.entry WHERE entry.run > told.run) FROM told WHERE told.run IS NOT NULL)
SELECT (SELECT min(seq) FROM leftoff.entry WHERE entry.run = told.run), run FROM told
WHERE run IS NOT NULL AND run NOT IN (SELECT run FROM leftoff.run)"""


class PostgresStore:
    """Keep runs in a PostgreSQL database, beside the user's tables."""

    shared = False
    promises = frozenset({"P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9"})

    def __init__(self, url: str, durability: Durability = "power") -> None:
        """Open a journal for reading; a database without our schema is an empty journal.

        Raise `JournalUnreachable`, `DurabilityUnavailable`, `NotAJournal`, `JournalTooNew` or `JournalDamaged`.
        """
        self.url = redacted(url)
        self.durability = durability
        self.notes: list[str] = []
        self._given = url
        self._pid = os.getpid()
        self._closed = False
        self._rows: Rows | None = None
        self._owners: dict[str, PostgresOwner] = {}
        self._held: set[int] = set()
        self._readers: list[Guarded] = []
        self._connection = connect(Guarded, url, reading=True)
        try:
            check_durability(self.fetch, self.url, durability)
            rows = self._look()
            if rows is not None:
                rows.runs()
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
        if self._rows is None:
            journal_id = read_header(self.fetch, self.url)
            if journal_id is not None:
                self._rows = Rows(self.fetch, self.url, journal_id, POSTGRES)
        return self._rows

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask through the store's own connection; where it was lost, reconnect and ask again."""
        with translated(self.url):
            return self._ask(sql, parameters).fetchall()

    def _ask(self, sql: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        if self._closed:
            raise JournalClosed(f"{self.url} was closed; open it again")
        try:
            return self._connection.own(sql, parameters)
        except psycopg.OperationalError:
            if not self._connection.closed or os.getpid() != self._pid:
                raise
        self._reopen()
        return self._connection.own(sql, parameters)

    def _reopen(self) -> None:
        self._connection = connect(Guarded, self._given, reading=True, patience=PATIENCE)
        self._held.clear()
        for name, owner in list(self._owners.items()):
            self._hold_again(name, owner)

    def _hold_again(self, name: str, owner: PostgresOwner) -> None:
        """Take a lock again that fell with our connection; the server may not have noticed yet."""
        end = time.monotonic() + PATIENCE
        while not self._try_hold(owner._row.run):
            rows = self._connection.own("SELECT epoch FROM leftoff.run WHERE run = ?", (owner._row.run,)).fetchall()
            if rows != [(owner.epoch,)] or time.monotonic() >= end:
                owner.give_up(OwnershipLost(f"the run {name!r} of {self.url} was taken over by another process"))
                return
            time.sleep(0.05)

    def rows(self) -> Rows:
        """Return what reads the journal; it exists."""
        rows = self._look()
        if rows is None:
            raise JournalLost(f"the schema leftoff of {self.url} was dropped while it was open; start again")
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
        chosen = [row for row in rows.runs() if run in (None, row.name)]
        each = [rows.entries({row.run: row.name}, row.run, after, row.seq) for row in chosen]
        yield from heapq.merge(*each, key=lambda entry: entry.seq)

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
        if found is None:
            return None
        held = self.fetch(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint ="
            " hashtext('leftoff')::bigint & 4294967295 AND objid::bigint = ? AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())",
            (found[1].run,),
        )
        owner = found[0].latest(found[1], "owner", "") if held else None
        return None if owner is None else dict(owner.value)

    def torn(self) -> int:
        """Return 0: PostgreSQL itself leaves an unfinished transaction out."""
        return 0

    def size(self) -> int:
        """Return the bytes of the journal's tables and indexes."""
        sql = (
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c WHERE c.relkind = 'r'"
            " AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'leftoff')"
        )
        return int(self.fetch(sql)[0][0])

    def exists(self) -> bool:
        """Return whether the database holds a journal."""
        return self._look() is not None

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

    def reader(self) -> Guarded:
        """Return a new connection to the database that cannot write, for a source of items beside the loop."""
        self._look()
        connection = connect(Guarded, self._given)
        self._readers.append(connection)
        with translated(self.url):
            connection.own("SET default_transaction_read_only = on")
        return connection

    def verify(self) -> Iterator[Damage]:
        """Check every row, without writing: its sums, the chain of its run, the run's head and numbers."""
        try:
            yield from self._check()
        except JournalError as error:
            yield Damage(self.url, str(error))

    def _check(self) -> list[Damage]:
        """Check what the journal holds at one instant, whoever writes to it meanwhile."""
        rows = self._look()
        if rows is None:
            return []
        while True:
            with translated(self.url):
                self._ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection = self._connection
            try:
                found = list(check_journal(rows, by_run=True))
                for seq, run in self.fetch(_OF_NO_RUN):
                    found.append(Damage(f"entry {seq}", f"it belongs to run {run}, which does not exist"))
            finally:
                if not connection.closed:
                    connection.own("ROLLBACK")
            if connection is self._connection:  # else it was lost, and with it the instant
                return found

    # -- writing -------------------------------------------------------------------------------------------------

    def own(self, run: str, program: str | None = None, shard: Shard = WHOLE) -> PostgresOwner:  # noqa: ARG002
        """Take the run over, creating schema and run where they do not exist.

        A loop of this process that has the run already loses it.
        """
        self._look()
        if run in self._owners:
            self._owners.pop(run).give_up(
                OwnershipLost(f"the run {run!r} was begun anew in this process; use the newer loop")
            )
        owner = self._owners[run] = PostgresOwner(self, run, program)
        self._look()
        return owner

    def connect_user(self, patience: float = 0.0) -> Connection:
        """Open a connection for the user's rows and our commits."""
        return connect(Connection, self._given, patience=patience)

    def connect_whole(self) -> Guarded:
        """Open a connection that changes the journal as a whole, and asks through its indexes."""
        return connect(Guarded, self._given, reading=True)

    def length(self) -> int:
        """Return the number of entries."""
        rows = self._look()
        return 0 if rows is None else rows.length()

    def head(self, run: str) -> tuple[str, int, int] | None:
        """Return the journal's id, and seq and sum of the run's newest entry; None where there is no such run."""
        found = self._run(run)
        return None if found is None else (found[0].journal_id, found[1].seq, found[1].sum)

    def ensure_journal(self, connection: Connection) -> str:
        """Create the journal where there is none, all of it in one transaction; return its id."""
        journal_id = read_header(lambda sql, given: connection.own(sql, given).fetchall(), self.url)
        if journal_id is not None:
            return journal_id
        connection.own("BEGIN")
        connection.own("SELECT pg_advisory_xact_lock(hashtext('leftoff'), 0)")
        journal_id = read_header(lambda sql, given: connection.own(sql, given).fetchall(), self.url)
        if journal_id is None:
            journal_id = create_tables(connection.own, INDEXES)
        connection.end_transaction()
        return journal_id

    def hold(self, run: int, name: str) -> None:
        """Take the lock of a run, or raise `JournalBusy`; a dead client's falls as soon as the server notices."""
        end = time.monotonic() + _SOON
        while not self._try_hold(run):
            if time.monotonic() >= end:
                raise JournalBusy(f"the run {name!r} of {self.url} is owned by {self._who(name)}")
            time.sleep(0.02)

    def _try_hold(self, run: int) -> bool:
        with translated(self.url):
            got = self._connection.own(
                "SELECT pg_try_advisory_lock(hashtext('leftoff'), ?::integer)", (run,)
            ).fetchone()
        if got is not None and got[0]:
            self._held.add(run)
            return True
        return False

    def _who(self, name: str) -> str:
        owner = self.latest(name, "owner")
        who = owner.value if owner is not None else {}
        return (
            f"process {who.get('pid')} on {who.get('host')} since {who.get('start')}; wait for it to end or stop it"
            if who
            else "another process; wait for it to end or stop it"
        )

    def unhold(self, run: int) -> None:
        """Give the lock of a run up; with its connection it is gone anyway."""
        if run in self._held:
            self._held.discard(run)
            if not self._connection.closed and os.getpid() == self._pid:
                try:
                    self._connection.own("SELECT pg_advisory_unlock(hashtext('leftoff'), ?::integer)", (run,))
                except psycopg.Error:
                    self._connection.close_for_good()

    def let_go(self, owner: ChainOwner) -> None:
        """Take in that an owner has given its run up."""
        if self._owners.get(owner.run) is owner:
            del self._owners[owner.run]

    def close(self) -> None:
        """Close the store; every owner is released."""
        for owner in list(self._owners.values()):
            owner.release()
        self._closed = True
        for connection in (*self._readers, self._connection):
            connection.close_for_good()
        self._readers.clear()
        self._rows = None

    def require(self) -> None:
        """Raise `JournalMissing` where the database holds no journal."""
        if not self.exists():
            self.close()
            raise JournalMissing(f"there is no journal in {self.url}")
