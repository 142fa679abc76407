"""Ask a literature service over HTTP, with manners.

1. Every send takes its turn under the name of the service's host and port, with all processes of this machine, the
   repeated ones included; a Retry-After holds all of them back.
2. Each request has an end: a time-out for each step and one for the whole answer, which a slow drip cannot outlive.
3. An answer is used when it is what was asked for: `Unusable` ones are asked again with growing waits, until
   `ServiceRefused` gives up. Nothing that went wrong looks like an empty result.
4. A secret appears in no message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TypeVar

import httpx

from leftoff.errors import ServiceRefused, UsageError
from leftoff.papers.answers import excerpt
from leftoff.papers.reply import Limited, Rejected, Truncated, Unavailable, Unusable
from leftoff.work import retry
from leftoff.work.rate import Limiter

S = TypeVar("S", bound="Service")
R = TypeVar("R")

TOOL = "leftoff"
ATTEMPTS = 6
PATIENCE = 600.0  # seconds: a longer Retry-After ends the run instead, which is kept
TIMEOUT = httpx.Timeout(60.0, connect=20.0)
DEADLINE = 300.0  # seconds for a whole answer


class Service:
    """Be one service: count the requests and the seconds waited, and give up in time.

    url: what the paths are appended to; spacing: seconds between two sends; agent: the User-Agent; secret: what no
    message may show; attempts: how often one request is made before giving up (default: ``ATTEMPTS``); deadline:
    seconds for a whole answer; sleep: lets seconds pass, and may raise to stop; tell: is told, in a line, when the
    service failed more than once; transport: for tests.

    Raises UsageError for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        spacing: float,
        *,
        agent: str = TOOL,
        secret: str = "",
        attempts: int | None = None,
        deadline: float = DEADLINE,
        sleep: Callable[[float], object] = time.sleep,
        tell: Callable[[str], object] = lambda text: None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.place = _place(self.url)
        self.requests = 0
        self.waited_s = 0.0
        self.tell = tell
        self._secret = secret
        self._attempts = ATTEMPTS if attempts is None else attempts
        self._deadline = deadline
        self._nap = sleep
        self._limiter = Limiter(self.place, spacing)
        self._http = httpx.Client(
            timeout=TIMEOUT, transport=transport, follow_redirects=False, headers={"User-Agent": agent}
        )

    def __enter__(self: S) -> S:  # noqa: PYI019  # typing has no Self before 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, what: str, send: Callable[[], bytes], read: Callable[[bytes], R]) -> R:
        """Send until an answer can be read, and return what was read."""
        try:
            return retry.call(
                lambda: self._read(read, send()),
                attempts=self._attempts,
                wait=self._wait,
                sleep=self._nap,
            )
        except Unusable as error:
            raise self._refused(what, error) from error

    def _refused(self, what: str, error: Unusable) -> ServiceRefused:
        return ServiceRefused(
            f"{self.url} gives no usable answer to {what}; the last: {error}. "
            "Everything so far is kept: run the same command again later"
        )

    def _read(self, read: Callable[[bytes], R], body: bytes) -> R:
        try:
            return read(body)
        except Unusable as error:  # it may quote an answer that repeats the secret
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
            self._say(error, seconds, f"attempt {failures + 1} of {self._attempts}")
        return seconds

    def _say(self, error: Unusable, seconds: float, which: str) -> None:
        self.tell(f"{error}; asking again in {max(seconds, error.retry_after or 0.0):.0f} s ({which})")

    def _send(self, method: str, path: str, fields: Mapping[str, str]) -> bytes:
        """Send one request in its turn, and return the body of an answer that may be used.

        fields: the form of a POST, the query of a GET.
        """
        begun = time.monotonic()
        with self._place_among_others():
            self._limiter.wait(self._nap)
            self.waited_s += time.monotonic() - begun
            self.requests += 1
            told = {"data": dict(fields)} if method == "POST" else {"params": dict(fields)}
            with self._transport_errors(), self._http.stream(method, self.url + path, **told) as response:  # type: ignore[arg-type]
                body = self._body(response)
        self._take_in(response)
        if response.status_code != httpx.codes.OK:
            self._refuse(response, body)
        return body

    def _place_among_others(self) -> AbstractContextManager[object]:
        """Hold one of the places for requests at a time, where the service counts them."""
        return nullcontext()

    def _take_in(self, response: httpx.Response) -> None:
        """Learn from the headers of an answer."""

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

    def _refuse(self, response: httpx.Response, body: bytes) -> None:
        """Raise what a status other than 200 means."""
        status, after = response.status_code, retry.after(response.headers.get("Retry-After", ""))
        said = f"{status} {response.reason_phrase}: {self._clean(excerpt(body))}"
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise Limited(said, after)
        if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
            raise Unavailable(said, after)
        if status == httpx.codes.FORBIDDEN:
            raise ServiceRefused(
                f"{self.url} refuses this machine ({said}). Stop for some hours, give an e-mail address so that the "
                "service can write before it blocks, then run the same command again: everything so far is kept"
            )
        raise Rejected(f"{self.url} rejects the request ({said}): check the URL, the query and the API key")

    def _clean(self, text: str) -> str:
        return text.replace(self._secret, "[api key]") if self._secret else text


def _place(url: str) -> str:
    """Return the host and port under which the service's limit is shared."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError(f"{url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"{url!r} is no URL of a service: it begins with http:// or https:// and a host")
    return f"{parsed.host}:{parsed.port or (443 if parsed.scheme == 'https' else 80)}"
