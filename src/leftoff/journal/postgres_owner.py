"""The owner of one run of a PostgreSQL journal: what it commits is whole, durable, and only its own.

1. A commit is one statement: it writes the entries and moves the run's head, and fails as a whole if the head does not
   stand where, and in the epoch in which, the owner left it.
2. A connection lost in a commit leaves it in doubt. The owner then takes the run over from itself: raising the epoch
   waits for whatever the lost session still does, and forbids it the rest. Only then is the head looked at.
3. What was not committed is sent again if all of it was ours; rows of the user's cannot be, so their item is given
   back.
"""

# ruff: noqa: S608  # only constants are joined into SQL
from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol
from zlib import crc32

import psycopg

from leftoff.errors import (
    ForkedHandle,
    JournalClosed,
    JournalError,
    JournalUnreachable,
    OwnershipLost,
    TransactionEnded,
)
from leftoff.journal.chain import FATE_KINDS, ChainOwner, Place
from leftoff.journal.entry import CONCLUSIONS, MARK_EVERY, Draft, count_crashes, created
from leftoff.journal.lock import owner_value
from leftoff.journal.postgres_connection import Connection
from leftoff.journal.postgres_server import POSTGRES, damaged, translate, translated
from leftoff.journal.rows import IS_FATE, Fetch, Rows, RunRow
from leftoff.journal.store import Mark

_FRESH: Final = 1.0  # seconds: numbers that were taken ahead are used so long, so that seq follows time over all runs
_REMEMBERED: Final = 100_000  # keys of a run that began with this owner, for whose fate no round trip is paid
_ADD_RUN: Final = "INSERT INTO leftoff.run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_NUMBERS: Final = "ARRAY(SELECT nextval('leftoff.seq') FROM generate_series(1, ?))"
_COMMIT: Final = (
    "WITH moved AS (UPDATE leftoff.run SET seq = ?, sum = ?, mark = ?, done = ?, dead = ?, superseded = ?, row_sum = ?"
    " WHERE run = ? AND epoch = ? AND seq = ? RETURNING 1), put AS (INSERT INTO leftoff.entry"
    " (run, epoch, at, seq, kind, key, value, value_sum, prev, sum) SELECT ?, ?, ?, line.* FROM unnest(?::bigint[],"
    " ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[]) AS line)"
    " SELECT 1 / (SELECT count(*) FROM moved), set_config('synchronous_commit', CASE WHEN"
    f" current_setting('synchronous_commit') = 'off' THEN 'on' ELSE"
    f" current_setting('synchronous_commit') END, true), {_NUMBERS}"
)
_MARK: Final = (
    "SELECT seq, epoch, at, CASE kind WHEN 'done' THEN 0 WHEN 'dead' THEN 1 WHEN 'forgotten' THEN 2 ELSE 3 END,"
    f" value_sum, prev, sum FROM leftoff.entry WHERE run = ? AND {POSTGRES.one_key('')[0]} AND {IS_FATE.format('')}"
    " ORDER BY seq DESC LIMIT 1"
)


class PostgresPlace(Place, Protocol):
    """Be what an owner needs of its store."""

    url: str

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask through the store's own connection, reconnecting where it was lost."""

    def connect_user(self, patience: float = 0.0) -> Connection:
        """Open a connection for the user's rows and our commits."""

    def ensure_journal(self, connection: Connection) -> str:
        """Create the journal where there is none; return its id."""

    def hold(self, run: int, name: str) -> None:
        """Take the lock of a run, or raise `JournalBusy`."""

    def unhold(self, run: int) -> None:
        """Give the lock of a run up."""


class PostgresOwner(ChainOwner):
    """Own one run of a PostgreSQL journal."""

    def __init__(self, place: PostgresPlace, run: str, program: str | None) -> None:
        """Take the run over in one commit, creating journal and run where they do not exist."""
        self.run = run
        self._place: PostgresPlace = place
        self._url = place.url
        self._pid = os.getpid()
        self._refusal: JournalError | None = None
        self._wanted: RunRow | None = None  # the head that the last commit asked for, and its marks
        self._wanted_marks: list[Mark] = []
        self._fates: dict[str, Mark] | None = None  # all that the run ever concluded, while that is little
        self._numbers: list[int] = []
        self._numbers_at = 0.0
        self._connection = place.connect_user()
        try:
            with translated(self._url):
                self._rows = Rows(self._fetch, self._url, place.ensure_journal(self._connection), POSTGRES)
                self._take(program)
        except BaseException:
            self._connection.close_for_good()
            raise

    @property
    def _fetch(self) -> Fetch:
        return lambda sql, parameters: self._connection.own(sql, parameters).fetchall()

    # -- taking over ---------------------------------------------------------------------------------------------

    def _take(self, program: str | None) -> None:
        known = self._rows.run(self.run)
        if known is not None:
            self._place.hold(known.run, self.run)
        number = known.run if known is not None else 0
        try:
            self._begin()
            row, first = (self._lock_row(), []) if known is not None else self._add_run(program)
            number = row.run
            if not row.done + row.dead + row.superseded:
                self._fates = {}
            self.epoch = row.epoch
            self.open_items, self._since_mark = self._rows.open_items(row) if row.seq else ({}, 0)
            count_crashes(self.open_items)
            self._become(row, first)
        except BaseException:
            if number:
                self._place.unhold(number)
            raise

    def _begin(self) -> None:
        self._connection.own("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._connection.own("SET LOCAL lock_timeout = '30s'")

    def _lock_row(self) -> RunRow:
        """Return the run's row, behind whatever a session of its last owner still does to it."""
        self._connection.own("SELECT 1 FROM leftoff.run WHERE name = ? FOR UPDATE", (self.run,))
        row = self._rows.run(self.run)
        if row is None:
            raise OwnershipLost(f"the run {self.run!r} of {self._url} is gone; start again")
        return row

    def _add_run(self, program: str | None) -> tuple[RunRow, list[Draft]]:
        self._connection.own("SELECT pg_advisory_xact_lock(hashtext('leftoff'), 0)")
        if self._rows.run(self.run) is not None:  # somebody was quicker
            row = self._lock_row()
            self._place.hold(row.run, self.run)
            return row, []
        number = self._fetch("SELECT coalesce(max(run), 0) + 1 FROM leftoff.run", ())[0][0]
        row = RunRow(number, self.run, 0, 0, self._rows.salt, 1, 0, 0, 0)
        self._connection.own(_ADD_RUN, (*row, row.row_sum(self._rows.salt)))
        self._place.hold(number, self.run)
        return row, [created(program)]

    def _become(self, row: RunRow, first: Sequence[Draft]) -> None:
        """Raise the epoch and say who owns the run now, in the open transaction; commit it."""
        self._row = row._replace(epoch=row.epoch + 1)
        self.epoch = self._row.epoch
        self._connection.own(
            "UPDATE leftoff.run SET epoch = ?, row_sum = ? WHERE run = ?",
            (self.epoch, self._row.row_sum(self._rows.salt), row.run),
        )
        self._write([*first, Draft("owner", "", owner_value(self._place.durability))])
        self._connection.end_transaction()
        self._since_mark += 1 + len(first)

    def _reconnect(self, wanted: RunRow | None = None) -> bool:
        """Take the run over from ourselves after a lost connection; return whether the wanted head was committed."""
        left, item = self._row, self._connection
        item.close_for_good()
        try:
            with translated(self._url):
                self._place.fetch("SELECT 1")  # its connection, and the lock, first
                if self._refusal is not None:
                    raise self._refusal
                self._connection = self._place.connect_user(patience=30.0)
                self._connection.thread, self._connection.in_item = item.thread, item.in_item
                self._begin()
                row = self._lock_row()
                if row.epoch != self.epoch:
                    raise self._lost()
                committed = wanted is not None and (row.seq, row.sum) == (wanted.seq, wanted.sum)
                if not committed and (row.seq, row.sum) != (left.seq, left.sum):
                    raise damaged(self._url, f"the head of the run {self.run!r} is not where its owner left it")
                self._numbers = []
                self._become(row, [])
        except JournalError as error:
            self.give_up(error)  # and the lock: whoever has the run now, or wants it, is not kept out
            raise
        return committed

    def _lost(self) -> OwnershipLost:
        return OwnershipLost(
            f"the run {self.run!r} of {self._url} was taken over by another process; nothing of this commit was written"
        )

    # -- asking --------------------------------------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """The user's database connection; a new one where the last was lost between items."""
        if self._refusal is not None:
            raise self._refusal
        if self._connection.closed and not self._connection.opened and os.getpid() == self._pid:
            self._reconnect()
        return self._connection

    def mark(self, key: str) -> Mark:
        """Return the fate of one key."""
        if self._refusal is not None:
            raise self._refusal
        if self._fates is not None:
            return self._fates.get(key, 0)
        rows = self._place.fetch(_MARK, (self._row.run, *POSTGRES.one_key(key)[1]))
        if not rows:
            return 0
        seq, epoch, at, code, value_sum, prev, total = rows[0]
        text = f"{seq}|{self._row.run}|{epoch}|{at}|{FATE_KINDS[code]}|{value_sum}|{key}"
        if crc32(text.encode(), prev) != total:
            raise damaged(self._url, f"entry {seq} is not what was written about {key!r}")
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
            self._undo()
        connection.end_item()

    def _undo(self) -> None:
        try:
            self._connection.undo_transaction()
        except psycopg.Error:
            self._connection.close_for_good()  # the server undoes what it can no longer be told to

    def commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Make the drafts and the user's rows durable, all or none.

        Return the marks of the done and dead among them.
        """
        if os.getpid() != self._pid:
            raise ForkedHandle(f"{self._url} was opened before a fork; open it again in this process")
        if self._refusal is not None:
            raise self._refusal
        self._connection.admit_commit()
        if self._since_mark >= MARK_EVERY:
            drafts = [*drafts, self._mark_after(drafts)]
        self._end_item_of_lost_connection()
        marks = self._commit(drafts)
        self._connection.end_item()
        self._fold(drafts)
        self._remember(drafts, marks)
        return marks

    def _remember(self, drafts: Sequence[Draft], marks: Sequence[Mark]) -> None:
        """Keep what was concluded, until it is too much; nobody else writes to the run."""
        if self._fates is None:
            return
        given = iter(marks)
        for kind, key, _ in drafts:
            if kind in FATE_KINDS:
                self._fates[key] = next(given) if kind in CONCLUSIONS else 0
        if len(self._fates) > _REMEMBERED:
            self._fates = None

    def _commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Write and commit; after a lost connection find out, and send once more what was not committed."""
        again = False
        while True:
            before, opened = self._row, self._connection.opened
            try:
                self._write(drafts)
                if opened:
                    self._connection.end_transaction()
                return self._wanted_marks
            except (psycopg.Error, TransactionEnded) as error:
                wanted, marks, self._row = self._wanted, self._wanted_marks, before
                if not self._connection.closed:
                    raise self._refused(error) from error
                if self._reconnect(wanted):
                    return marks
                if opened or again:
                    raise self._not_committed() from error
            again = True

    def _end_item_of_lost_connection(self) -> None:
        """Reconnect where the connection is known to be lost; raise where it had rows of the user's."""
        if self._connection.closed:
            opened = self._connection.opened
            self._reconnect()
            if opened:
                raise self._not_committed()

    def _not_committed(self) -> JournalUnreachable:
        return JournalUnreachable(
            f"{self._url}: the connection was lost before this was committed; nothing of it is kept, and the item will"
            " be worked on again: start again"
        )

    def _refused(self, error: Exception) -> Exception:
        """Give the transaction up after the server said no: nothing of it was written. Return what to raise."""
        opened = self._connection.opened
        self._undo()
        self._connection.end_item()
        state = getattr(error, "sqlstate", None) or ""
        if state == "22012":  # the head did not move: see _COMMIT
            lost = self._lost()
            self.give_up(lost)
            return lost
        if isinstance(error, TransactionEnded):
            return error
        if opened and state[:2] in ("23", "40"):  # a deferred constraint, a conflict with another transaction
            return TransactionEnded(
                f"the database refused to commit what this item wrote ({error}); nothing of it is kept"
            )
        self._refusal = translate(error, self._url)
        return self._refusal

    def _write(self, drafts: Sequence[Draft]) -> None:
        """Insert the entries and move the head, in one statement."""
        before = self._row
        self._wanted = None  # nothing was sent yet
        done, dead, superseded = self._account(drafts)
        lines, marks, mark = self._lines(drafts, self._take_numbers(len(drafts)))
        seqs, runs, epochs, ats, kinds, keys, values, value_sums, prevs, sums = map(list, zip(*lines, strict=True))
        row = before._replace(
            seq=seqs[-1], sum=sums[-1], mark=mark if before.seq or mark != 1 else seqs[0],
            done=before.done + done, dead=before.dead + dead, superseded=before.superseded + superseded,
        )  # fmt: skip
        head = (row.seq, row.sum, row.mark, row.done, row.dead, row.superseded, row.row_sum(self._rows.salt))
        columns = (seqs, kinds, keys, values, value_sums, prevs, sums)
        self._wanted, self._wanted_marks = row, marks
        found = self._connection.own(
            _COMMIT,
            (*head, row.run, row.epoch, before.seq, runs[0], epochs[0], ats[0], *columns, len(drafts)),
        ).fetchone()
        assert found is not None  # noqa: S101  # a SELECT without FROM has a row
        self._numbers += found[2]
        self._numbers_at = time.monotonic()
        self._row = row

    def _take_numbers(self, count: int) -> list[int]:
        """Return so many numbers that nobody else has: those taken with the last commit, else new ones."""
        if len(self._numbers) < count or time.monotonic() - self._numbers_at > _FRESH:
            self._numbers = self._fetch(f"SELECT {_NUMBERS}", (count,))[0][0]
        taken, self._numbers = self._numbers[:count], self._numbers[count:]
        return taken

    def release(self) -> None:
        """Give the run up; rows of an item in hand are taken back."""
        self.give_up(JournalClosed(f"{self._url} was closed; open it again"))

    def give_up(self, refusal: JournalError) -> None:
        """Give the run up, and refuse further work with this error."""
        if isinstance(self._refusal, JournalClosed):
            return
        self._refusal = refusal
        self._place.let_go(self)
        if os.getpid() == self._pid:
            self._connection.close_for_good()  # the server rolls back
            self._place.unhold(self._row.run)
        self._connection.end_item()
