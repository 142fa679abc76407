"""Bring a database of papers up to date with a query, or with what a list names."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from datetime import date
from functools import partial
from os import PathLike, fspath

from leftoff.errors import ServiceRefused
from leftoff.papers import from_crossref, from_pubmed, index, tables
from leftoff.papers.asked import Asked, Source, check
from leftoff.papers.crossref import Crossref
from leftoff.papers.entrez import LARGEST_FETCH, Entrez
from leftoff.papers.log import ProgressLog
from leftoff.papers.sync_report import SyncReport
from leftoff.work.journal import Journal
from leftoff.work.journal import open as open_journal
from leftoff.work.progress import Progress
from leftoff.work.run import Run
from leftoff.work.signals import StopGuard


def sync(
    query: str,
    db: str | PathLike[str],
    *,
    source: Source = "pubmed",
    since: date | str | None = None,
    limit: int | None = None,
    batch: int = LARGEST_FETCH,
    email: str | None = None,
    api_key: str | None = None,
    ncbi_url: str | None = None,
    crossref_url: str | None = None,
    issn: Iterable[str] = (),
    orcid: Iterable[str] = (),
    funder: Iterable[str] = (),
    dois: str | PathLike[str] | None = None,
    log: str | PathLike[str] | None = None,
    from_log: str | PathLike[str] | None = None,
) -> SyncReport:
    """Store each paper that the services find for the query and the database lacks; run it again after any end.

    query: in PubMed's language, and for Crossref words, as they are; db: the database (``*.db``), made if absent;
    source: "pubmed", "crossref" or "both"; since: only papers added from this day on (default: all the first time,
    later those added or revised since the last complete day); limit: the newest so many of each service; batch: records
    a request, at most 200; email: NCBI writes there before it blocks a program, and Crossref is faster for those who
    give one; api_key: of NCBI, for 10 requests a second in place of 3; ncbi_url, crossref_url: what ``/esearch.fcgi``
    and ``/works`` are appended to, of a mirror or a replica (default: ``LEFTOFF_NCBI_URL``, ``LEFTOFF_CROSSREF_URL``,
    else the live service); issn, orcid, funder: Crossref finds only works of one of these journals, authors, funders;
    dois: a file of DOIs, one a line, to look up at Crossref in place of a query; log: a progress log in JSON Lines;
    from_log: fetch just what this log has and the database lacks, and search for nothing (the query may be empty).

    Raises ServiceRefused when a service keeps refusing (what another one gives is brought all the same) and Stopped
    after Ctrl-C or SIGTERM (everything so far is kept), Rejected when a request is wrong, UsageError for arguments that
    are, and what opening a journal raises.
    """
    asked = check(
        query,
        fspath(db),
        source=source,
        since=since,
        limit=limit,
        batch=batch,
        issn=issn,
        orcid=orcid,
        funder=funder,
        dois=dois,
        from_log=from_log,
    )
    index.check()
    with (
        StopGuard() as guard,
        Entrez(ncbi_url, email=email, api_key=api_key, sleep=guard.sleep) as entrez,
        Crossref(crossref_url, email=email, sleep=guard.sleep) as crossref,
        open_journal(fspath(db)) as journal,
    ):
        first = journal.run(asked.services[0])
        tables.create(first.connection)
        with nullcontext() if log is None else ProgressLog(log, first.connection) as progress:
            return _bring_all(journal, entrez, crossref, asked, progress)


def _bring_all(
    journal: Journal, entrez: Entrez, crossref: Crossref, asked: Asked, log: ProgressLog | None
) -> SyncReport:
    """Ask one service after the other; one that refuses keeps no other from being asked."""
    reports, refused = [], None
    for name in asked.services:
        run = journal.run(name)
        try:
            if name == "pubmed":
                entrez.tell = partial(_tell, run)
                reports.append(from_pubmed.bring(run, entrez, asked, log))
            else:
                crossref.tell = partial(_tell, run)
                reports.append(from_crossref.bring(run, crossref, asked, log))
        except ServiceRefused as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return SyncReport.together(dict(zip(asked.services, reports, strict=True)))


def _tell(run: Run, text: str) -> None:
    """Print a line, beside the bar where there is one."""
    if run.current_walk is not None:
        run.current_walk.say(text)
    else:
        Progress(run.name, enabled=False).note(f"{run.name}: {text}")
