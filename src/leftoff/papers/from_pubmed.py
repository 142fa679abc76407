"""Bring what PubMed finds: list, fetch, account."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from leftoff.papers.account import Account, Brought
from leftoff.papers.fetch import Wanted
from leftoff.papers.keeping import keep_all
from leftoff.papers.pmids import clear_completed, list_log, list_pmids
from leftoff.papers.searches import Search, complete, open_search, shortfall_of

if TYPE_CHECKING:
    from leftoff.papers.asked import Asked
    from leftoff.papers.entrez import Entrez
    from leftoff.papers.log import ProgressLog
    from leftoff.papers.sync_report import SyncReport
    from leftoff.work.run import Run


def bring(run: Run, entrez: Entrez, asked: Asked, log: ProgressLog | None) -> SyncReport:
    """Store what PubMed finds and the database lacks; return the accounts."""
    clear_completed(run)
    account = Account(run)
    if asked.from_log is not None:
        account.add(_bring(run, entrez, list_log(run, Path(asked.from_log)), asked.batch, log))
        return account.report(entrez)
    resumed = True
    while resumed:  # what was interrupted is finished as it was begun, then what came meanwhile is brought
        search = open_search(run, asked.query, asked.since, asked.limit)
        resumed = search.opened_at < account.since and asked.limit is None
        list_pmids(run, entrez, search)
        account.add(_bring(run, entrez, search, asked.batch, log))
    return account.report(entrez)


def _bring(run: Run, entrez: Entrez, search: Search, batch: int, log: ProgressLog | None) -> Brought:
    """Fetch what was listed and close the search."""
    wanted = Wanted(run, entrez, search, batch)
    wanted.forget_stale()
    keep_all(run.connection, run.batches(wanted, batch, key=lambda item: item.key), log)
    walked = run.report_of_pass
    shortfall = shortfall_of(run, search)
    complete(run, search, missing=shortfall + (0 if walked is None else walked.dead))  # the pass itself refuses a gap
    return Brought(search, wanted.last, shortfall)
