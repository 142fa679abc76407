"""Ask PubMed's E-utilities, with manners.

1. Every send takes its turn under the name of the service's host and port, with all processes of this machine, the
   repeated ones included; a Retry-After holds all of them back.
2. Each request names tool and e-mail, goes out by POST (long lists of ids get 414 otherwise; a key in a URL gets into
   logs), and has an end: a time-out for each step and one for the whole answer, which a slow drip cannot outlive.
3. An answer is used when it is what was asked for: `Unusable` ones are asked again with growing waits, until
   `ServiceRefused` gives up. Nothing that went wrong looks like a search without hits.
4. The API key appears in no message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from types import TracebackType
from typing import TypeVar, final

import httpx

from leftoff.errors import ServiceRefused, UsageError
from leftoff.papers.answers import count_of, excerpt, hits, records_of
from leftoff.papers.pubmed import Record
from leftoff.papers.reply import ErrorElement, Limited, Rejected, Truncated, Unavailable, Unusable
from leftoff.papers.windows import REACHED, Hits, Window
from leftoff.work import retry
from leftoff.work.rate import Limiter

R = TypeVar("R")

LIVE = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
TOOL = "leftoff"
SPACING = 0.37  # seconds between sends without a key: Biopython's; three a second are allowed
SPACING_WITH_KEY = 0.11  # EDirect's; ten a second are allowed
LARGEST_FETCH = 200  # ids; larger ones have been answered with 502 or not at all
ATTEMPTS = 6
PATIENCE = 600.0  # seconds: a longer Retry-After ends the run instead, which is kept
TIMEOUT = httpx.Timeout(60.0, connect=20.0)
DEADLINE = 300.0  # seconds for a whole answer


@final
class Entrez:
    """Search PubMed and fetch its records; count the requests and the seconds waited.

    url: what ``/esearch.fcgi`` is appended to (default: ``LEFTOFF_NCBI_URL``, else the live service); email: NCBI
    writes there before it blocks; api_key: allows 10 requests a second; attempts: how often one request is made before
    giving up; sleep: lets seconds pass, and may raise to stop; tell: is told, in a line, when the service failed more
    than once; transport: for tests.

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
        self.url = (url or os.environ.get("LEFTOFF_NCBI_URL") or LIVE).rstrip("/")
        place = _place(self.url)
        self.requests = 0
        self.waited_s = 0.0
        self._key = api_key or ""
        self._who = {"tool": TOOL} | ({"email": email} if email else {}) | ({"api_key": api_key} if api_key else {})
        self._attempts = ATTEMPTS if attempts is None else attempts
        self._deadline = deadline
        self._nap = sleep
        self.tell = tell
        self._limiter = Limiter(place, SPACING_WITH_KEY if api_key else SPACING)
        self._http = httpx.Client(
            timeout=TIMEOUT, transport=transport, follow_redirects=False, headers={"User-Agent": TOOL}
        )

    def __enter__(self) -> Entrez:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(self, query: str, window: Window) -> Hits:
        """Return what the query finds in the window: all of it, if the count is within reach of one search.

        Raises ServiceRefused when no usable answer came, Rejected when the request is wrong.
        """
        return self._ask("esearch", _asked(query, window, REACHED), hits)

    def count(self, query: str, window: Window) -> int:
        """Return how many records the query finds in the window; raise what `search` raises."""
        return self._ask("esearch", _asked(query, window, 0), count_of)

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
        return self._ask("efetch", {"db": "pubmed", "retmode": "xml", "id": ",".join(pmids)}, records_of(pmids))

    def _ask(self, tool: str, asked: dict[str, str], read: Callable[[bytes], R]) -> R:
        try:
            return retry.call(
                lambda: self._read(read, self._answer(tool, asked)),
                attempts=self._attempts,
                wait=self._wait,
                sleep=self._nap,
            )
        except Unusable as error:
            raise ServiceRefused(
                f"{self.url} gives no usable answer to {tool}; the last: {error}. "
                "Everything so far is kept: run the same command again later"
            ) from error

    def _read(self, read: Callable[[bytes], R], body: bytes) -> R:
        try:
            return read(body)
        except Unusable as error:  # it may quote an answer that repeats the key
            raise type(error)(self._clean(str(error))) from None

    def _wait(self, error: Exception, failures: int) -> float | None:
        """Return how long to wait before the request is made again, None to give up."""
        if not isinstance(error, Unusable):
            return None
        if error.retry_after is not None:
            if error.retry_after > PATIENCE:
                return None
            self._limiter.push_back(error.retry_after)
        seconds = retry.delay(failures)
        self.waited_s += seconds
        if 1 < failures < self._attempts:  # a single failure is everyday's
            pause = max(seconds, error.retry_after or 0.0)
            self.tell(f"{error}; asking again in {pause:.0f} s (attempt {failures + 1} of {self._attempts})")
        return seconds

    def _answer(self, tool: str, asked: dict[str, str]) -> bytes:
        """Send one request in its turn, and return the body of an answer that may be used."""
        begun = time.monotonic()
        self._limiter.wait(self._nap)
        self.waited_s += time.monotonic() - begun
        self.requests += 1
        url, fields = f"{self.url}/{tool}.fcgi", asked | self._who
        with self._transport_errors(), self._http.stream("POST", url, data=fields) as response:
            body = self._body(response)
        self._check(response, body)
        return body

    def _body(self, response: httpx.Response) -> bytes:
        end = time.monotonic() + self._deadline
        pieces = []
        for piece in response.iter_bytes():
            pieces.append(piece)
            if time.monotonic() > end:
                raise Unavailable(f"the answer was not complete after {self._deadline:.0f} s")
        return b"".join(pieces)

    @contextmanager
    def _transport_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.DecodingError as error:
            raise Truncated(f"the answer cannot be decompressed: {self._clean(str(error))}") from None
        except httpx.TimeoutException as error:
            raise Unavailable(f"no answer in time ({type(error).__name__})") from None
        except httpx.ConnectError as error:
            raise Unavailable(f"no connection ({self._clean(str(error))})") from None
        except httpx.TransportError as error:
            raise Unavailable(f"{type(error).__name__}: {self._clean(str(error))}") from None

    def _check(self, response: httpx.Response, body: bytes) -> None:
        """Raise what a status other than 200 means."""
        status, after = response.status_code, retry.after(response.headers.get("Retry-After", ""))
        if status == httpx.codes.OK:
            return
        said = f"{status} {response.reason_phrase}: {self._clean(excerpt(body))}"
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise Limited(said, after)
        if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
            raise Unavailable(said, after)
        if status == httpx.codes.BAD_REQUEST and b"<ERROR>" in body:
            raise ErrorElement(said)  # also the envelope in which a 502 of a backend comes
        if status == httpx.codes.FORBIDDEN:
            raise ServiceRefused(
                f"{self.url} refuses this machine ({said}). Stop for some hours, give an e-mail address so that the "
                "service can write before it blocks, then run the same command again: everything so far is kept"
            )
        raise Rejected(f"{self.url} rejects the request ({said}): check the URL, the query and the API key")

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[api key]") if self._key else text


def _place(url: str) -> str:
    """Return the host and port under which the service's limit is shared."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError(f"{url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"{url!r} is no URL of a service: it begins with http:// or https:// and a host")
    return f"{parsed.host}:{parsed.port or (443 if parsed.scheme == 'https' else 80)}"


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
