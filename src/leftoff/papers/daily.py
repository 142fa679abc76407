"""Bring the queries of a project up to date that are due."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date
from os import PathLike, fspath
from typing import Any

from leftoff.errors import ServiceError, UsageError
from leftoff.papers.api_key import find_api_key
from leftoff.papers.asked import Asked, Source, check
from leftoff.papers.due import is_due
from leftoff.papers.entrez import LARGEST_FETCH
from leftoff.papers.project import FILE, Project, Query, read_project
from leftoff.papers.sync import sync
from leftoff.papers.sync_report import SyncReport
from leftoff.work.progress import Progress
from leftoff.work.signals import StopGuard


@dataclass(frozen=True)
class Outcome:
    """Be what became of one query.

    due: why it was run, None if it was not due, and then next_at says when it is; report: what its sync did, None if it
    was not run or failed; error: why it failed.
    """

    name: str
    due: str | None
    next_at: str | None = None
    report: SyncReport | None = None
    error: ServiceError | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it by name, as `papers sync --json` prints it."""
        return {
            "name": self.name, "due": self.due, "next_at": self.next_at,
            "report": None if self.report is None else self.report.as_dict(),
            "error": None if self.error is None else str(self.error),
        }  # fmt: skip


@dataclass(frozen=True)
class ProjectReport:
    """Be what became of the queries of a project, in the file's order."""

    project: str
    db: str
    outcomes: tuple[Outcome, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it by name, as `papers sync --json` prints it."""
        return {"project": self.project, "db": self.db, "queries": [each.as_dict() for each in self.outcomes]}


def sync_project(
    project: str | PathLike[str] = FILE,
    *,
    only: Collection[str] = (),
    due_only: bool = True,
    db: str | PathLike[str] | None = None,
    source: Source | None = None,
    since: date | str | None = None,
    limit: int | None = None,
    batch: int = LARGEST_FETCH,
    email: str | None = None,
    api_key: str | None = None,
    ncbi_url: str | None = None,
    crossref_url: str | None = None,
    log: str | PathLike[str] | None = None,
    on_outcome: Callable[[Outcome], object] | None = None,
) -> ProjectReport:
    """Bring each query of a project up to date that is due; run it again after any end.

    project: the file; only: names of queries, to run no other; due_only: False runs also what is not due; api_key: of
    NCBI (default: ``NCBI_API_KEY``, else the keyring's); on_outcome: called as each query ends; the rest is as in
    `sync`, and in place of what the file says, for each query. A query is due when its last complete search of each of
    its services was begun longer ago than its ``every``, or one was interrupted or left something missing.

    A service that refuses or rejects one query keeps no other from being run: its `Outcome` has the error. Raises
    UsageError, before anything is done, for what is wrong in the file or the call; Stopped after Ctrl-C or SIGTERM, and
    what opening a journal raises.
    """
    told = read_project(project)
    place = fspath(db) if db is not None else told.db
    if place is None:
        raise UsageError(f'{told.path} names no database: write db = "papers.db" under [papers], or name one with --db')
    changes: dict[str, Any] = {"source": source, "since": since, "limit": limit}
    changes = {name: value for name, value in changes.items() if value is not None}
    chosen = [replace(each, **changes) for each in _chosen(told, only)]
    asked = [_check(told, each, place, batch) for each in chosen]
    settings: dict[str, Any] = {
        "batch": batch,
        "email": email or told.email,
        "api_key": api_key or find_api_key(Progress("papers", enabled=False).note),
        "ncbi_url": ncbi_url or told.ncbi_url,
        "crossref_url": crossref_url or told.crossref_url,
        "log": log if log is not None else told.log,
    }
    outcomes = []
    with StopGuard() as guard:
        for query, wanted in zip(chosen, asked, strict=True):
            guard.check()
            outcomes.append(_run(query, wanted, place, settings, due_only=due_only))
            if on_outcome is not None:
                on_outcome(outcomes[-1])
    return ProjectReport(str(told.path), place, tuple(outcomes))


def _run(query: Query, asked: Asked, db: str, settings: dict[str, Any], *, due_only: bool) -> Outcome:
    due = is_due(db, asked, query.every)
    if due.why is None and due_only:
        return Outcome(query.name, None, due.next_at)
    why = due.why or "asked for"
    try:
        return Outcome(query.name, why, report=sync(query.query, db, **_options(query), **settings))
    except ServiceError as error:
        return Outcome(query.name, why, error=error)


def _chosen(project: Project, only: Collection[str]) -> list[Query]:
    names = [each.name for each in project.queries]
    for name in (only,) if isinstance(only, str) else only:
        if name not in names:
            raise UsageError(f"{project.path} names no query {name}: its queries are {', '.join(names)}")
    return [each for each in project.queries if not only or each.name in only]


def _check(project: Project, query: Query, db: str, batch: int) -> Asked:
    try:
        return check(query.query, db, batch=batch, from_log=None, **_options(query))
    except UsageError as error:
        raise UsageError(f"{project.path}: papers.queries.{query.name}: {error}") from error


def _options(query: Query) -> dict[str, Any]:
    """Return what `sync` takes of a query besides its words."""
    names = ("source", "since", "limit", "issn", "orcid", "funder", "dois")
    return {name: getattr(query, name) for name in names}
