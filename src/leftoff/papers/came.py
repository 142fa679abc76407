"""Be what came into a database: in all, query by query, service by service, day by day."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ServiceCame:
    """Be how a query stands with one service: what is held against what the service counts.

    query: its name in the table `search`. held: records found and stored; absent: found, and not sent by the service;
    missing: what the last completed search left, counted and in no list, or dead letters. counted: over all dates, None
    where the search had no such count. surplus: held and found no longer, gap: counted and not explained; None, and not
    judged, without a count or under a limit. complete_at: when the last complete search was begun; open_since: when the
    one that is not ended was. Times are UTC.
    """

    source: str
    query: str
    held: int
    absent: int
    missing: int
    counted: int | None
    surplus: int | None
    gap: int | None
    limit: int | None
    complete_at: str | None
    open_since: str | None


@dataclass(frozen=True)
class QueryCame:
    """Be what came in of one query: papers that are new, revised, retracted, and records that merged, since a day.

    missing: at all of its services.
    """

    name: str
    new: int
    revised: int
    merged: int
    retracted: int
    missing: int
    services: tuple[ServiceCame, ...]


@dataclass(frozen=True)
class Day:
    """Be one day in UTC: how many papers came in, of one query alone by its name, of several, of none."""

    day: str
    new: int
    by_query: dict[str, int]
    several: int
    other: int


@dataclass(frozen=True)
class NewPaper:
    """Be one paper that came in, with where it can be read, and the queries that find it."""

    key: str
    at: str
    title: str | None
    authors: tuple[str, ...]
    journal: str | None
    date: str | None
    doi: str | None
    pmid: int | None
    links: tuple[str, ...]
    queries: tuple[str, ...]
    retracted: bool


@dataclass(frozen=True)
class Totals:
    """Be all of the database: papers held, and what came in since, each paper once."""

    papers: int
    new: int
    revised: int
    merged: int
    retracted: int
    missing: int


@dataclass(frozen=True)
class Came:
    """Be what came into a database since a day, and how its queries stand.

    since: the first day, of UTC; made_at: the moment it tells of; days: those on which something came in; papers: the
    newest.
    """

    db: str
    since: str
    made_at: str
    totals: Totals
    queries: tuple[QueryCame, ...]
    days: tuple[Day, ...]
    papers: tuple[NewPaper, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it by name, as `papers report --format json` prints it."""
        return asdict(self)

    def as_html(self) -> str:
        """Return it as one page of HTML that needs nothing else, neither scripts nor the network."""
        from leftoff.papers.report_page import page

        return page(self)
