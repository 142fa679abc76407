"""What the tests of `sync` hold against each other: what a database says, and what the replica was asked for."""

from __future__ import annotations

import itertools
import json
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLES = {
    "paper": "key, doi, doi_hash, pmid, pmcid, title, abstract, journal, year, date, type, language, volume, issue,"
    " pages, publisher, issn, isbn, source",
    "shown": "(SELECT key FROM paper WHERE id = paper_id), source, identifier, fields",
    "conflict": "(SELECT key FROM paper WHERE id = paper_id), field, source, identifier, value",
    "identifier": "kind, value, (SELECT key FROM paper WHERE id = paper_id)",
    "author": "(SELECT key FROM paper WHERE id = paper_id), position, name, last, fore, initials, suffix, collective,"
    " affiliation, orcid",
    "mesh": "(SELECT key FROM paper WHERE id = paper_id), position, descriptor, descriptor_ui, qualifier, qualifier_ui,"
    " major",
    "link": "(SELECT key FROM paper WHERE id = paper_id), source, identifier, position, kind, inverse, doi, pmid,"
    " other, text, date, asserted_by",
    "words": "(SELECT key FROM paper WHERE id = words.rowid), title, abstract, author, mesh",
    "raw": "source, identifier, version, (SELECT key FROM paper WHERE id = paper_id), content",
    "found": "source, query, identifier",
}


def query(db: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return what a query finds, without leftoff; nothing in a database that is not there yet."""
    if not db.exists():
        return []
    with closing(sqlite3.connect(db)) as connection:
        has = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'absent'").fetchone()[0]
        return connection.execute(sql).fetchall() if has else []


def content(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a database says of papers, without days and the numbers of rows."""
    return {table: sorted(query(db, f"SELECT {names} FROM {table}"), key=repr) for table, names in TABLES.items()}


def held(db: Path) -> set[str]:
    """Return the PMIDs whose records a database holds."""
    return {str(pmid) for (pmid,) in query(db, "SELECT identifier FROM raw")}


def requests(folder: Path, tool: str = "efetch") -> list[dict[str, Any]]:
    """Return the whole lines of the replica's access log that are of one tool."""
    path = folder / "access.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [entry for entry in map(json.loads, lines) if entry["path"].endswith(f"/{tool}.fcgi")]


def asked_for(folder: Path) -> Counter[str]:
    """Return how often each PMID was asked for."""
    return Counter(pmid for entry in requests(folder) for pmid in entry["ids"])


SECOND = 0.97  # of a replica: what the way to it can shift two requests together is taken off
SPOILT = {"flip"}  # what is sent whole and can be read by nobody
HARMLESS = {None, "no-limits", "doubled-limits", "odd-limits", "short-page", "drip", "shortfall", "shuffle"}


@dataclass
class Walk:
    """Be one walk of a span of Crossref's, as an access log shows it: from a `cursor=*` on.

    pages: what each of its answers gave; lost: its last answer could not be read; astray: how many requests went out
    with a cursor that is another walk's, or behind an answer that could not be read.
    """

    pages: list[list[str]]
    cursor: str | None = None
    lost: bool = False
    astray: int = 0

    @property
    def works(self) -> list[str]:
        """What all its answers gave."""
        return list(itertools.chain.from_iterable(self.pages))


@dataclass(frozen=True)
class Traffic:
    """Be what an access log says of the requests of one client.

    requests: in all; faulty: those of them whose answers a fault spoilt, which makes the client ask again; given:
    distinct records that came in answers that can be read; twice: how many came that had come before; restarted: walks
    that gave something which a later one gave again; lost: those of them that a spoilt answer ended; windows: what the
    restarted walks gave that was stored, and is met again because a cursor is no position: of one that ended in a lost
    page all, of the others all but the last page; astray: requests with a cursor that should not have been sent;
    nearest: the smallest time between two arrivals, seconds; most: arrivals in one sliding second; at_once: requests
    under way at a time, None where the service does not count them; violations: of the limits, as the replica judged.
    """

    requests: int
    faulty: int
    given: int
    twice: int
    restarted: int
    lost: int
    windows: int
    astray: int
    nearest: float
    most: int
    at_once: int | None
    violations: int

    def may_come_twice(self, kills: int, page: int) -> int:
        """How many records may have come twice: a batch or page for each kill, and the windows that it restarted.

        Of PubMed that is a batch for each kill and no more: it has no walks. What a fault spoilt is not counted as
        given, so that asking for it again is no record that came twice.
        """
        return kills * page + self.windows


def traffic(log: Iterable[dict[str, Any]]) -> Traffic:
    """Count the requests of one client in the access log of either replica."""
    entries = sorted(log, key=lambda entry: entry["at"])  # a request of a killed process may be logged behind the next
    arrivals = [entry["at"] for entry in entries]
    given = Counter(each for entry in entries for each in _given(entry))
    walks = walks_in(entries)
    restarted = _restarted(walks)
    return Traffic(
        requests=len(entries),
        faulty=sum(not _is_read(entry) for entry in entries),
        given=len(given),
        twice=sum(given.values()) - len(given),
        restarted=len(restarted),
        lost=sum(walk.lost for walk in restarted),
        windows=sum(len(walk.works) - (0 if walk.lost else len(walk.pages[-1])) for walk in restarted),
        astray=sum(walk.astray for walk in walks),
        nearest=min((later - earlier for earlier, later in itertools.pairwise(arrivals)), default=float("inf")),
        most=max((bisect_left(arrivals, at + SECOND) - number for number, at in enumerate(arrivals)), default=0),
        at_once=max((entry["open"] for entry in entries if "open" in entry), default=None),
        violations=sum(entry["violation"] or entry["banned"] for entry in entries),
    )


def given_in(log: Iterable[dict[str, Any]]) -> set[str]:
    """Return the records that came in answers that can be read."""
    return {each for entry in log for each in _given(entry)}


def walks_in(entries: Iterable[dict[str, Any]]) -> list[Walk]:
    """Return the walks of one client that does one thing after the other. A `cursor=*` that got no page begins none."""
    walks: list[Walk] = []
    for entry in entries:
        cursor = entry["params"].get("cursor")
        if cursor == "*":
            if _is_read(entry):
                walks.append(Walk([_given(entry)]))
        elif cursor is not None:
            walk = walks[-1]
            astray = walk.lost or walk.cursor not in (None, cursor) or cursor in {each.cursor for each in walks[:-1]}
            walk.astray += astray
            walk.cursor = cursor
            walk.lost = not _is_read(entry)
            if not walk.lost:
                walk.pages.append(_given(entry))
    return walks


def _restarted(walks: list[Walk]) -> list[Walk]:
    """Return the walks that gave something which a later one gave again."""
    restarted, later = [], set[str]()
    for walk in reversed(walks):
        if not later.isdisjoint(walk.works):
            restarted.append(walk)
        later.update(walk.works)
    return restarted


def _given(entry: dict[str, Any]) -> list[str]:
    given: list[str] = entry["served"]
    return [] if entry["fault"] in SPOILT else given


def _is_read(entry: dict[str, Any]) -> bool:
    return entry["status"] == 200 and entry["fault"] in HARMLESS
