"""List what a query finds, durably: each window's PMIDs are stored before any of them is fetched.

1. A window is one `step` of the run: its PMIDs and its mark commit together, and a listing that is begun again asks for
   no window twice.
2. A search is complete when each PMID it listed is accounted for; only then may the next one begin later.
3. A stored PMID is listed as revised only by a modification-date window that is not before the day it was fetched.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from leftoff.papers.log import read
from leftoff.papers.tables import now
from leftoff.papers.windows import REACHED, Hits, Kind, Window, everything, walk

if TYPE_CHECKING:
    from leftoff.papers.client import Entrez
    from leftoff.work.run import Run

OVERLAP = timedelta(days=2)  # the service's day is not ours, and what it adds on a day may appear on the next
KINDS: tuple[Kind, ...] = ("edat", "mdat")
AHEAD = timedelta(days=366)  # windows end in the future: the service's clock need not be ours


class Seen(TypedDict):
    """Be what one window brought: its count, and a day at which it has to be split to say what was revised."""

    count: int
    split: str | None


@dataclass(frozen=True)
class Search:
    """Be one search of a query (empty: of a log), from its opening until everything it listed is accounted for."""

    id: int
    query: str
    since: str | None
    most: int | None
    first_day: date | None
    opened_at: str

    @property
    def opened(self) -> date:
        """The day on which it was opened."""
        return date.fromisoformat(self.opened_at[:10])


def open_search(run: Run, query: str, since: date | None, most: int | None) -> Search:
    """Return the search of this query that was interrupted, else a new one from the last complete day on.

    since: list from this day on in place of the last complete one; most: list no more than this.
    """
    asked = (query, None if since is None else since.isoformat(), most)
    found = _unfinished(run.connection, asked)
    if found is None:
        complete = run.cursor(_position(query)).value
        first = since or (date.fromisoformat(complete) - OVERLAP if complete else None)
        run.connection.execute(
            "INSERT INTO search (query, since, most, first_day, opened_at) VALUES (?, ?, ?, ?, ?)",
            (*asked, None if first is None else first.isoformat(), now()),
        )
        found = _unfinished(run.connection, asked)
        assert found is not None  # noqa: S101  (it was just made)
    return found


def clear_completed(run: Run) -> None:
    """Drop the lists of completed searches; the searches stay."""
    run.connection.execute(
        "DELETE FROM listed WHERE search_id IN (SELECT id FROM search WHERE completed_at IS NOT NULL)"
    )


def list_pmids(run: Run, entrez: Entrez, search: Search) -> None:
    """List everything that the search finds, or as much as it may; return when the list is durable and complete."""
    connection = run.connection
    if connection.execute("SELECT listed_at FROM search WHERE id = ?", (search.id,)).fetchone()[0] is not None:
        return
    all_days = everything(search.opened + AHEAD)
    total: int | None = None
    if search.first_day is not None:
        for kind in KINDS:
            _list_root(run, entrez, search, Window(kind, search.first_day, max(all_days.last, search.first_day)))
        if search.since is None:
            total = run.step(f"count {search.id}", lambda: entrez.count(search.query, replace(all_days, whole=False)))
    shortfall = 0
    if search.first_day is None or _grew_elsewhere(connection, search, total):
        total, shortfall = _list_all(run, entrez, search, all_days)
    connection.execute(
        "UPDATE search SET listed_at = ?, total = ?, shortfall = ? WHERE id = ?", (now(), total, shortfall, search.id)
    )


def list_log(run: Run, path: Path) -> Search:
    """List the papers that a progress log has and the database lacks, as a search of its own.

    Raises FileNotFoundError and JournalDamaged for a file that is no progress log.
    """
    connection = run.connection
    opened_at = now()
    number = connection.execute(
        "INSERT INTO search (query, opened_at, listed_at) VALUES ('', ?, ?)", (opened_at, opened_at)
    ).lastrowid
    search = Search(int(number or 0), "", None, None, None, opened_at)
    run.step(f"list {search.id} log", lambda: _list_log(connection, search, path))
    return search


def _list_log(connection: sqlite3.Connection, search: Search, path: Path) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO listed (search_id, pmid, revised) SELECT ?, ?, 0"
        " WHERE NOT EXISTS (SELECT 1 FROM raw WHERE source = 'pubmed' AND identifier = ?)",
        ((search.id, line["pmid"], line["pmid"]) for line in read(path) if line.get("what") != "absent"),
    )


def shortfall_of(run: Run, search: Search) -> int:
    """Return how many records the service counted in this search and listed in none of its windows."""
    row = run.connection.execute("SELECT coalesce(shortfall, 0) FROM search WHERE id = ?", (search.id,)).fetchone()
    return int(row[0])


def complete(run: Run, search: Search, *, missing: int) -> None:
    """Close the search; if it left no gap, the next of its query begins at the last complete day."""
    run.connection.execute("UPDATE search SET completed_at = ? WHERE id = ?", (now(), search.id))
    if not search.query:
        return
    cursor = run.cursor(_position(search.query))
    gap = search.since is not None and (cursor.value is None or search.since > cursor.value)
    if missing or search.most is not None or gap:
        return
    last_complete = (search.opened - timedelta(days=1)).isoformat()
    if cursor.value is None or cursor.value < last_complete:
        cursor.advance(last_complete)


def _position(query: str) -> str:
    name = query if len(query) <= 200 else hashlib.sha256(query.encode()).hexdigest()
    return f"last complete day of {name}"


def _unfinished(connection: sqlite3.Connection, asked: tuple[str, str | None, int | None]) -> Search | None:
    row = connection.execute(
        "SELECT id, query, since, most, first_day, opened_at FROM search"
        " WHERE query = ? AND since IS ? AND most IS ? AND completed_at IS NULL ORDER BY id DESC LIMIT 1",
        asked,
    ).fetchone()
    if row is None:
        return None
    number, query, since, most, first, opened_at = row
    return Search(number, query, since, most, date.fromisoformat(first) if first else None, opened_at)


def _list_root(run: Run, entrez: Entrez, search: Search, root: Window) -> bool:
    """List the windows of a root; return whether that was all of it, and not just as much as the search may list."""
    for _ in _listed_windows(run, entrez, search, root):
        if search.most is not None and _count(run.connection, search) >= search.most:
            return False
    return True


def _list_all(run: Run, entrez: Entrez, search: Search, root: Window) -> tuple[int, int]:
    """List everything; return how many records the service counts, and how many of them are in none of the windows."""
    whole = _list_root(run, entrez, search, root)
    count = int(_ask(run, entrez, search, root)["count"])
    listed = _count(run.connection, search)
    if not whole or count <= REACHED or listed >= count:
        return count, 0
    again = entrez.count(search.query, root)  # some may have been deleted while it was listed
    return count, max(0, min(again, count) - listed)


def _grew_elsewhere(connection: sqlite3.Connection, search: Search, total: int | None) -> bool:
    """Say whether the service counts more records than it did, and than the windows since then brought.

    PubMed dates what it adds late by its publication, so that a record can be new and in no window of new ones.
    """
    before = connection.execute(
        "SELECT total FROM search WHERE query = ? AND completed_at IS NOT NULL AND total IS NOT NULL"
        " ORDER BY id DESC LIMIT 1",
        (search.query,),
    ).fetchone()
    new = connection.execute(
        "SELECT count(*) FROM listed WHERE search_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM raw WHERE source = 'pubmed' AND identifier = listed.pmid)"
        " AND NOT EXISTS (SELECT 1 FROM absent WHERE pmid = listed.pmid)",
        (search.id,),
    ).fetchone()
    return total is not None and before is not None and total - before[0] > new[0]


def _ask(run: Run, entrez: Entrez, search: Search, window: Window) -> Seen:
    """List one window, once; its PMIDs and the mark that it was asked commit together."""
    seen: Seen = run.step(f"list {search.id} {window}", lambda: _list(run.connection, entrez, search, window))
    return seen


def _listed_windows(run: Run, entrez: Entrez, search: Search, root: Window) -> Iterator[Window]:
    """List the windows of a root one after the other; each is durable when it is yielded."""
    splits: dict[Window, date] = {}

    def ask(window: Window) -> Hits:
        seen = _ask(run, entrez, search, window)
        if seen["split"] is not None:
            splits[window] = date.fromisoformat(seen["split"])
        return Hits(seen["count"], ())

    ahead = [root]
    while ahead:
        for window, _ in walk(ahead.pop(), ask):
            if (day := splits.pop(window, None)) is not None:
                ahead.extend(reversed(window.split_at(day)))
            yield window


def _list(connection: sqlite3.Connection, entrez: Entrez, search: Search, window: Window) -> Seen:
    hits = entrez.search(search.query, window)
    if hits.count > REACHED:
        return Seen(count=hits.count, split=None)
    if window.kind == "edat":
        _insert(connection, search, [(pmid, 0) for pmid in hits.pmids])
        return Seen(count=hits.count, split=None)
    rows: list[tuple[str, int]] = []
    split: date | None = None
    for pmid in hits.pmids:
        day = _fetched(connection, pmid)
        if day is None:
            if search.since is None:  # a revision made it one of the query's
                rows.append((pmid, 0))
        elif day <= window.first:
            rows.append((pmid, 1))
        elif day <= window.last:
            split = min(split or day, day)  # revised before that day or since: narrower windows tell
    _insert(connection, search, rows)
    return Seen(count=hits.count, split=None if split is None else split.isoformat())


def _insert(connection: sqlite3.Connection, search: Search, rows: list[tuple[str, int]]) -> None:
    connection.executemany(
        "INSERT INTO listed (search_id, pmid, revised) VALUES (?, ?, ?)"
        " ON CONFLICT (search_id, pmid) DO UPDATE SET revised = max(revised, excluded.revised)",
        [(search.id, int(pmid), revised) for pmid, revised in rows],
    )


def _fetched(connection: sqlite3.Connection, pmid: str) -> date | None:
    """Return the day on which a record was fetched, None if it is not stored."""
    row = connection.execute(
        "SELECT fetched_at FROM raw WHERE source = 'pubmed' AND identifier = ?", (int(pmid),)
    ).fetchone()
    return None if row is None else date.fromisoformat(row[0][:10])


def _count(connection: sqlite3.Connection, search: Search) -> int:
    row = connection.execute("SELECT count(*) FROM listed WHERE search_id = ?", (search.id,)).fetchone()
    return int(row[0])
