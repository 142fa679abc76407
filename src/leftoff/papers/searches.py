"""Open and close searches: what was asked of a service, from when on, and whether everything came.

1. A search is complete when each record it listed is accounted for; only then may the next one of its query begin
   later.
2. The name of a run is that of its service, so each service has its own searches and positions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from leftoff.papers.tables import now

if TYPE_CHECKING:
    from leftoff.work.run import Run

OVERLAP = timedelta(days=2)  # the service's day is not ours, and what it adds on a day may appear on the next
AHEAD = timedelta(days=366)  # windows end in the future: the service's clock need not be ours


@dataclass(frozen=True)
class Search:
    """Be one search of a query (empty: of a list), from its opening until everything it listed is accounted for."""

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
    found = _unfinished(run, asked)
    if found is None:
        complete = run.cursor(_position(query)).value
        first = since or (date.fromisoformat(complete) - OVERLAP if complete else None)
        found = _new(run, asked, first)
    return found


def search_of_list(run: Run) -> Search:
    """Return a new search that asks for what a list names, and for nothing else."""
    return _new(run, ("", None, None), None)


def shortfall_of(run: Run, search: Search) -> int:
    """Return how many records the service counted in this search and listed in none of its windows."""
    row = run.connection.execute("SELECT coalesce(shortfall, 0) FROM search WHERE id = ?", (search.id,)).fetchone()
    return int(row[0])


def complete(run: Run, search: Search, *, missing: int) -> None:
    """Close the search; if it left no gap, the next of its query begins at the last complete day."""
    run.connection.execute("UPDATE search SET completed_at = ?, missing = ? WHERE id = ?", (now(), missing, search.id))
    if not search.query:
        return
    cursor = run.cursor(_position(search.query))
    gap = search.since is not None and (cursor.value is None or search.since > cursor.value)
    if missing or search.most is not None or gap:
        return
    last_complete = (search.opened - timedelta(days=1)).isoformat()
    if cursor.value is None or cursor.value < last_complete:
        cursor.advance(last_complete)


def _new(run: Run, asked: tuple[str, str | None, int | None], first: date | None) -> Search:
    opened_at = now()
    number = run.connection.execute(
        "INSERT INTO search (source, query, since, most, first_day, opened_at) VALUES (?, ?, ?, ?, ?, ?)",
        (run.name, *asked, None if first is None else first.isoformat(), opened_at),
    ).lastrowid
    return Search(int(number or 0), *asked, first, opened_at)


def _position(query: str) -> str:
    name = query if len(query) <= 200 else hashlib.sha256(query.encode()).hexdigest()
    return f"last complete day of {name}"


def _unfinished(run: Run, asked: tuple[str, str | None, int | None]) -> Search | None:
    row = run.connection.execute(
        "SELECT id, query, since, most, first_day, opened_at FROM search"
        " WHERE source = ? AND query = ? AND since IS ? AND most IS ? AND completed_at IS NULL"
        " ORDER BY id DESC LIMIT 1",
        (run.name, *asked),
    ).fetchone()
    if row is None:
        return None
    number, query, since, most, first, opened_at = row
    return Search(number, query, since, most, date.fromisoformat(first) if first else None, opened_at)
