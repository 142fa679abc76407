"""Bring what Crossref finds: walk it, or look up what a list names; store; account."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leftoff.papers import works
from leftoff.papers.keeping import keep_all
from leftoff.papers.log import ProgressLog, wanted
from leftoff.papers.searches import Search, complete, open_search, search_of_list
from leftoff.papers.sync_report import SyncReport
from leftoff.papers.tables import now
from leftoff.papers.walks import Item, Lookups, Walks, dead_among

if TYPE_CHECKING:
    import sqlite3

    from leftoff.papers.asked import Asked
    from leftoff.papers.crossref import Crossref
    from leftoff.papers.question import Question
    from leftoff.work.run import Run

EVENTS = "SELECT count(DISTINCT doi) FROM event WHERE source = 'crossref' AND seq > ? AND what"
ABSENT = """
    SELECT count(*) FROM absent WHERE source = 'crossref' AND at >= ?
        AND identifier IN (SELECT value FROM json_each(?))
"""


def bring(run: Run, crossref: Crossref, asked: Asked, log: ProgressLog | None) -> SyncReport:
    """Store what Crossref finds and the database lacks, or has otherwise; return the accounts."""
    account = _Account(run)
    if asked.from_log is not None:
        named = (line["doi"] for line in wanted(Path(asked.from_log), works.SOURCE))
        account.add(_look_up(run, crossref, search_of_list(run), _lacking(run.connection, named), log))
        return account.report(crossref)
    if asked.dois is not None:
        search = open_search(run, asked.name_at(works.SOURCE), None, None)
        account.add(_look_up(run, crossref, search, asked.dois, log))
        return account.report(crossref)
    assert asked.question is not None  # noqa: S101  (it was checked)
    follows, resumed = False, True
    while resumed:  # what was interrupted is finished as it was begun, then what came meanwhile is brought
        search = open_search(run, asked.question.name, asked.since, asked.limit)
        resumed = search.opened_at < account.since and asked.limit is None
        walks = Walks(run, crossref, asked.question, search, asked.batch, follows=follows)
        account.add(_walk(run, crossref, asked.question, walks, search, log))
        follows = True
    return account.report(crossref)


class _Account:
    """Add up the searches of one call that begins now."""

    def __init__(self, run: Run) -> None:
        self.since = now()
        self._connection: sqlite3.Connection = run.connection
        self._asked = self._shortfall = self._absent = self._dead = 0
        (self._first_event,) = self._connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()

    def add(self, brought: tuple[int, int, int, int]) -> None:
        """Take in one search: works it met, works that are lacking, DOIs that are absent, dead letters."""
        met, shortfall, absent, dead = brought
        self._asked += met + shortfall
        self._shortfall = max(self._shortfall, shortfall)  # two searches of one question lack the same works
        self._absent += absent
        self._dead = max(self._dead, dead)

    def report(self, crossref: Crossref) -> SyncReport:
        """Return the accounts."""
        stored, merged = self._events("NOT IN ('absent', 'deleted')"), self._events("= 'merged'")
        missing = self._shortfall + self._dead
        asked = max(self._asked, stored + self._absent + missing)
        return SyncReport(
            asked=asked,
            stored=stored,
            skipped=asked - stored - self._absent - missing,
            absent=self._absent,
            merged=merged,
            requests=crossref.requests,
            waited_s=round(crossref.waited_s, 3),
            missing=missing,
            dead=self._dead,
        )

    def _events(self, what: str) -> int:
        return int(self._connection.execute(f"{EVENTS} {what}", (self._first_event,)).fetchone()[0])


def _walk(
    run: Run, crossref: Crossref, question: Question, walks: Walks, search: Search, log: ProgressLog | None
) -> tuple[int, int, int, int]:
    """Walk all spans of a search, and close it."""
    _store_pages(run, walks, log)
    total = walks.total if search.since is None and search.most is None else None
    shortfall = walks.shortfall
    if total is not None and search.first_day is None and total > walks.works + shortfall:
        still = crossref.count(question, walks.everything)  # some may have been deleted while it was walked
        shortfall = max(shortfall, min(still, total) - walks.works)
    run.connection.execute(
        "UPDATE search SET listed_at = ?, total = ?, shortfall = ? WHERE id = ?", (now(), total, shortfall, search.id)
    )
    complete(run, search, missing=shortfall + walks.dead)
    return walks.fresh, shortfall, 0, walks.dead


def _look_up(
    run: Run, crossref: Crossref, search: Search, dois: Sequence[str], log: ProgressLog | None
) -> tuple[int, int, int, int]:
    """Look up what a list names, and close the search."""
    _store_pages(run, Lookups(run, crossref, search, dois), log)
    (absent,) = run.connection.execute(ABSENT, (search.opened_at, json.dumps(dois))).fetchone()
    dead = len(dead_among(run, dois))
    complete(run, search, missing=dead)
    return len(dois), 0, int(absent), dead


def _store_pages(run: Run, pages: Iterable[list[Item]], log: ProgressLog | None) -> None:
    keep_all(run.connection, run.pages(pages, key=lambda item: item.key, duplicates="skip"), log)


def _lacking(connection: sqlite3.Connection, dois: Iterator[str]) -> list[str]:
    """Return those DOIs, each once, of which no record is stored."""
    has = "SELECT 1 FROM raw WHERE source = 'crossref' AND identifier = ?"
    return [doi for doi in dict.fromkeys(dois) if connection.execute(has, (doi,)).fetchone() is None]
