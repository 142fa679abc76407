"""Break the replica's answers in the ways Crossref's have been seen to break: docs/replica.md lists them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from leftoff.testing.replica_faults import SENDING, Dice, Fault
from leftoff.testing.replica_server import Reply, page

JSON = "application/json"
_NAMED = re.compile(rb'(?<!\\)"(?=:)')  # the end of a name in JSON: in a text its quotation mark would be escaped

FAULTS = {
    "429": Fault("429 with an HTML page and Retry-After although the limits are kept"),
    "429-bare": Fault("the same without Retry-After and limits"),
    "refuse-after": Fault("429 for ever once a page would bring work N+1", rate=500.0, standing=True, counts=True),
    "empty-200": Fault("200 with an empty body"),
    "html-200": Fault("200 with an HTML page"),
    "500": Fault("500 with the JSON of an exception"),
    "502": Fault("502 with an HTML page"),
    "503": Fault("503 with an HTML page"),
    "504": Fault("504 of the load balancer, whatever became of the request"),
    "lost-page": Fault("504 in place of a page that its cursor has moved past", to="cursor"),
    "cursor-expiry": Fault("a cursor is gone when it is used", to="cursor"),
    "growing": Fault("one of the works held back (a tenth) enters before the list, created today", to="list"),
    "shrinking": Fault("a work that a list has still to show is deleted before its page is made", to="list"),
    "short-page": Fault("a page holds fewer works than there are", to="list"),
    "no-limits": Fault("no header tells the limits"),
    "doubled-limits": Fault("each header of the limits has its value twice: 10, 10"),
    "odd-limits": Fault("the headers come in two spellings that contradict each other"),
    "flip": Fault("a byte of the body's JSON is exchanged for another, so that it is none"),
    **SENDING,
    "revised": Fault("this share of works is deposited again on each new day", standing=True),
}  # fmt: skip


class Faults(Dice):
    """Decide which fault a request meets, and answer as the fault has it."""

    table = FAULTS

    def meets(self, *, listed: bool, cursor: bool) -> str | None:
        """Return the fault that the next request meets, or None: whether it lists, and goes on with a cursor."""
        kinds = {"both", *(["list"] if listed else []), *(["cursor"] if cursor else [])}
        return self.draw(lambda fault: fault.to in kinds)

    def instead(self, name: str | None) -> Reply | None:
        """Return what comes in place of an answer, None when fault `name` lets the request through."""
        return _INSTEAD[name]() if name in _INSTEAD else None

    def flip(self, body: bytes) -> bytes:
        """Return `body` with one of its colons exchanged, behind a name: in a text nobody could tell."""
        with self.lock:
            places = [found.end() for found in _NAMED.finditer(body)]
            place = self.random.choice(places) if places else 0
        return body[:place] + b";" + body[place + 1 :]


def too_many(*, retry_after: bool = True) -> Reply:
    """Return what comes of asking too often: HTML."""
    reply = page(429, "429 Too Many Requests", "You have exceeded the request limit.")
    if retry_after:
        reply.headers["Retry-After"] = "1"
    return reply


def timed_out() -> Reply:
    """Return the load balancer's page."""
    reply = page(504, "504 Gateway Time-out", "")
    reply.headers["Server"] = "awselb/2.0"
    return reply


def _exception() -> Reply:
    told: dict[str, object] = {"name": "class clojure.lang.ExceptionInfo", "message": "Response Exception"}
    text = {"status": "error", "message-type": "exception", "message-version": "1.0.0", "message": told}
    return Reply(500, json.dumps(text).encode(), JSON)


_INSTEAD: dict[str | None, Callable[[], Reply]] = {
    "429": too_many,
    "429-bare": lambda: too_many(retry_after=False),
    "empty-200": lambda: Reply(200, b"", JSON),
    "html-200": lambda: page(200, "Crossref", "We are doing some maintenance."),
    "500": _exception,
    "502": lambda: page(502, "502 Bad Gateway", ""),
    "503": lambda: page(503, "503 Service Temporarily Unavailable", ""),
    "504": timed_out,
}
