"""Repair our rows of an SQLite journal, in one transaction; the user's tables stay as they are.

1. The file and its write-ahead log are kept byte by byte before SQLite may write: opening can already empty the log.
2. A row that does not fit by itself is deleted; the chain of its run is continued over it. Nothing is made up.
3. A run's row is computed anew from its entries. Its name is believed if the row's sum then fits, else only when asked.
4. Where SQLite's own pages are damaged nothing is done: rows of the user's may be gone, and only they can tell.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from leftoff.errors import JournalDamaged
from leftoff.journal.entry import FORMAT
from leftoff.journal.rebuilding import keep_original
from leftoff.journal.repairing import Remains
from leftoff.journal.rows import Fetch, Rows, RunRow
from leftoff.journal.rows_compact import rechain, write_drafts
from leftoff.journal.rows_verify import Check, entry_fits
from leftoff.journal.sqlite_file import SCHEMA, SQLITE, connect_reader, damaged, header_sum, translated
from leftoff.journal.sqlite_held import held, many_with, transaction
from leftoff.journal.sqlite_verify import INDEXES, check_all, examine_sqlite, fetch_with, indexed_at_the_end
from leftoff.journal.store import Damage, Examined, Repair

_READ: Final = frozenset(("started", "failed", "released", "open", "owner"))  # values that tell of open items or moves


def plan_sqlite(path: Path, url: str, *, plausible: bool) -> Repair:
    """Return what a repair would keep and lose, without writing."""
    examined = examine_sqlite(path, url)
    if not examined.damage:
        return Repair([], 0, 0, [], [], None)
    _refuse_pages(examined, path, url)
    with translated(path), closing(connect_reader(path)) as reader:
        survey = _Survey(fetch_with(reader), path, examined)
        survey.names(plausible=plausible)
        return survey.told(examined, None)


def repair_sqlite(path: Path, url: str, *, plausible: bool) -> Repair:
    """Keep the original aside and mend the rows; a sound journal is left alone."""
    with held(path, url) as runs:
        examined = examine_sqlite(path, url)
        if not examined.damage:
            return Repair([], 0, 0, [], [], None)
        _refuse_pages(examined, path, url)
        aside = keep_original(path, "damaged")
        with transaction(path, runs) as connection:
            survey = _Survey(fetch_with(connection), path, examined)
            told = survey.told(examined, aside.name)
            survey.mend(connection, survey.names(plausible=plausible), aside.name)
        return told


def _refuse_pages(examined: Examined, path: Path, url: str) -> None:
    for found in examined.damage:
        if found.affects.startswith("SQLite's own pages"):
            raise JournalDamaged(
                f"{url}: SQLite's own pages are damaged ({found.what}), your tables perhaps too; nothing was changed."
                f" Make a new file with: sqlite3 {path} .recover | sqlite3 new.db, look through your tables in it, and"
                " repair that"
            )


class _Survey:
    """Read everything once, and know what can be believed."""

    def __init__(self, fetch: Fetch, path: Path, examined: Examined) -> None:
        self._fetch = fetch
        self._path = path
        self.journal_id = self._header()
        self.rows = Rows(fetch, path, self.journal_id, SQLITE)
        self.lost: list[int] = []
        self.kept = 0
        self._check = Check(self.rows)
        list(self._check.run_rows())  # says again what is damaged there
        self.runs = {run: Remains() for run in self._check.heads}
        self._last = dict.fromkeys(self.runs, (-1, 0))  # sum and seq of the newest entry that is kept
        for page in self._check.pages(""):
            for row in page:
                self._take(row)
        self.lost += self._check.unreadable
        if self._check.unreadable or any("-wal" in found.where for found in examined.damage):
            self._lose([])

    def _header(self) -> str:
        """Return the journal's id: as it reads, if its sum or the first entry's says so, else a new one."""
        found: dict[str, str] = dict(
            self._fetch(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name LIKE 'leftoff!_%' ESCAPE '!' AND sql > ''", ()
            )
        )
        odd = [name for name, sql in found.items() if sql != SCHEMA.get(name)]
        odd += [name for name in SCHEMA if name not in found and name not in INDEXES]
        if odd:
            what = f"the schema is not what leftoff created ({', '.join(odd)}), and that is not repaired"
            raise damaged(self._path, what)
        header = self._fetch("SELECT format, id, created, sum FROM leftoff_journal", ())
        first = self._fetch("SELECT prev FROM leftoff_entry NOT INDEXED ORDER BY seq LIMIT 1", ())
        for version, journal_id, made, total in header:
            fits = header_sum(version, str(journal_id), made) == total
            if fits or (first and crc32(str(journal_id).encode()) == first[0][0]):
                return str(journal_id)
        return secrets.token_hex(8)

    def _take(self, row: tuple[Any, ...]) -> None:
        seq, run, epoch, _, kind, key, value, _, prev, total = row
        certain = run in self.runs and entry_fits(row)
        if not (certain and self._check.value_fits(row)):
            self.lost.append(seq)
            self._lose([(str(kind), str(key))], run if certain else None)
            return
        if prev != self._last[run][0]:
            self.runs[run].lose([])  # something is gone before it; of the first one kept nothing was in hand yet
        self._last[run] = (total, seq)
        self.kept += 1
        self.runs[run].take(kind, key, json.loads(value) if value and kind in _READ else None, epoch)

    def _lose(self, names: list[tuple[str, str]], of: int | None = None) -> None:
        """Tell the run of lost entries, or every run where that is not certain."""
        for run, remains in self.runs.items():
            if of in (None, run):
                remains.lose(names)

    def names(self, *, plausible: bool) -> dict[int, str]:
        """Return the names of the runs. Raise `JournalDamaged` for one that nothing but its own bytes tells."""
        names = {}
        for run, head in self._check.heads.items():
            names[run] = self._check.names[run]
            if head is None and not plausible and not self._is_proven(run):
                raise JournalDamaged(
                    f"{self._path}: the row of run {run} is damaged, and its name reads as {names[run]!r}, which"
                    " nothing else tells; to believe it repair with --plausible. Nothing was changed"
                )
        return names

    def _is_proven(self, run: int) -> bool:
        """Return whether the row's sum fits its name together with numbers that the entries tell."""
        remains, (total, seq) = self.runs[run], self._last[run]
        mark, row_sum = self._fetch("SELECT mark, row_sum FROM leftoff_run WHERE run = ?", (run,))[0]
        numbers = (seq, total, mark, remains.count("done"), remains.count("dead"), remains.superseded)
        row = RunRow(run, self._check.names[run], remains.epoch, *numbers)
        return bool(row.row_sum(self.rows.salt) == row_sum)

    def mend(self, connection: sqlite3.Connection, names: dict[int, str], aside: str) -> None:
        """Change the rows, in the open transaction."""
        many = many_with(connection)
        with indexed_at_the_end(connection):
            many("DELETE FROM leftoff_entry WHERE seq = ?", [(seq,) for seq in self.lost])
        made = self._fetch("SELECT created FROM leftoff_journal", ())
        header = (FORMAT, self.journal_id, str(made[0][0]) if made else "")
        connection.execute("DELETE FROM leftoff_journal")
        connection.execute("INSERT INTO leftoff_journal VALUES (?, ?, ?, ?)", (*header, header_sum(*header)))
        newest = max([self.rows.newest_seq(), *self.lost, *(head.seq for head in self._check.heads.values() if head)])
        for run, remains in self.runs.items():
            drafts = remains.ending(aside)
            numbers = range(newest + 1, newest + 1 + len(drafts))
            newest = numbers[-1]
            counts = (remains.count("done"), remains.count("dead"), remains.superseded)
            head = RunRow(run, names[run], remains.epoch, 0, 0, 0, *counts)
            write_drafts(self.rows, head, rechain(self.rows, head, many), drafts, numbers, many)
        for damage in check_all(self._fetch, self.rows):
            raise JournalDamaged(f"{damage.where}: {damage.what}, also after the repair; nothing was changed")

    def told(self, examined: Examined, aside: str | None) -> Repair:
        """Say what is kept and what is lost."""
        named = self._check.names
        undone = [(named[run], key) for run, remains in self.runs.items() for key in remains.undone]
        renewed = [named[run] for run, remains in self.runs.items() if not remains.has_header]
        return Repair(list(_once(examined.damage)), self.kept, 0, undone, renewed, aside)


def _once(damage: list[Damage]) -> Iterator[Damage]:
    yield from dict.fromkeys(damage)
