"""Bring a database of papers up to date with a query: list, fetch, account."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date, datetime
from os import PathLike, fspath
from pathlib import Path

from leftoff.errors import UsageError
from leftoff.papers import tables
from leftoff.papers.account import Account, Brought
from leftoff.papers.client import LARGEST_FETCH, Entrez
from leftoff.papers.fetch import Wanted, fetch_and_store
from leftoff.papers.log import ProgressLog
from leftoff.papers.report import SyncReport
from leftoff.papers.search import Search, clear_completed, complete, list_log, list_pmids, open_search, shortfall_of
from leftoff.work.journal import open as open_journal
from leftoff.work.progress import Progress
from leftoff.work.run import Run
from leftoff.work.signals import StopGuard

RUN = "pubmed"
SUFFIXES = (".db", ".sqlite", ".sqlite3")


def sync(
    query: str,
    db: str | PathLike[str],
    *,
    since: date | str | None = None,
    limit: int | None = None,
    batch: int = LARGEST_FETCH,
    email: str | None = None,
    api_key: str | None = None,
    ncbi_url: str | None = None,
    log: str | PathLike[str] | None = None,
    from_log: str | PathLike[str] | None = None,
) -> SyncReport:
    """Store every paper that PubMed finds for the query and the database lacks; run it again after any interruption.

    query: in PubMed's language; db: the database (``*.db``), made if absent; since: only papers added from this day on
    (default: all the first time, later those added or revised since the last complete day); limit: the newest so many;
    batch: records a request, at most 200; email: NCBI writes there before it blocks a program; api_key: of NCBI, for 10
    requests a second in place of 3; ncbi_url: what ``/esearch.fcgi`` is appended to, of a mirror or a replica (default:
    ``LEFTOFF_NCBI_URL``, else the live service); log: a progress log in JSON Lines; from_log: fetch just what this log
    has and the database lacks, and search for nothing (the query may be empty).

    Raises ServiceRefused when the service keeps refusing and Stopped after Ctrl-C or SIGTERM (everything so far is
    kept), Rejected when a request is wrong, UsageError for arguments that are, and what opening a journal raises.
    """
    first = _day(since)
    _check(query, fspath(db), limit, batch, searching=from_log is None)
    with (
        StopGuard() as guard,
        Entrez(ncbi_url, email=email, api_key=api_key, sleep=guard.sleep) as entrez,
        open_journal(fspath(db)) as journal,
    ):
        run = journal.run(RUN)
        entrez.tell = lambda text: _tell(run, text)
        tables.create(run.connection)
        clear_completed(run)
        with nullcontext() if log is None else ProgressLog(log, run.connection) as progress:
            account = Account(run)
            if from_log is not None:
                account.add(_bring(run, entrez, list_log(run, Path(from_log)), batch, progress))
                return account.report(entrez)
            resumed = True
            while resumed:  # what was interrupted is finished as it was begun, then what came meanwhile is brought
                search = open_search(run, query, first, limit)
                resumed = search.opened_at < account.since and limit is None
                list_pmids(run, entrez, search)
                account.add(_bring(run, entrez, search, batch, progress))
            return account.report(entrez)


def _bring(run: Run, entrez: Entrez, search: Search, batch: int, log: ProgressLog | None) -> Brought:
    """Fetch what was listed and close the search."""
    wanted = Wanted(run, entrez, search, batch)
    wanted.forget_stale()
    fetch_and_store(run, wanted, batch, log)
    walked = run.report_of_pass
    shortfall = shortfall_of(run, search)
    complete(run, search, missing=shortfall + (0 if walked is None else walked.dead))  # the pass itself refuses a gap
    return Brought(search, wanted.last, shortfall)


def _tell(run: Run, text: str) -> None:
    """Print a line, beside the bar where there is one."""
    if run.current_walk is not None:
        run.current_walk.say(text)
    else:
        Progress(RUN, enabled=False).note(f"{RUN}: {text}")


def _day(since: date | str | None) -> date | None:
    if isinstance(since, datetime):
        return since.date()
    if not isinstance(since, str):
        return since
    try:
        return date.fromisoformat(since.replace("/", "-"))
    except ValueError:
        raise UsageError(f"since={since!r} is no day: write it as 2026-01-31") from None


def _check(query: str, db: str, limit: int | None, batch: int, *, searching: bool) -> None:
    if searching and not query.strip():
        raise UsageError("the query is empty: PubMed searches for something")
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit}: at least one paper, or none for no limit")
    if not 1 <= batch <= LARGEST_FETCH:
        raise UsageError(f"batch={batch}: from 1 to {LARGEST_FETCH} records a request")
    if Path(db).suffix not in SUFFIXES:
        raise UsageError(f"{db}: papers are kept in tables: name a database whose name ends in .db, such as papers.db")
