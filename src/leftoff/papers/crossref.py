"""Ask Crossref's REST API for works.

1. Every send takes its turn and one of the places for requests at a time, with all processes of this machine; how many
   there are is what the service's answers tell. With an e-mail address they are those of its polite pool.
2. A cursor is a scroll that the service keeps, and no position: the same cursor gives the next page. So a request with
   one is sent once. If its answer is lost, or the cursor has expired, that is `Lost`, and the walk begins again.
3. A 404 counts as "there is no such work" only where one work was asked for, in Crossref's own words.
"""

from __future__ import annotations

import json
import os
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, final

import httpx

from leftoff.errors import ServiceError
from leftoff.papers.headers import limits_in
from leftoff.papers.question import Question
from leftoff.papers.reply import CursorGone, EmptyBody, Inconsistent, NotJSON, Rejected, Truncated, Unusable
from leftoff.papers.service import DEADLINE, TOOL, Service
from leftoff.papers.spans import Span
from leftoff.papers.tables import now
from leftoff.papers.works import Work, work
from leftoff.work.slots import Slots

LIVE = "https://api.crossref.org"
SPACING = 0.25  # seconds between sends where the service does not say: five a second are allowed to everybody
SPACING_POLITE = 0.125  # ten a second to who gives an e-mail address
MARGIN = 1.25  # of what a limit would allow: requests that left evenly need not arrive so
FASTEST, SLOWEST = 0.01, 60.0  # seconds between sends, whatever an answer says
LINGER = 5.0  # seconds: a request of a process that was killed may count at the service for as long
LOOKED_UP = 20  # DOIs in one request
LONGEST = 1_500  # characters of DOIs in one request: longer URLs get 414 from some proxies
NO_SUCH_WORK = b"Resource not found."


class NoSuchWork(ServiceError):
    """Say that the service knows no work of this DOI."""


class Lost(Unusable):
    """Say that a page of a walk did not come, and cannot be asked for again: the walk begins anew."""


@dataclass(frozen=True)
class Page:
    """Be one page of a walk: its works, and how many the service counts in all. ``at``: before it was asked for."""

    works: tuple[Work, ...]
    total: int
    cursor: str
    at: str


@final
class Crossref(Service):
    """Walk the works that a question finds, and look works up by their DOIs.

    url: what ``/works`` is appended to (default: ``LEFTOFF_CROSSREF_URL``, else the live service); email: for the
    polite pool; the rest is as in `Service`.

    Raises UsageError for a URL that is none.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        email: str | None = None,
        attempts: int | None = None,
        deadline: float = DEADLINE,
        sleep: Callable[[float], object] = time.sleep,
        tell: Callable[[str], object] = lambda text: None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(
            url or os.environ.get("LEFTOFF_CROSSREF_URL") or LIVE,
            SPACING_POLITE if email else SPACING,
            agent=f"{TOOL} (mailto:{email})" if email else TOOL,
            attempts=attempts,
            deadline=deadline,
            sleep=sleep,
            tell=tell,
            transport=transport,
        )
        self._slots = Slots(self.place, linger=LINGER)
        self._at_once = 1
        self._who = {"mailto": email} if email else {}

    def count(self, question: Question, span: Span) -> int:
        """Return how many works the question finds in the span.

        Raises ServiceRefused when no usable answer came, Rejected when the request is wrong.
        """
        asked = _asked(question, span) | {"rows": "0"}
        return self._ask("/works", lambda: self._get("/works", asked), lambda body: _listed(body)[0])

    def walk(self, question: Question, span: Span, rows: int) -> Iterator[Page]:
        """Iterate the pages of all works of the span, newest first, until one comes empty or all were given.

        rows: works a page, at most 1,000. Nothing is asked for before the next page is.

        Raises Lost when a page did not come, ServiceRefused when not even the first did, and Rejected.
        """
        asked = _asked(question, span) | {"rows": str(rows), "sort": span.kind, "order": "desc"}
        first = asked | {"cursor": "*"}
        page = self._ask("/works", lambda: self._get("/works", first), _page(rows, now()))
        given = len(page.works)
        yield page
        while page.works and given < page.total:
            at, following = now(), asked | {"cursor": page.cursor}
            try:
                page = _page(rows, at)(self._get("/works", following))
            except Unusable as error:
                lost = Lost(str(error))
                lost.retry_after = error.retry_after
                raise lost from error
            given += len(page.works)
            yield page

    def rest(self, error: Lost, losses: int) -> None:
        """Let the time pass that lies between a loss and the walk's new beginning.

        Raises ServiceRefused when the service wants to be left alone for longer than anybody would wait.
        """
        seconds = self._wait(error, min(losses, 4))
        if seconds is None:
            raise self._refused("/works", error) from error
        self._nap(seconds)

    def look_up(self, dois: Sequence[str]) -> list[Work]:
        """Return the works of these DOIs (normal form), as many as there are; what is left out was denied by name.

        dois: at most `LOOKED_UP`. Raises ServiceRefused when no usable answer came, Rejected when the request is wrong.
        """
        together = [doi for doi in dois if "," not in doi]  # which separates filters
        found: dict[str, Work] = {}
        if len(together) > 1:
            asked = {"filter": ",".join(f"doi:{doi}" for doi in together), "rows": str(len(together))}
            _, works, _ = self._ask("/works", lambda: self._get("/works", asked), _listed)
            found = {each.doi: each for each in works if each.doi in together}
        for doi in dois:
            if doi not in found and (single := self._single(doi)) is not None:
                found[doi] = single
        return list(found.values())

    def _single(self, doi: str) -> Work | None:
        path = f"/works/{urllib.parse.quote(doi, safe='')}"
        try:
            return self._ask(path, lambda: self._get(path, {}), lambda body: _single(body, doi))
        except NoSuchWork:
            return None

    def _get(self, path: str, fields: dict[str, str]) -> bytes:
        return self._send("GET", path, fields | self._who)

    def _place_among_others(self) -> AbstractContextManager[object]:
        return self._slots.hold(self._at_once, self._nap)

    def _take_in(self, response: httpx.Response) -> None:
        spacing, at_once = limits_in(response.headers)
        if spacing is not None:
            self._limiter.pace(min(max(spacing * MARGIN, FASTEST), SLOWEST))
        if at_once is not None:
            self._at_once = at_once

    def _refuse(self, response: httpx.Response, body: bytes) -> None:
        if response.status_code == httpx.codes.NOT_FOUND:
            if b"cursor-invalid" in body:
                raise CursorGone("the service does not know the cursor any more")
            if body.strip() == NO_SUCH_WORK and "/works/" in response.request.url.path:
                raise NoSuchWork(f"{self.url} knows no such work")
        if response.status_code == httpx.codes.BAD_REQUEST and (said := _failures(body)):
            raise Rejected(f"{self.url} rejects the request: {said}")
        super()._refuse(response, body)


def chunks(dois: Sequence[str]) -> Iterator[list[str]]:
    """Iterate the DOIs in lists that can be looked up by one request each."""
    chunk: list[str] = []
    for doi in dois:
        if chunk and (len(chunk) == LOOKED_UP or sum(map(len, chunk)) + len(doi) > LONGEST):
            yield chunk
            chunk = []
        chunk.append(doi)
    if chunk:
        yield chunk


def _asked(question: Question, span: Span) -> dict[str, str]:
    filters = [*(f"{name}:{value}" for name, value in question.filters), *span.filters]
    asked = {"query": question.query} if question.query else {}
    return asked | ({"filter": ",".join(filters)} if filters else {})


def _message(body: bytes, kind: str) -> dict[str, Any]:
    """Return the message of an answer of this kind; raise Unusable for anything else."""
    if not body.strip():
        raise EmptyBody("the service answered with nothing")
    try:
        answer = json.loads(body)
    except ValueError as error:  # also bytes that are no UTF-8
        if not body.lstrip().startswith(b"{"):
            raise NotJSON(f"the service answered with something that is not JSON: {body[:60]!r}") from None
        raise Truncated(f"the answer ends early or is damaged: {error}") from None
    if not isinstance(answer, dict) or answer.get("status") != "ok" or answer.get("message-type") != kind:
        raise Inconsistent(f"the service answered with no {kind}: {body[:120]!r}")
    message = answer.get("message")
    if not isinstance(message, dict):
        raise Inconsistent(f"a {kind} came without a message")
    return message


def _listed(body: bytes) -> tuple[int, tuple[Work, ...], str | None]:
    """Read a list: how many works there are in all, those of this page, and the cursor of the next."""
    message = _message(body, "work-list")
    total, items, cursor = message.get("total-results"), message.get("items"), message.get("next-cursor")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0 or not isinstance(items, list):
        raise Inconsistent("a list of works came without its items or their number")
    works = tuple(work(item) for item in items)
    if len(works) > total:
        raise Inconsistent(f"a list counts {total} works and has {len(works)}")
    return total, works, cursor if isinstance(cursor, str) and cursor else None


def _page(rows: int, at: str) -> Callable[[bytes], Page]:
    """Return the reader of a page of at most so many works; ``at``: before it is asked for, so that no revision that is
    made meanwhile is missed.
    """

    def read(body: bytes) -> Page:
        total, works, following = _listed(body)
        if len(works) > rows:
            raise Inconsistent(f"a page of at most {rows} works came with {len(works)}")
        if following is None and works:
            raise Inconsistent("a page came without the cursor of the next one")
        return Page(works, total, following or "", at)

    return read


def _single(body: bytes, doi: str) -> Work:
    found = work(_message(body, "work"))
    if found.doi != doi:
        raise Inconsistent(f"the service answered with {found.doi} when it was asked for {doi}")
    return found


def _failures(body: bytes) -> str:
    """Return what a validation failure says, in a line; "" for anything else."""
    try:
        message = json.loads(body)["message"]
        return "; ".join(str(each["message"]).strip() for each in message)[:400]
    except (ValueError, KeyError, TypeError):
        return ""
