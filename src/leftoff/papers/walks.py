"""Walk the works that a question finds at Crossref: span by span, each page stored before the next is asked for.

1. A span is walked from the beginning in one go. When a page is lost the walk begins again: what is stored already
   comes again and costs no write. A span that was lost twice is walked in halves, also after a kill.
2. A span is complete when a walk gave as many distinct works as the service counts, or when one more walk gave nothing
   new: what is lacking then is a shortfall, which is told and lets no later search begin later.
3. A work is stored again only if its member changed it; then its `done` mark is forgotten and set again. What a pass
   has stored it does not store again: what changes meanwhile is in the spans of the next search.
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
from leftoff.papers.searches import AHEAD, Search
from leftoff.papers.spans import DAY, Kind, Span, everything
from leftoff.papers.tables import now
from leftoff.papers.works import SOURCE, Work, record

if TYPE_CHECKING:
    import sqlite3

    from leftoff.papers.crossref import Crossref
    from leftoff.papers.record import Record
    from leftoff.work.run import Run
    from leftoff.work.step import Cursor

PAGE = 1_000  # DOIs of a list that are looked at together
LARGEST = 5_000  # works in one walk: what is lost with its cursor
LOSSES = 20  # of one span that cannot be halved
BEFORE = """
    SELECT total FROM search WHERE source = 'crossref' AND query = ? AND completed_at IS NOT NULL AND total IS NOT NULL
    ORDER BY id DESC LIMIT 1
"""
NEW = "SELECT count(DISTINCT doi) FROM event WHERE source = 'crossref' AND at >= ? AND what IN ('stored', 'merged')"
BROUGHT = """
    SELECT identifier FROM raw WHERE source = 'crossref' AND fetched_at >= :since
        AND identifier IN (SELECT value FROM json_each(:dois))
    UNION SELECT identifier FROM absent WHERE source = 'crossref' AND at >= :since
        AND identifier IN (SELECT value FROM json_each(:dois))
"""
KINDS: tuple[Kind, ...] = ("created", "updated")


@dataclass(frozen=True)
class Item:
    """Be one work that is to be stored, or (None) a DOI that the service does not know."""

    doi: str
    work: Work | None
    at: str
    source = SOURCE

    @property
    def identifier(self) -> str:
        """The DOI as the tables hold it."""
        return self.doi

    @property
    def record(self) -> Record | None:
        """What the work says; it is read here."""
        return None if self.work is None else record(self.work)

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
        self._began = now()
        self._until = _moment(search.opened + AHEAD) + DAY - 1
        self._first = None if search.first_day is None else _moment(search.first_day)
        self._walked_before: list[Span] = []
        self.total: int | None = None
        """How many works the service counted at the beginning, once that is known."""

    @property
    def works(self) -> int:
        """How many works the finished spans had; distinct ones, if all are spans of one date."""
        return self._sum("works")

    @property
    def fresh(self) -> int:
        """How many distinct works the finished spans had."""
        return self._sum("fresh")

    @property
    def shortfall(self) -> int:
        """How many works the service counts and gave in no walk."""
        return self._sum("shortfall")

    @property
    def dead(self) -> int:
        """How many works of the finished spans are dead letters."""
        return self._sum("dead")

    @property
    def everything(self) -> Span:
        """The span of all works."""
        return everything(self._until)

    def __iter__(self) -> Iterator[list[Item]]:
        for root in self._roots():
            yield from self._walk(root)
            self._walked_before.append(root)
            if self._left() == 0:
                return

    def _roots(self) -> Iterator[Span]:
        """Iterate what is to be walked: everything, or what is new and, if that does not explain the count, more."""
        if self._first is None:
            yield self.everything
            return
        created, updated = (Span(kind, self._first, max(self._first, self._until)) for kind in KINDS)
        if self._search.since is not None or self._search.most is not None:
            yield created
            yield updated
            return
        counted: int = self._run.step(
            f"count {self._search.id}", lambda: self._crossref.count(self._question, self.everything)
        )
        self.total = counted
        yield updated  # what was registered since is in it, too
        if self._grew_elsewhere(counted):
            yield created
        if self._grew_elsewhere(counted):
            yield self.everything

    def _grew_elsewhere(self, total: int) -> bool:
        """Say whether the service counts more works than it did, and than the spans since then brought."""
        before = self._connection.execute(BEFORE, (self._search.query,)).fetchone()
        return before is not None and total - before[0] > self._one(NEW, self._search.opened_at)

    def _walk(self, span: Span) -> Iterator[list[Item]]:
        if self._is_walked(span):
            return
        counted = self._halved(span).value
        if counted is None:
            yield from self._walk_whole(span)
        else:  # before a kill
            yield from self._walk_halves(span, counted)

    def _walk_whole(self, span: Span) -> Iterator[list[Item]]:
        losses, most = 0, -1
        while True:
            seen: set[str] = set()
            fresh = total = 0
            try:
                for page in self._crossref.walk(self._question, span, self._rows):
                    total = page.total
                    self._note_total(span, total)
                    works = list({work.doi: work for work in page.works if work.doi not in seen}.values())
                    seen.update(work.doi for work in works)
                    items, more = self._take(works, fresh, page.at)
                    yield items
                    if self._is_large(span, total):
                        yield from self._walk_halves(span, total)
                        return
                    fresh += more
                    if self._left(fresh) == 0:
                        self._finish(span, seen, fresh)
                        return
            except Lost as error:
                losses += 1
                self._crossref.rest(error, losses)
                if losses >= 2 and not span.is_moment:
                    yield from self._walk_halves(span, total)
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

    def _walk_halves(self, span: Span, total: int) -> Iterator[list[Item]]:
        halved = self._halved(span)
        if halved.value is None:
            halved.advance(total)
        self._note_total(span, total)
        for half in span.halves():
            yield from self._walk(half)
            if self._left() == 0:
                break
        self._finish(span, set(), 0)

    def _halved(self, span: Span) -> Cursor:
        """Return where it is kept that a span is walked in halves, and how many works were counted in it then."""
        return self._run.cursor(f"halved {self._search.id} {span}")

    def _note_total(self, span: Span, total: int) -> None:
        if span.whole and self.total is None:
            self.total = total

    def _is_large(self, span: Span, total: int) -> bool:
        """Say whether a span has more works than one walk should have, and than are wanted."""
        left = self._left()
        return (total if left is None else min(total, left)) > LARGEST and not span.is_moment

    def _take(self, works: Sequence[Work], met: int, at: str) -> tuple[list[Item], int]:
        """Return what is to be stored of these works, within the limit, and how many of them no other span has."""
        dois = [work.doi for work in works]
        known, left = _known(self._connection, dois, self._began), self._left(met)
        met_before = {*known, *dead_among(self._run, dois)} if self._follows else set()
        taken, fresh = [], 0
        for work in works:
            if left is not None and fresh >= left:
                break
            if self._search.since is None or work.doi in known or work.created >= (self._first or 0):
                taken.append(work)
                fresh += work.doi not in met_before and self._is_fresh(work)
        note_found(self._connection, "crossref", self._search.query, [work.doi for work in taken])
        changed = [work for work in taken if known.get(work.doi, b"") not in (work.digest, None)]
        _forget(self._run, [work.doi for work in changed])
        return [Item(work.doi, work, at) for work in changed], fresh

    def _is_fresh(self, work: Work) -> bool:
        """Say whether a work is in no span of this search that was walked before this one."""
        return not any(
            span.whole or span.first <= (work.created if span.kind == "created" else work.updated) <= span.last
            for span in self._walked_before
        )

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

    def _sum(self, column: str) -> int:
        return self._one(f"SELECT coalesce(sum({column}), 0) FROM walked WHERE search_id = ?", self._search.id)  # noqa: S608  (our names)

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
        self._began = now()

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
        known = _known(connection, dois, self._began)
        unlike = [doi for doi in dois if doi not in works or known.get(doi, b"") not in (works[doi].digest, None)]
        _forget(self._run, unlike)
        return [Item(doi, works.get(doi), at) for doi in unlike]


def dead_among(run: Run, dois: Iterable[str]) -> list[str]:
    """Return those of these works that are dead letters."""
    if not run.store.counts(run.name)[1]:
        return []
    asked = list(dois)
    marks = run.own().marks([f"doi:{doi}" for doi in asked])
    return [doi for doi, mark in zip(asked, marks, strict=True) if mark < 0]


def _known(connection: sqlite3.Connection, dois: Sequence[str], began: str) -> dict[str, bytes | None]:
    """Return what is stored of these works: the digest of each; of one that was absent or deleted an empty one, and
    None where it was stored since ``began``.
    """
    rows = connection.execute(
        "SELECT identifier, CASE WHEN fetched_at >= ? THEN NULL WHEN deleted_at IS NOT NULL OR EXISTS"
        " (SELECT 1 FROM absent WHERE absent.source = raw.source AND absent.identifier = raw.identifier)"
        " THEN x'' ELSE digest END FROM raw"
        " WHERE source = 'crossref' AND identifier IN (SELECT value FROM json_each(?))",
        (began, json.dumps(dois)),
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
