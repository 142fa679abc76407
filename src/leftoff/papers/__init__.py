"""Ingest papers from PubMed and Crossref into a local database, interruptible at any instant."""

from leftoff.errors import MissingExtra

try:
    import httpx as _httpx  # noqa: F401
    import lxml as _lxml  # noqa: F401
except ImportError as error:
    raise MissingExtra(f'papers need {error.name}, which is not installed: pip install "leftoff[papers]"') from error

from leftoff.papers.asked import Source
from leftoff.papers.came import Came, Day, NewPaper, QueryCame, ServiceCame, Totals
from leftoff.papers.daily import Outcome, ProjectReport, sync_project
from leftoff.papers.listing import Listed, listed
from leftoff.papers.report import SyncReport
from leftoff.papers.reporting import report
from leftoff.papers.sync import sync

__all__ = [
    "Came",
    "Day",
    "Listed",
    "NewPaper",
    "Outcome",
    "ProjectReport",
    "QueryCame",
    "ServiceCame",
    "Source",
    "SyncReport",
    "Totals",
    "listed",
    "report",
    "sync",
    "sync_project",
]
