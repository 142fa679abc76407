"""List what a query finds at PubMed, durably: each window's PMIDs are stored before any of them is fetched.

1. A window is one `step` of the run: its PMIDs and its mark commit together, and a listing that is begun again asks for
   no window twice.
2. A stored PMID is listed as revised only by a modification-date window that is not before the day it was fetched.
3. Where the service's count is not explained by what the windows since the last search brought, everything is listed
   again: what is in no new window is found so, and so is what is no longer there. That is looked at once more; what the
   service does not send then is marked as deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from leftoff.papers.found import note_found, note_left
from leftoff.papers.log import wanted
from leftoff.papers.searches import AHEAD, Search, search_of_list
from leftoff.papers.tables import now
from leftoff.papers.windows import REACHED, Hits, Kind, Window, everything, walk

if TYPE_CHECKING:
    from leftoff.papers.entrez import Entrez
    from leftoff.work.run import Run

KINDS: tuple[Kind, ...] = ("edat", "mdat")
LEFT = """
    SELECT identifier, EXISTS (SELECT 1 FROM raw WHERE source = 'pubmed' AND identifier = found.identifier) FROM found
    WHERE source = 'pubmed' AND query = ? AND left_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM listed WHERE search_id = ? AND pmid = found.identifier)
"""
# `+`: a column of no type that is compared with an INTEGER column is not looked up in its index.
NEW = """
    SELECT count(*) FROM listed WHERE search_id = ?
        AND NOT EXISTS (SELECT 1 FROM raw WHERE source = 'pubmed' AND identifier = +listed.pmid)
        AND NOT EXISTS (SELECT 1 FROM absent WHERE source = 'pubmed' AND identifier = +listed.pmid)
"""


class Seen(TypedDict):
    """Be what one window brought: its count, and a day: its part from then on has to tell what was revised."""

    count: int
    split: str | None


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
    if search.first_day is None or _changed_elsewhere(connection, search, total):
        total, shortfall = _list_all(run, entrez, search, all_days)
        if not shortfall and search.most is None:
            run.step(f"list {search.id} left", lambda: _list_left(connection, search))
    connection.execute(
        "UPDATE search SET listed_at = ?, total = ?, shortfall = ? WHERE id = ?", (now(), total, shortfall, search.id)
    )


def list_log(run: Run, path: Path) -> Search:
    """List the papers that a progress log has and the database lacks, as a search of its own.

    Raises FileNotFoundError and JournalDamaged for a file that is no progress log.
    """
    search = search_of_list(run)
    run.step(f"list {search.id} log", lambda: _list_log(run.connection, search, path))
    return search


def _list_log(connection: sqlite3.Connection, search: Search, path: Path) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO listed (search_id, pmid, revised) SELECT ?, ?, 0"
        " WHERE NOT EXISTS (SELECT 1 FROM raw WHERE source = 'pubmed' AND identifier = ?)",
        ((search.id, line["pmid"], line["pmid"]) for line in wanted(path, "pubmed")),
    )


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


def _changed_elsewhere(connection: sqlite3.Connection, search: Search, total: int | None) -> bool:
    """Say whether the service counts another number of records than it did and the windows since then brought.

    PubMed dates what it adds late by its publication, so that a record can be new and in no window of new ones. Fewer
    there are where some were deleted, or revised so that the query does not find them any more.
    """
    before = connection.execute(
        "SELECT total FROM search WHERE source = 'pubmed' AND query = ? AND completed_at IS NOT NULL"
        " AND total IS NOT NULL ORDER BY id DESC LIMIT 1",
        (search.query,),
    ).fetchone()
    new = connection.execute(NEW, (search.id,)).fetchone()
    return total is not None and before is not None and total - before[0] != new[0]


def _list_left(connection: sqlite3.Connection, search: Search) -> None:
    """List what the query found before and does not find now, to be looked at once."""
    rows = connection.execute(LEFT, (search.query, search.id)).fetchall()
    note_left(connection, "pubmed", search.query, [pmid for pmid, _ in rows])
    _insert(connection, search, [(pmid, 1) for pmid, stored in rows if stored])


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
                ahead.append(window.since(day))  # what lies before it says nothing that this window did not say
            yield window


def _list(connection: sqlite3.Connection, entrez: Entrez, search: Search, window: Window) -> Seen:
    hits = entrez.search(search.query, window)
    if hits.count > REACHED:
        return Seen(count=hits.count, split=None)
    _note(connection, search, window, hits)
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
            split = min(split or day, day)  # revised before that day or since: a narrower window tells
    _insert(connection, search, rows)
    return Seen(count=hits.count, split=None if split is None else split.isoformat())


def _note(connection: sqlite3.Connection, search: Search, window: Window, hits: Hits) -> None:
    """Note what the query found; of what was revised since a day that the caller named, the rest may be older."""
    if window.kind == "edat" or search.since is None:
        left = None if search.most is None else max(0, search.most - _count(connection, search))
        note_found(connection, "pubmed", search.query, [int(pmid) for pmid in hits.pmids[:left]])


def _insert(connection: sqlite3.Connection, search: Search, rows: Sequence[tuple[str | int, int]]) -> None:
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
