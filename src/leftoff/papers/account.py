"""Account for one call of `sync`, from the database and not from what was counted on the way."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from leftoff.papers.sync_report import SyncReport
from leftoff.papers.tables import now

if TYPE_CHECKING:
    from leftoff.papers.entrez import Entrez
    from leftoff.papers.searches import Search
    from leftoff.work.run import Run

# Parts are searches, each with the last row of its list that was wanted.
ASKED = "SELECT count(*) FROM listed WHERE search_id = ? AND id <= ?"
BEFORE = "AND NOT EXISTS (SELECT 1 FROM listed AS before WHERE search_id = ? AND pmid = listed.pmid AND id <= ?)"
ABSENT = """
    SELECT count(DISTINCT listed.pmid) FROM json_each(?) AS part
    JOIN listed ON listed.search_id = json_extract(part.value, '$[0]') AND listed.id <= json_extract(part.value, '$[1]')
    JOIN absent ON absent.source = 'pubmed' AND absent.identifier = listed.pmid AND absent.at >= ?
"""
IS_ASKED = """
    SELECT 1 FROM json_each(?) AS part
    JOIN listed ON listed.search_id = json_extract(part.value, '$[0]') AND listed.id <= json_extract(part.value, '$[1]')
    WHERE listed.pmid = ?
"""
STORED = (
    "SELECT count(DISTINCT pmid) FROM event WHERE source = 'pubmed' AND seq > ? AND what NOT IN ('absent', 'deleted')"
)
MERGED = "SELECT count(DISTINCT pmid) FROM event WHERE source = 'pubmed' AND seq > ? AND what = 'merged'"


@dataclass(frozen=True)
class Brought:
    """Be one search that was brought to its end: up to which row of the list, and how much was never listed."""

    search: Search
    last: int
    shortfall: int


class Account:
    """Add up the searches of one call that begins now."""

    def __init__(self, run: Run) -> None:
        self.since = now()
        self._run = run
        self._connection: sqlite3.Connection = run.connection
        self._first_event = self._one("SELECT coalesce(max(seq), 0) FROM event")
        self._brought: list[Brought] = []

    def add(self, brought: Brought) -> None:
        """Take in one search."""
        self._brought.append(brought)

    def report(self, entrez: Entrez) -> SyncReport:
        """Return the accounts; a PMID that two searches listed counts once."""
        parts = json.dumps([[each.search.id, each.last] for each in self._brought])
        opened_at = min(each.search.opened_at for each in self._brought)
        shortfall = max(each.shortfall for each in self._brought)  # two searches of one query lack the same records
        dead = self._dead(parts)
        missing = shortfall + dead
        asked = self._asked() + shortfall
        absent = self._one(ABSENT, parts, opened_at)
        stored = self._one(STORED, self._first_event)
        return SyncReport(
            asked=asked,
            stored=stored,
            skipped=asked - stored - absent - missing,
            absent=absent,
            merged=self._one(MERGED, self._first_event),
            requests=entrez.requests,
            waited_s=round(entrez.waited_s, 3),
            missing=missing,
            dead=dead,
        )

    def _asked(self) -> int:
        """Count what the searches listed: of each what none before it did."""
        parts = [(each.search.id, each.last) for each in self._brought]
        return sum(
            self._one(f"{ASKED} {BEFORE * place}", *part, *chain(*parts[:place])) for place, part in enumerate(parts)
        )

    def _dead(self, parts: str) -> int:
        """Count the dead letters among what was asked for."""
        pmids = [int(key.partition(":")[2]) for key in self._run.keys("dead")]
        return sum(self._connection.execute(IS_ASKED, (parts, pmid)).fetchone() is not None for pmid in pmids)

    def _one(self, sql: str, *values: object) -> int:
        return int(self._connection.execute(sql, values).fetchone()[0])
