"""Fetch what a search listed: each batch is one request, and one transaction with one set of `done` entries.

1. A batch is fetched before it is started, so what a kill meets while the service answers is nobody's crash and
   nobody's error: it is fetched again, together, and nothing else is.
2. At most one batch is fetched and not stored. What an earlier process began and did not finish goes first, since the
   run takes such items one by one, which would break later batches up.
3. A `done` mark stands beside a row, of `raw` or of `absent`, from the same transaction. Where the row is gone, the
   mark is forgotten and the record fetched again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leftoff.papers.record import Record
from leftoff.papers.tables import now
from leftoff.work.lookup import lookup_pages

if TYPE_CHECKING:
    from leftoff.papers.entrez import Entrez
    from leftoff.papers.searches import Search
    from leftoff.work.run import Run

PAGE = 2_000  # PMIDs read from the list at a time

# Listed, and either not there (any more), or there from before this search and worth another look.
# NOT INDEXED: the index on the list's columns would be read whole for each page. `+`: a column of no type that is
# compared with an INTEGER column is not looked up in its index. Of `raw`, whose rows are long, only those of what was
# revised are read: CASE stops at the first that is so, where AND looks at both sides.
STALE = """
    SELECT listed.pmid FROM listed NOT INDEXED
    LEFT JOIN raw ON raw.source = 'pubmed' AND raw.identifier = +listed.pmid
    LEFT JOIN absent ON absent.source = 'pubmed' AND absent.identifier = +listed.pmid
    WHERE listed.search_id = ? AND listed.id > ? AND listed.id <= ? AND CASE
        WHEN raw.identifier IS NULL OR +listed.pmid IN (
            SELECT identifier FROM raw INDEXED BY raw_deleted WHERE source = 'pubmed' AND deleted_at IS NOT NULL
        ) THEN absent.at IS NULL OR absent.at < ?
        WHEN listed.revised THEN raw.fetched_at < ?
    END
"""


@dataclass(frozen=True)
class Item:
    """Be one listed PMID, with what was fetched of it (None: the service does not send it)."""

    pmid: str
    record: Record | None
    at: str
    source = "pubmed"

    @property
    def identifier(self) -> int:
        """The PMID as the tables hold it."""
        return int(self.pmid)

    @property
    def key(self) -> str:
        """What it is known by in the journal, before and after it was fetched."""
        return key_of(self.pmid)


def key_of(pmid: str | int) -> str:
    """Return the key of a PMID."""
    return f"pmid:{pmid}"


def pmid_of(key: str) -> str:
    """Return the PMID of a key."""
    return key.partition(":")[2]


class Wanted:
    """Iterate what a search listed, within its limit, and is not done; it comes fetched, a batch at a time.

    What is done the loop that iterates this meets a page at a time.
    """

    def __init__(self, run: Run, entrez: Entrez, search: Search, batch: int) -> None:
        self._run = run
        self._connection: sqlite3.Connection = run.connection
        self._entrez = entrez
        self._search = search
        self._batch = batch
        self.last = self._last_wanted()
        row = self._connection.execute(
            "SELECT count(*) FROM listed WHERE search_id = ? AND id <= ?", (search.id, self.last)
        ).fetchone()
        self._length = int(row[0])

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Item]:
        begun = self._begun()
        yield from self._fetched([pmid_of(key) for key in begun])
        walk = self._run.current_walk
        assert walk is not None  # noqa: S101  (a loop iterates this)
        marks_of = lookup_pages(self._run.own())
        ahead: list[str] = []
        for page in self._pages():
            keys = [key for key in page if key not in begun] if begun else page
            ahead += map(pmid_of, walk.meet_page(keys, marks_of(keys)))
            while len(ahead) >= self._batch:
                yield from self._fetched(ahead[: self._batch])
                del ahead[: self._batch]
        yield from self._fetched(ahead)

    def forget_stale(self) -> None:
        """Forget the marks of what is to be fetched again: revised, denied in an earlier search, without its row."""
        search, last = self._search, self._first_wanted() - 1
        while last < self.last:
            stale = self._connection.execute(STALE, (search.id, last, last + PAGE, search.opened_at, search.opened_at))
            keys = [key_of(pmid) for (pmid,) in stale.fetchall()]
            marks = self._run.own().marks(keys)
            if done := [key for key, mark in zip(keys, marks, strict=True) if mark > 0]:  # a dead letter stays one
                self._run.forget(done)
            last += PAGE

    def _first_wanted(self) -> int:
        row = self._connection.execute(
            "SELECT coalesce(min(id), 1) FROM listed NOT INDEXED WHERE search_id = ?", (self._search.id,)
        ).fetchone()
        return int(row[0])

    def _last_wanted(self) -> int:
        most = self._search.most
        row = self._connection.execute(
            "SELECT coalesce(max(id), 0) FROM"
            " (SELECT id FROM listed NOT INDEXED WHERE search_id = ? ORDER BY id LIMIT ?)",
            (self._search.id, -1 if most is None else most),
        ).fetchone()
        return int(row[0])

    def _pages(self) -> Iterator[list[str]]:
        """Iterate the keys of what is listed, a page at a time."""
        last = 0
        while rows := self._connection.execute(
            "SELECT 'pmid:' || pmid, id FROM listed NOT INDEXED WHERE search_id = ? AND id > ? AND id <= ?"
            " ORDER BY id LIMIT ?",
            (self._search.id, last, self.last, PAGE),
        ).fetchall():
            last = rows[-1][1]
            yield [key for key, _ in rows]

    def _begun(self) -> list[str]:
        """Return the keys of what was begun before, not finished, and is listed: less than a batch a kill."""
        return [
            key
            for key in self._run.own().open_items
            if self._connection.execute(
                "SELECT 1 FROM listed WHERE search_id = ? AND pmid = ? AND id <= ?",
                (self._search.id, int(pmid_of(key)), self.last),
            ).fetchone()
        ]

    def _fetched(self, pmids: Sequence[str]) -> Iterator[Item]:
        for first in range(0, len(pmids), self._batch):
            chunk = pmids[first : first + self._batch]
            at = now()  # before the request: a revision during it is not missed
            came = {str(record.identifier): record for record in self._entrez.fetch(chunk)}
            for pmid in chunk:
                yield Item(pmid, came.get(pmid), at)
