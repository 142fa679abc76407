"""Reading rows, each one checked: nothing that a query returned is believed before its checksum was.

1. The database joins the columns that a sum covers into one text, so that a page of rows is checked by calls into C
   alone.
2. The newest of a key's conclusions decides. While a run's ``superseded`` is 0 every conclusion is the newest of its
   key.
3. One flipped bit makes a blob of an SQLite text; joined to an empty text (``||''``) it is the text again, which the
   sum covers.
4. Pages are fetched whole: a statement left open would keep SQLite's write-ahead log from being emptied, and a
   million rows of PostgreSQL in memory.
5. What differs between the databases is a `Dialect`; statements have a ``?`` for each parameter.
"""

# ruff: noqa: S608  # only constants and rows of question marks are joined into SQL; keys and values are parameters
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import eq
from typing import Any, Final, NamedTuple
from zlib import crc32

from leftoff.errors import JournalDamaged, LeftoffError
from leftoff.journal.entry import CONCLUSIONS, Entry, Tries, check_value, fold_open, to_datetime
from leftoff.journal.store import Mark

Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Run one statement with parameters and return all its rows."""

CHUNK: Final = 500  # keys in one question; SQLite once allowed 999 parameters

IS_FATE: Final = "({0}kind = 'done' OR {0}kind = 'dead' OR {0}kind = 'forgotten' OR {0}kind = 'retried')"
_PER_ITEM: Final = ("started", "done", "failed", "released", "forgotten", "retried", "open")
IS_NAMED: Final = " AND ".join(f"kind <> '{kind}'" for kind in _PER_ITEM)
"""What a query must say for the database to use the index of that name: all but the kinds that a run has by the
million."""

_FATES: Final = IS_FATE.format("")
_RUN: Final = "run, name, epoch, seq, sum, mark, done, dead, superseded"


class Dialect(NamedTuple):
    """Be what one database calls the journal's tables, and how it is told to find rows in them."""

    runs: str
    entries: str
    summed: str
    """The columns that an entry's sum covers, joined to one text."""
    by_fate: str
    by_named: str
    by_seq: str
    """Which index to use, where the database wants to be told."""
    newest: str
    """The statement that asks for the newest seq of the whole journal."""
    same_key: str
    """That ``later`` has the key of ``e``."""
    page: int
    """How many rows are read at once."""
    one_key: Callable[[str], tuple[str, tuple[Any, ...]]]
    many_keys: Callable[[Sequence[str]], tuple[str, tuple[Any, ...]]]
    """A condition on the key, and its parameters."""
    translated: Callable[[Any], AbstractContextManager[None]]
    damaged: Callable[[Any, str], JournalDamaged]
    """What errors from below, and bytes that do not fit, mean for the journal at a place."""


class RunRow(NamedTuple):
    """Be a run's row: its head, where reading of its open items may begin, and how many keys have which fate."""

    run: int
    name: str
    epoch: int
    seq: int
    sum: int
    mark: int
    done: int
    dead: int
    superseded: int

    def row_sum(self, salt: int) -> int:
        """Return the checksum of this row, continued from the CRC of the journal's id."""
        run, name, epoch, seq, total, mark, done, dead, superseded = self
        return crc32(f"{run}|{name}|{epoch}|{seq}|{total}|{mark}|{done}|{dead}|{superseded}".encode(), salt)


def value_sum_of(value: str | None) -> int:
    """Return the checksum of an entry's value, 0 without one."""
    return 0 if value is None else crc32(value.encode())


def entry_sum(prev: int, seq: int, run: int, epoch: int, at: int, kind: str, value_sum: int, key: str) -> int:
    """Return the checksum of an entry, continued from that of the run's entry before it."""
    return crc32(f"{seq}|{run}|{epoch}|{at}|{kind}|{value_sum}|{key}".encode(), prev)


def check_rows(rows: Sequence[tuple[Any, ...]], refuse: Callable[[str], JournalDamaged]) -> list[tuple[Any, ...]]:
    """Check rows whose last columns are the summed text, prev and sum; return all columns.

    Raise `JournalDamaged`, naming the entry.
    """
    columns = list(zip(*rows, strict=True))
    texts, prevs, sums = columns[-3:]
    if not all(map(eq, map(crc32, map(str.encode, texts), prevs), sums)):
        rotten = (
            text for text, prev, total in zip(texts, prevs, sums, strict=True) if crc32(text.encode(), prev) != total
        )
        raise refuse(f"the entry {next(rotten)!r} (seq|run|epoch|at|kind|value_sum|key) is not what was written")
    return columns


class Rows:
    """Read the rows of a journal through one connection."""

    def __init__(self, fetch: Fetch, place: Any, journal_id: str, dialect: Dialect) -> None:
        """Read through ``fetch(sql, parameters)``, which returns all rows, from a journal whose header was checked."""
        self.place = place
        self.journal_id = journal_id
        self.salt = crc32(journal_id.encode())
        self.dialect = dialect
        self.fetch = fetch
        columns = f"seq, run, epoch, at, kind||'', key||'', value||'', value_sum, {dialect.summed}, prev, sum"
        self._entries_as_e = f"SELECT {columns} FROM {dialect.entries} AS e"
        self._newest = (
            f" AND NOT EXISTS (SELECT 1 FROM {dialect.entries} AS later{dialect.by_fate} WHERE later.run = e.run"
            f" AND {dialect.same_key} AND {IS_FATE.format('later.')} AND later.seq > e.seq)"
        )

    def damaged(self, what: str) -> JournalDamaged:
        """Return the error for bytes that are not what was written."""
        return self.dialect.damaged(self.place, what)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Let whatever the database, damaged bytes or forged rows raise inside surface as a `JournalError`."""
        with self.dialect.translated(self.place):
            try:
                yield
            except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
                if isinstance(error, LeftoffError):
                    raise
                what = f"{type(error).__name__}: {str(error)[:200]}"
                raise self.damaged(f"a row cannot be understood though its sum fits ({what})") from error

    def runs(self) -> list[RunRow]:
        """Return the rows of all runs, oldest first, checked."""
        return self._runs("ORDER BY run", ())

    def run(self, name: str) -> RunRow | None:
        """Return the row of a run, checked together with its newest entry."""
        found = self._runs("WHERE name = ?", (name,))
        if found:
            self.check_head(found[0])
        return found[0] if found else None

    def _runs(self, clause: str, parameters: tuple[Any, ...]) -> list[RunRow]:
        with self.translated():
            rows = self.fetch(f"SELECT {_RUN}, row_sum FROM {self.dialect.runs} {clause}", parameters)
            found = [RunRow(*row[:-1]) for row in rows]
            for row, run in zip(rows, found, strict=True):
                if run.row_sum(self.salt) != row[-1]:
                    raise self.damaged(f"the row of the run {run.name!r} is not what was written")
                if not all(isinstance(number, int) for number in (run.run, *run[2:])):  # forged: its sum fits
                    raise self.damaged(f"the row of the run {run.name!r} holds something else than numbers")
        return found

    def check_head(self, run: RunRow) -> None:
        """Raise `JournalDamaged` if the run's newest entry is not the one that its row tells of."""
        rows = self._entries(" WHERE run = ? AND seq = ?", (run.run, run.seq))
        if not rows or rows[0][1] != run.run or rows[0][-1] != run.sum:
            raise self.damaged(f"the newest entry of the run {run.name!r} should be seq {run.seq}, and is gone")

    def newest_seq(self) -> int:
        """Return the seq of the file's newest entry, 0 without one."""
        with self.translated():
            return int(self.fetch(self.dialect.newest, ())[0][0])

    def _entries(self, clause: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return rows with the columns of `_ENTRY`, values included, checked."""
        with self.translated():
            rows: list[tuple[Any, ...]] = self.fetch(self._entries_as_e + clause, parameters)
            if rows:
                check_rows(rows, self.damaged)
                for row in rows:
                    if value_sum_of(row[6]) != row[7]:
                        raise self.damaged(f"the value of entry {row[0]} ({row[4]} {row[5]!r}) is not what was written")
        return rows

    def entries(self, names: dict[int, str], run: int | None, after: int, last: int) -> Iterator[Entry]:
        """Iterate the entries of one run, or of all, with ``after < seq <= last``."""
        only = "" if run is None else f"AND run = {run} "
        while rows := self._entries(
            f"{self.dialect.by_seq} WHERE seq > ? AND seq <= ? {only}ORDER BY seq LIMIT {self.dialect.page}",
            (after, last),
        ):
            with self.translated():
                page = [self._entry(row, names) for row in rows]
            yield from page
            after = rows[-1][0]

    def length(self) -> int:
        """Return the number of entries of all runs."""
        with self.translated():
            return int(self.fetch(f"SELECT count(*) FROM {self.dialect.entries}", ())[0][0])

    def latest(self, run: RunRow, kind: str, key: str) -> Entry | None:
        """Return the newest entry of a named kind and key."""
        is_key, keys = self.dialect.one_key(key)
        where = f"run = ? AND kind = ? AND {is_key} AND {IS_NAMED} ORDER BY seq DESC LIMIT 1"
        rows = self._entries(f"{self.dialect.by_named} WHERE {where}", (run.run, kind, *keys))
        with self.translated():
            return self._entry(rows[0], {run.run: run.name}) if rows else None

    def open_items(self, run: RunRow) -> tuple[dict[str, Tries], int]:
        """Return the items without conclusion, and how many entries were read to know."""
        table: dict[str, Tries] = {}
        count = 0
        with self.translated():
            for entry in self.entries({run.run: run.name}, run.run, run.mark - 1, run.seq):
                fold_open(table, entry.kind, entry.key, entry.value)
                count += 1
        return table, count

    def _by_seq(self, run: RunRow) -> tuple[str, str]:
        """Return which index leads to a run's conclusions by their seq, and what the query must say for it.

        A small run's are sorted: what the others wrote since it began may be a thousand times as much.
        """
        is_small = run.done + run.dead + 2 * run.superseded < self.dialect.page
        return (self.dialect.by_fate, f" AND {_FATES}") if is_small else (self.dialect.by_seq, "")

    def conclusions(self, run: RunRow, kinds: str = "'done', 'dead'") -> Iterator[list[tuple[str, Mark]]]:
        """Iterate pages of (key, mark) of what is done or dead, in journal order."""
        newest = self._newest if run.superseded else ""
        index, reason = self._by_seq(run)
        where = f"seq > ? AND seq <= ? AND run = ? AND kind IN ({kinds}){reason}{newest}"
        sql = (
            f"SELECT key||'', CASE kind WHEN 'done' THEN seq ELSE -seq END, {self.dialect.summed}, prev, sum FROM"
            f" {self.dialect.entries} AS e{index}"
            f" WHERE {where} ORDER BY seq LIMIT {self.dialect.page}"
        )
        after = 0
        while True:
            with self.translated():
                rows = self.fetch(sql, (after, run.seq, run.run))
                if not rows:
                    return
                keys, marks, *_ = check_rows(rows, self.damaged)
            yield list(zip(keys, marks, strict=True))
            if len(rows) < self.dialect.page:
                return
            after = abs(marks[-1])

    def marks_of(self, run: RunRow) -> Iterator[Mark]:
        """Iterate the marks of what is done or dead, for counting.

        Nothing of a row is believed but that it is there.
        """
        newest = self._newest if run.superseded else ""
        index, reason = self._by_seq(run)
        sql = (
            f"SELECT CASE kind WHEN 'done' THEN seq ELSE -seq END FROM {self.dialect.entries} AS"
            f" e{index} WHERE seq > ? AND seq <= ? AND run = ? AND kind IN ('done', 'dead'){reason}{newest}"
            f" ORDER BY seq LIMIT {self.dialect.page}"
        )
        after = 0
        while True:
            with self.translated():
                rows = self.fetch(sql, (after, run.seq, run.run))
            yield from (mark for (mark,) in rows)
            if len(rows) < self.dialect.page:
                return
            after = abs(rows[-1][0])

    def count_conclusions(self, run: RunRow) -> tuple[int, int]:
        """Return how many entries are done and how many dead, counted in the indexes.

        Exact where nothing was superseded.
        """
        entries = self.dialect.entries
        with self.translated():
            total = self.fetch(
                f"SELECT count(*) FROM {entries}{self.dialect.by_fate} WHERE run = ? AND {_FATES}", (run.run,)
            )
            dead = self.fetch(
                f"SELECT count(*) FROM {entries}{self.dialect.by_named} WHERE run = ? AND kind = 'dead' AND {IS_NAMED}",
                (run.run,),
            )
        return total[0][0] - dead[0][0], dead[0][0]

    def dead(self, run: RunRow) -> list[str]:
        """Return the keys that are dead, oldest first, at a price that depends on the dead alone."""
        if not run.dead:
            return []
        rows = self._entries(
            f"{self.dialect.by_named} WHERE run = ? AND kind = 'dead' AND {IS_NAMED}{self._newest} ORDER BY seq",
            (run.run,),
        )
        return [row[5] for row in rows]

    def marks(self, run: int, keys: Sequence[str]) -> list[Mark]:
        """Return the fates of keys, in order."""
        found: dict[str, Mark] = {}
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            are_keys, parameters = self.dialect.many_keys(chunk)
            sql = (
                f"SELECT key||'', CASE kind WHEN 'done' THEN seq WHEN 'dead' THEN -seq ELSE 0 END,"
                f" {self.dialect.summed}, prev, sum FROM {self.dialect.entries}{self.dialect.by_fate}"
                f" WHERE run = ? AND {are_keys} AND {_FATES} ORDER BY seq"
            )
            with self.translated():
                rows = self.fetch(sql, (run, *parameters))
                if rows:
                    check_rows(rows, self.damaged)
            found.update(row[:2] for row in rows)
        return [found.get(key, 0) for key in keys]

    def conclusions_of(self, run: RunRow, keys: Sequence[str]) -> list[Entry | None]:
        """Return the conclusions of keys, in order; None for a key that has none."""
        found: dict[str, Entry | None] = {}
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            are_keys, parameters = self.dialect.many_keys(chunk)
            clause = f"{self.dialect.by_fate} WHERE run = ? AND {are_keys} AND {_FATES} ORDER BY seq"
            with self.translated():
                for row in self._entries(clause, (run.run, *parameters)):
                    entry = self._entry(row, {run.run: run.name})
                    found[entry.key] = entry if entry.kind in CONCLUSIONS else None
        return [found.get(key) for key in keys]

    def key_count(self, run: RunRow, kind: str) -> int:
        """Count the keys of one fate from the entries themselves."""
        return sum(len(page) for page in self.conclusions(run, f"'{kind}'"))

    def _entry(self, row: tuple[Any, ...], names: dict[int, str]) -> Entry:
        seq, run, epoch, at, kind, key, value = row[:7]
        if run not in names:
            raise self.damaged(f"entry {seq} belongs to run {run}, which does not exist")
        decoded = None if value is None else json.loads(value)
        check_value(kind, decoded)
        return Entry(seq, names[run], kind, key, decoded, to_datetime(at / 1000), epoch)
