"""Walk the works that a question finds at Crossref: span by span, each page stored before the next is asked for.

1. A span is walked from the beginning in one go. When a page is lost the walk begins again: what is stored already
   comes again and costs no write. A span that was lost twice is walked in halves.
2. A span is complete when a walk gave as many distinct works as the service counts, or when one more walk gave nothing
   new: what is lacking then is a shortfall, which is told and lets no later search begin later.
3. A work is fetched again only if its member changed it; then its `done` mark is forgotten and set again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from typing import TYPE_CHECKING

from leftoff.errors import ServiceRefused
from leftoff.papers.crossref import Lost, chunks
from leftoff.papers.found import note_found
from leftoff.papers.question import Question
from leftoff.papers.search import AHEAD, Search
from leftoff.papers.spans import DAY, Kind, Span, everything, small_ones
from leftoff.papers.tables import now
from leftoff.papers.works import Work

if TYPE_CHECKING:
    import sqlite3

    from leftoff.papers.crossref import Crossref
    from leftoff.work.run import Run

PAGE = 1_000  # DOIs of a list that are looked at together
LOSSES = 20  # of one span that cannot be halved
BROUGHT = """
    SELECT identifier FROM raw WHERE source = 'crossref' AND fetched_at >= :since
        AND identifier IN (SELECT value FROM json_each(:dois))
    UNION SELECT identifier FROM absent WHERE source = 'crossref' AND at >= :since
        AND identifier IN (SELECT value FROM json_each(:dois))
"""
STAGES: tuple[Kind, ...] = ("created", "updated")


@dataclass(frozen=True)
class Item:
    """Be one work that is to be stored, or (None) a DOI that the service does not know."""

    doi: str
    work: Work | None
    at: str

    @property
    def key(self) -> str:
        """What it is known by in the journal."""
        return f"doi:{self.doi}"


class Walks:
    """Iterate the pages of all spans of a search, each with what is to be stored of it.

    follows: another search of this question was finished just before; what that one met does not count again.
    """

    def __init__(
        self, run: Run, crossref: Crossref, question: Question, search: Search, rows: int, *, follows: bool
    ) -> None:
        self._run = run
        self._connection: sqlite3.Connection = run.connection
        self._crossref = crossref
        self._question = question
        self._search = search
        self._rows = rows
        self._follows = follows
        self._until = _moment(search.opened + AHEAD) + DAY - 1
        self._first = None if search.first_day is None else _moment(search.first_day)
        self._again = False  # whether everything is walked once more behind the newer spans

    @property
    def works(self) -> int:
        """How many works the finished spans had, which are distinct where these are all of one date."""
        return self._one("SELECT coalesce(sum(works), 0) FROM walked WHERE search_id = ?", self._search.id)

    @property
    def fresh(self) -> int:
        """How many distinct works the finished spans had."""
        return self._one("SELECT coalesce(sum(fresh), 0) FROM walked WHERE search_id = ?", self._search.id)

    @property
    def shortfall(self) -> int:
        """How many works the service counts and gave in no walk."""
        return self._one("SELECT coalesce(sum(shortfall), 0) FROM walked WHERE search_id = ?", self._search.id)

    def count(self) -> int:
        """Return how many works the question finds at all times; asked for once a search."""
        return self._counted(self.everything)

    @property
    def everything(self) -> Span:
        """The span of all works."""
        return everything(self._until)

    @property
    def dead(self) -> int:
        """How many works of the finished spans are dead letters."""
        return self._one("SELECT coalesce(sum(dead), 0) FROM walked WHERE search_id = ?", self._search.id)

    def again(self) -> None:
        """Walk everything from now on, behind what newer spans brought."""
        self._again = True

    def __iter__(self) -> Iterator[list[Item]]:
        for root in self._roots():
            for span, _ in small_ones(root, self._counted):
                if not self._is_walked(span):
                    yield from self._walk(span)
                if self._left() == 0:
                    return

    def _roots(self) -> list[Span]:
        if self._first is None or self._again:
            return [self.everything]
        return [Span(kind, self._first, max(self._first, self._until)) for kind in STAGES]

    def _counted(self, span: Span) -> int:
        name = f"count {self._search.id} {span}"
        counted: int = self._run.step(name, lambda: self._crossref.count(self._question, span))
        return counted

    def _walk(self, span: Span) -> Iterator[list[Item]]:
        losses, most = 0, -1
        while True:
            seen: set[str] = set()
            fresh = total = 0
            try:
                for page in self._crossref.walk(self._question, span, self._rows):
                    works = list({work.doi: work for work in page.works if work.doi not in seen}.values())
                    seen.update(work.doi for work in works)
                    total = page.total
                    items, more = self._take(span, works, fresh, page.at)
                    fresh += more
                    yield items
                    if self._left(fresh) == 0:
                        self._finish(span, seen, fresh)
                        return
            except Lost as error:
                losses += 1
                self._crossref.rest(error, losses)
                if losses >= 2 and not span.is_moment:
                    for half in span.halves():
                        yield from self._walk(half)
                    self._finish(span, set(), 0)
                    return
                if losses >= LOSSES:
                    raise ServiceRefused(
                        f"{self._crossref.url} lost a page of {span} {losses} times, the last: {error}. "
                        "Everything so far is kept: run the same command again later"
                    ) from error
                continue
            if len(seen) == total:
                self._finish(span, seen, fresh)
                return
            if len(seen) <= most:  # once more brought nothing new: some may have been deleted while it was walked
                still = min(total, self._crossref.count(self._question, span))
                self._finish(span, seen, fresh, max(0, still - len(seen)))
                return
            most = len(seen)

    def _take(self, span: Span, works: Sequence[Work], met: int, at: str) -> tuple[list[Item], int]:
        """Return what is to be stored of these works, within the limit, and how many of them no other span has."""
        dois = [work.doi for work in works]
        known, left = _known(self._connection, dois), self._left(met)
        met_before = {*known, *dead_among(self._run, dois)} if self._follows else set()
        taken, fresh = [], 0
        for work in works:
            if left is not None and fresh >= left:
                break
            if self._search.since is None or work.doi in known or work.created >= (self._first or 0):
                taken.append(work)
                fresh += work.doi not in met_before and self._is_fresh(span, work)
        note_found(self._connection, "crossref", self._search.query, [work.doi for work in taken])
        changed = [work for work in taken if known.get(work.doi) != work.digest]
        _forget(self._run, [work.doi for work in changed])
        return [Item(work.doi, work, at) for work in changed], fresh

    def _is_fresh(self, span: Span, work: Work) -> bool:
        """Say whether a work is in no span of this search that was walked before this one."""
        if self._first is None or (span.kind == "created" and not self._again):
            return True
        return work.created < self._first and not (self._again and work.updated >= self._first)

    def _left(self, met: int = 0) -> int | None:
        """Return how many works the search may still take, None for any number."""
        return None if self._search.most is None else max(0, self._search.most - self.fresh - met)

    def _finish(self, span: Span, works: set[str], fresh: int, shortfall: int = 0) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO walked (search_id, span, works, fresh, shortfall, dead, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._search.id, str(span), len(works), fresh, shortfall, len(dead_among(self._run, works)), now()),
        )

    def _is_walked(self, span: Span) -> bool:
        row = (self._search.id, str(span))
        return self._one("SELECT count(*) FROM walked WHERE search_id = ? AND span = ?", *row) > 0

    def _one(self, sql: str, *values: object) -> int:
        return int(self._connection.execute(sql, values).fetchone()[0])


class Lookups:
    """Iterate the DOIs of a list, as many as one request can ask for at a time, each time with what is to be stored.

    What this search has brought already, before a kill, is not asked for again.
    """

    def __init__(self, run: Run, crossref: Crossref, search: Search, dois: Sequence[str]) -> None:
        self._run = run
        self._crossref = crossref
        self._search = search
        self._dois = dois

    def __iter__(self) -> Iterator[list[Item]]:
        connection, since = self._run.connection, self._search.opened_at
        for place in range(0, len(self._dois), PAGE):
            page = self._dois[place : place + PAGE]
            rows = connection.execute(BROUGHT, {"dois": json.dumps(page), "since": since}).fetchall()
            brought = {doi for (doi,) in rows}
            for chunk in chunks([doi for doi in page if doi not in brought]):
                yield self._looked_up(connection, chunk)

    def _looked_up(self, connection: sqlite3.Connection, dois: list[str]) -> list[Item]:
        at = now()  # before the request: a revision during it is not missed
        works = {work.doi: work for work in self._crossref.look_up(dois)}
        note_found(connection, "crossref", self._search.query, list(works))
        known = _known(connection, dois)
        unlike = [doi for doi in dois if doi not in works or works[doi].digest != known.get(doi)]
        _forget(self._run, unlike)
        return [Item(doi, works.get(doi), at) for doi in unlike]


def dead_among(run: Run, dois: Iterable[str]) -> list[str]:
    """Return those of these works that are dead letters."""
    if not run.store.counts(run.name)[1]:
        return []
    asked = list(dois)
    marks = run.own().marks([f"doi:{doi}" for doi in asked])
    return [doi for doi, mark in zip(asked, marks, strict=True) if mark < 0]


def _known(connection: sqlite3.Connection, dois: Sequence[str]) -> dict[str, bytes]:
    """Return what is stored of these works: the digest of each, empty if it was absent when it was asked for last."""
    rows = connection.execute(
        "SELECT identifier, CASE WHEN EXISTS"
        " (SELECT 1 FROM absent WHERE absent.source = raw.source AND absent.identifier = raw.identifier)"
        " THEN x'' ELSE digest END FROM raw"
        " WHERE source = 'crossref' AND identifier IN (SELECT value FROM json_each(?))",
        (json.dumps(dois),),
    )
    return dict(rows.fetchall())


def _forget(run: Run, dois: Sequence[str]) -> None:
    """Forget the marks of works that are to be stored once more; a dead letter stays one."""
    keys = [f"doi:{doi}" for doi in dois]
    marks = run.own().marks(keys)
    if done := [key for key, mark in zip(keys, marks, strict=True) if mark > 0]:
        run.forget(done)


def _moment(day: date) -> int:
    return int(datetime.combine(day, time(), timezone.utc).timestamp())
