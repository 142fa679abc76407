"""What a caller of `sync` asks for, checked before anything is done."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from os import PathLike, fspath
from pathlib import Path
from typing import Literal, get_args

from leftoff.errors import UsageError
from leftoff.papers.entrez import LARGEST_FETCH
from leftoff.papers.question import Question, dois_in, question

Source = Literal["pubmed", "crossref", "both"]
SUFFIXES = (".db", ".sqlite", ".sqlite3")


@dataclass(frozen=True)
class Asked:
    """Be what is asked for: a query, or what a log or a list of DOIs names; of which services, and from when on."""

    query: str
    services: tuple[str, ...]
    since: date | None
    limit: int | None
    batch: int
    question: Question | None
    dois: tuple[str, ...] | None
    from_log: str | None

    def name_at(self, service: str) -> str:
        """The name by which a database knows the searches of a service for this."""
        if self.dois is not None:
            return f"list {hashlib.sha256(json.dumps(self.dois).encode()).hexdigest()}"
        return self.query if service == "pubmed" or self.question is None else self.question.name


def check(
    query: str,
    db: str,
    *,
    source: str,
    since: date | str | None,
    limit: int | None,
    batch: int,
    issn: Iterable[str],
    orcid: Iterable[str],
    funder: Iterable[str],
    dois: str | PathLike[str] | None,
    from_log: str | PathLike[str] | None,
) -> Asked:
    """Return what is asked for.

    Raises UsageError for arguments that are wrong, alone or together, OSError for a list that cannot be read.
    """
    if source not in get_args(Source):
        raise UsageError(f"source={source!r}: one of {', '.join(get_args(Source))}")
    services = ("pubmed", "crossref") if source == "both" else (source,)
    narrowed = {"issn": _each(issn), "orcid": _each(orcid), "funder": _each(funder)}
    lists = [name for name, given in (("dois", dois), ("from_log", from_log)) if given is not None]
    _refuse_mixtures(query, source, narrowed, lists)
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit}: at least one paper, or none for no limit")
    if not 1 <= batch <= LARGEST_FETCH:
        raise UsageError(f"batch={batch}: from 1 to {LARGEST_FETCH} records a request")
    if Path(db).suffix not in SUFFIXES:
        raise UsageError(f"{db}: papers are kept in tables: name a database whose name ends in .db, such as papers.db")
    return Asked(
        query=query,
        services=services,
        since=_day(since),
        limit=limit,
        batch=batch,
        question=None if lists or "crossref" not in services else question(query, **narrowed),
        dois=None if dois is None else tuple(_listed(fspath(dois))[:limit]),
        from_log=None if from_log is None else fspath(from_log),
    )


def _refuse_mixtures(query: str, source: str, narrowed: dict[str, tuple[str, ...]], lists: list[str]) -> None:
    filters = [name for name, given in narrowed.items() if given]
    if filters and source == "pubmed":
        raise UsageError(f"{filters[0]}= is Crossref's: name source='crossref' or 'both', or write it into the query")
    if "dois" in lists and source != "crossref":
        raise UsageError("DOIs are looked up at Crossref: name source='crossref'")
    if len(lists) == 2 or (lists == ["dois"] and (query.strip() or filters)):
        raise UsageError("a list of DOIs is looked up as it is: leave the query, its filters and from_log out")
    if not lists and source != "crossref" and not query.strip():
        raise UsageError("the query is empty: PubMed searches for something")


def _each(given: Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _listed(path: str) -> list[str]:
    if path == "-":
        return dois_in(sys.stdin, "the standard input")
    with Path(path).open(encoding="utf-8-sig") as lines:
        return dois_in(lines, path)


def _day(since: date | str | None) -> date | None:
    if isinstance(since, datetime):
        return since.date()
    if not isinstance(since, str):
        return since
    try:
        return date.fromisoformat(since.replace("/", "-"))
    except ValueError:
        raise UsageError(f"since={since!r} is no day: write it as 2026-01-31") from None
