"""Say what is wrong with an answer of a literature service, so that the one who asked knows whether to ask again.

ServiceError
├── Unusable          this answer cannot be used; the next one may be
│   ├── Limited         too many requests (429): carries how long to stay away
│   ├── Unavailable     a status of 500 and above, a time-out, a broken connection
│   ├── ErrorElement    an <ERROR> in place of the result, under whatever status
│   ├── EmptyBody       nothing at all under 200
│   ├── NotXML          an HTML page or JSON in place of XML
│   ├── NotJSON         an HTML page or text in place of JSON
│   ├── Truncated       XML or JSON that ends early or is damaged
│   ├── Inconsistent    a result that contradicts itself or the question
│   └── CursorGone      a cursor that the service does not know, or knows no more
├── Rejected          the request itself is wrong: asking again changes nothing
└── ServiceRefused    it kept refusing (see `leftoff.errors`)
"""

from __future__ import annotations

from leftoff.errors import ServiceError


class Unusable(ServiceError):
    """Say that one answer cannot be used and that asking again may help."""

    retry_after: float | None = None


class Limited(Unusable):
    """Say that the service wants fewer requests, and how many seconds it wants to be left alone, if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Unusable):
    """Say that no answer came, or one that says the service is down; it may carry how many seconds to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ErrorElement(Unusable):
    """Say that the answer is an <ERROR>; the service's texts vary, so only the element counts."""


class EmptyBody(Unusable):
    """Say that the answer is empty, which is not the same as a result without records."""


class NotXML(Unusable):
    """Say that another kind of page came in place of XML."""


class NotJSON(Unusable):
    """Say that another kind of page came in place of JSON."""


class Truncated(Unusable):
    """Say that the XML or JSON ends early or is not well formed."""


class Inconsistent(Unusable):
    """Say that the result contradicts itself or the question."""


class CursorGone(Unusable):
    """Say that the service does not know a cursor (any more): what it stood for has to be walked anew."""


class Rejected(ServiceError):
    """Say that the service rejects the request itself; asking again changes nothing."""
