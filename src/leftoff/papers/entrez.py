"""Ask PubMed's E-utilities.

1. Each request names tool and e-mail, and goes out by POST: long lists of ids get 414 otherwise, and a key in a URL
   gets into logs.
2. The API key appears in no message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar, final

import httpx

from leftoff.errors import UsageError
from leftoff.papers.answers import count_of, excerpt, hits, records_of
from leftoff.papers.record import Record
from leftoff.papers.reply import ErrorElement
from leftoff.papers.service import DEADLINE, TOOL, Service
from leftoff.papers.windows import REACHED, Hits, Window

R = TypeVar("R")

LIVE = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
SPACING = 0.37  # seconds between sends without a key: Biopython's; three a second are allowed
SPACING_WITH_KEY = 0.11  # EDirect's; ten a second are allowed
LARGEST_FETCH = 200  # ids; larger ones have been answered with 502 or not at all


@final
class Entrez(Service):
    """Search PubMed and fetch its records.

    url: what ``/esearch.fcgi`` is appended to (default: ``LEFTOFF_NCBI_URL``, else the live service); email: NCBI
    writes there before it blocks; api_key: allows 10 requests a second; the rest is as in `Service`.

    Raises UsageError for a URL that is none.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        email: str | None = None,
        api_key: str | None = None,
        attempts: int | None = None,
        deadline: float = DEADLINE,
        sleep: Callable[[float], object] = time.sleep,
        tell: Callable[[str], object] = lambda text: None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(
            url or os.environ.get("LEFTOFF_NCBI_URL") or LIVE,
            SPACING_WITH_KEY if api_key else SPACING,
            secret=api_key or "",
            attempts=attempts,
            deadline=deadline,
            sleep=sleep,
            tell=tell,
            transport=transport,
        )
        self._who = {"tool": TOOL} | ({"email": email} if email else {}) | ({"api_key": api_key} if api_key else {})

    def search(self, query: str, window: Window) -> Hits:
        """Return what the query finds in the window: all of it, if the count is within reach of one search.

        Raises ServiceRefused when no usable answer came, Rejected when the request is wrong.
        """
        return self._tool("esearch", _asked(query, window, REACHED), hits)

    def count(self, query: str, window: Window) -> int:
        """Return how many records the query finds in the window; raise what `search` raises."""
        return self._tool("esearch", _asked(query, window, 0), count_of)

    def fetch(self, pmids: Sequence[str]) -> list[Record]:
        """Return the records of these PMIDs, in the order asked; a PMID that the service does not send is left out.

        pmids: at most 200. What is missing from an answer is asked for again as long as that brings something, since
        short answers are common: so what is left out was denied twice.

        Raises ServiceRefused when no usable answer came, Rejected when the request is wrong.
        """
        if len(pmids) > LARGEST_FETCH:
            raise UsageError(f"{len(pmids)} ids in one fetch: ask for at most {LARGEST_FETCH}")
        found = self._records(pmids)
        while lacking := [pmid for pmid in pmids if pmid not in found]:
            more = self._records(lacking)
            if not more:
                break
            found |= more
        return [found[pmid] for pmid in pmids if pmid in found]

    def _records(self, pmids: Sequence[str]) -> dict[str, Record]:
        return self._tool("efetch", {"db": "pubmed", "retmode": "xml", "id": ",".join(pmids)}, records_of(pmids))

    def _tool(self, tool: str, asked: dict[str, str], read: Callable[[bytes], R]) -> R:
        return self._ask(tool, lambda: self._send("POST", f"/{tool}.fcgi", asked | self._who), read)

    def _refuse(self, response: httpx.Response, body: bytes) -> None:
        if response.status_code == httpx.codes.BAD_REQUEST and b"<ERROR>" in body:
            said = f"{response.status_code} {response.reason_phrase}: {self._clean(excerpt(body))}"
            raise ErrorElement(said)  # also the envelope in which a 502 of a backend comes
        super()._refuse(response, body)


def _asked(query: str, window: Window, retmax: int) -> dict[str, str]:
    """Return the fields of a search."""
    asked = {"db": "pubmed", "retmode": "xml", "retmax": str(retmax), "term": _term(query, window)}
    if not window.whole:
        asked |= {"datetype": window.kind, "mindate": _slashed(window.first), "maxdate": _slashed(window.last)}
    return asked


def _slashed(day: date) -> str:
    return day.isoformat().replace("-", "/")


def _term(query: str, window: Window) -> str:
    if not query.strip():
        raise UsageError("the query is empty: PubMed searches for something")
    return f"({query}) AND {window.low}:{window.high}[UID]" if window.by_pmid else query
