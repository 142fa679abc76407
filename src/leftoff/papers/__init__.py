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
from leftoff.papers.duplicates import Duplicate, duplicates
from leftoff.papers.export import ExportFormat, ExportReport, export
from leftoff.papers.linked import Linked, SaidBy, Standing, links_of, status_of
from leftoff.papers.listing import Listed, listed
from leftoff.papers.paper import Paper
from leftoff.papers.reporting import report
from leftoff.papers.search import Findings, Found, search
from leftoff.papers.show import show
from leftoff.papers.split import split
from leftoff.papers.sync import sync
from leftoff.papers.sync_report import SyncReport

__all__ = [
    "Came",
    "Day",
    "Duplicate",
    "ExportFormat",
    "ExportReport",
    "Findings",
    "Found",
    "Linked",
    "Listed",
    "NewPaper",
    "Outcome",
    "Paper",
    "ProjectReport",
    "QueryCame",
    "SaidBy",
    "ServiceCame",
    "Source",
    "Standing",
    "SyncReport",
    "Totals",
    "duplicates",
    "export",
    "links_of",
    "listed",
    "report",
    "search",
    "show",
    "split",
    "status_of",
    "sync",
    "sync_project",
]
