"""Answer /works as Crossref's REST API does: its pages, its scroll cursors, its limits, its refusals."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, TextIO

from leftoff.testing import crossref_query as query
from leftoff.testing.crossref_faults import JSON, Faults, timed_out, too_many
from leftoff.testing.crossref_limits import Pools, Verdict
from leftoff.testing.crossref_works import Library
from leftoff.testing.replica_faults import chance
from leftoff.testing.replica_server import Call, Reply, page
from leftoff.testing.replica_service import BaseService

ROUTE = "/works"
_NOT_FOUND = b"Resource not found."
_SCROLLS = 1000  # that are kept; the oldest goes


@dataclasses.dataclass
class Scroll:
    """Be what a cursor stands for: the list as it was, how much of it was given, and until when it is kept."""

    dois: list[str]
    given: int
    expires: float  # monotonic seconds
    select: list[str]


class Service(BaseService):
    """Answer requests on the works of ``library``, within the limits of ``pools``, broken by ``faults``; log each.

    cursor_life: the seconds for which a cursor is kept that nobody uses.
    """

    routes = ROUTE

    def __init__(
        self, library: Library, pools: Pools, faults: Faults, *, cursor_life: float, log: TextIO | None
    ) -> None:
        super().__init__(faults, log)
        self.library = library
        self.pools = pools
        self.faults = faults
        self.cursor_life = cursor_life
        self._held: list[str] = []
        self._scrolls: dict[str, Scroll] = {}
        self._verdicts: dict[int, Verdict] = {}
        for name, rate in list(faults.rates.items()):
            self.switch(name, rate)

    # -- the replica itself --------------------------------------------------------------------------------------

    def serves(self, path: str) -> bool:
        """Return whether a path is one of the service."""
        return path == ROUTE or path.startswith(f"{ROUTE}/")

    def delete(self, params: dict[str, str]) -> None:
        """Take records away."""
        self.library.hidden.update(params["doi"].split(","))

    def switch(self, name: str, rate: float) -> None:
        """Set the rate of fault `name` from now on; 0 switches it off."""
        self.faults.rates[name] = rate
        if name == "growing" and rate and not self._held:
            self._held = self.hold_back(self.library.works)
            self.library.hidden.update(self._held)

    def advance(self, today: datetime.date) -> None:
        """Move the replica's calendar to `today`; on each new day a share of the works is `revised`."""
        library, share = self.library, self.faults.rates.get("revised", 0.0)
        while library.today < today.toordinal():
            library.today += 1
            if share:
                dois = [doi for doi in library.works if chance(self.faults.seed, "revised", doi, library.today) < share]
                library.revise(dois, library.now - 3600)
        library.today = today.toordinal()

    def about(self) -> dict[str, object]:
        """Return what this replica holds, which part of it is clones, and what it has seen."""
        return {
            "service": "a replica of Crossref's REST API (/works); not the real service",
            "real_works": len(self.library.works),
            "clones": self.library.clones,
            "today": self.library.today_text(),
            "faults": self.faults.rates,
            "hidden": sorted(self.library.hidden),
            "requests": self.requests,
            "served": self.served,
            "violations": dict(self.pools.violations),
            "banned": sorted(self.pools.banned),
        }

    # -- the service ---------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request, limits and faults included, and log it."""
        params = dict(call.pairs)
        verdict = self.pools.enter(params, call.headers, call.client, call.at)
        with self._lock:
            self._verdicts[id(call)] = verdict
        fault: str | None = None
        if verdict.banned:
            reply = page(403, "403 Forbidden", "You kept breaking the limits and are blocked.")
        elif verdict.violation:
            reply = too_many()
        else:
            reply, fault = self._broken(call, params)
        if fault not in ("429-bare", "no-limits"):
            reply.headers |= _limits(verdict, fault)
        self._record(call, params, reply, fault, verdict)
        return reply

    def ended(self, call: Call) -> None:
        """Take in that the reply to a request went out."""
        with self._lock:
            verdict = self._verdicts.pop(id(call), None)
        if verdict is not None:
            self.pools.leave(verdict)

    def _broken(self, call: Call, params: Mapping[str, str]) -> tuple[Reply, str | None]:
        faults = self.faults
        listed = call.path == ROUTE
        fault = faults.meets(listed=listed, cursor=listed and params.get("cursor", "*") != "*")
        reply = faults.instead(fault)
        if reply is not None:
            return reply, fault
        if not listed:
            reply = self._single(urllib.parse.unquote(call.path[len(ROUTE) + 1 :]), params)
        else:
            try:
                reply = self._list(params, fault)
            except query.Refused as refused:
                reply = _failed(400, "validation-failure", refused.failure)
        if faults.refuses(len(reply.served), self.served):
            return too_many(), "refuse-after"
        if fault == "lost-page":
            return timed_out(), fault
        if fault == "flip":
            reply.body = faults.flip(reply.body)
        self.in_sending(reply, fault)
        return reply, fault

    def _single(self, doi: str, params: Mapping[str, str]) -> Reply:
        if any(name.startswith("query.") for name in params):
            told = {"type": "parameter-not-allowed", "value": "query.*"}
            told["message"] = "This route does not support field query parameters"
            return _failed(400, "validation-failure", told)
        work = self.library.work(doi.lower())
        if work is None:
            return Reply(404, _NOT_FOUND, JSON)  # text, whatever its type says
        found = {"status": "ok", "message-type": "work", "message-version": "1.0.0", "message": work}
        return Reply(200, json.dumps(found, ensure_ascii=False).encode(), JSON, served=[work["DOI"]])

    def _list(self, params: Mapping[str, str], fault: str | None) -> Reply:
        query.check_parameters(params)
        rows = query.number(params, "rows", 20, query.MOST_ROWS)
        select = query.selected(params, self.library.fields)
        cursor = params.get("cursor")
        if cursor is not None and (params.get("offset") or params.get("sample")):
            other = "offset" if params.get("offset") else "sample"
            what = f"The parameter cursor cannot be combined with {other}"
            raise query.Refused("parameter-not-allowed", other, what)
        offset = query.number(params, "offset", 0, query.MOST_OFFSET)
        if cursor is None:
            dois = self._found(params, fault)
            return self._page(dois, offset, rows, select, params, None, fault)
        name = self._open(self._found(params, fault), select) if cursor == "*" else cursor
        scroll = self._kept(name, gone=fault == "cursor-expiry")
        if scroll is None:
            what = "Cursor specified but it is invalid"
            return _failed(404, "resource-failure", {"type": "cursor-invalid", "value": cursor, "message": what})
        with self._lock:  # the position is the server's: asking again gives what follows, whoever got the page before
            start, scroll.given = scroll.given, scroll.given + rows
            scroll.expires = time.monotonic() + self.cursor_life
            if fault == "short-page":
                scroll.given = start + (rows + 1) // 2
        return self._page(scroll.dois, start, rows, scroll.select, params, name, fault)

    def _found(self, params: Mapping[str, str], fault: str | None) -> list[str]:
        tests = query.tests_of(params)
        field, falling = query.rank_of(params)
        faults, library = self.faults, self.library
        if fault == "growing" and self._held:
            doi = self._held.pop(0)
            library.added[doi] = library.now - 3600
            library.hidden.discard(doi)

        def rank(work: Mapping[str, Any]) -> Any:
            if not field:
                return chance(faults.seed, "order", work["DOI"], self.requests)  # ties are not stable from call to call
            value = work.get(field, 0) if field == "is-referenced-by-count" else query.moment(work, field)
            return (-value if falling else value, work["DOI"])

        return library.found(lambda work: all(test(work) for test in tests), rank)

    def _open(self, dois: list[str], select: list[str]) -> str:
        with self.faults.lock:
            name = base64.b64encode(b"\x0e~\xc9leftoff+/" + self.faults.random.randbytes(48)).decode()
        scroll = Scroll(dois, 0, time.monotonic() + self.cursor_life, select)
        with self._lock:
            self._scrolls[name] = scroll
            while len(self._scrolls) > _SCROLLS:
                del self._scrolls[next(iter(self._scrolls))]
        return name

    def _kept(self, cursor: str, *, gone: bool) -> Scroll | None:
        with self._lock:
            scroll = self._scrolls.get(cursor)
            if scroll is not None and (gone or scroll.expires < time.monotonic()):
                del self._scrolls[cursor]
                return None
            return scroll

    def _page(
        self,
        dois: list[str],
        start: int,
        rows: int,
        select: list[str],
        params: Mapping[str, str],
        cursor: str | None,
        fault: str | None,
    ) -> Reply:
        chosen = dois[start : start + ((rows + 1) // 2 if fault == "short-page" else rows)]
        if fault == "shrinking" and chosen and chosen[0] in self.library.works:
            self.library.hidden.add(chosen[0])
        items = [work for doi in chosen if (work := self.library.work(doi)) is not None]
        shown = [{name: work[name] for name in select if name in work} for work in items] if select else items
        message: dict[str, Any] = {"facets": {}}
        if cursor is not None:
            message["next-cursor"] = cursor  # on the last page, too
        message |= {"total-results": len(dois), "items": shown, "items-per-page": rows}
        message["query"] = {"start-index": 0 if cursor else start, "search-terms": params.get("query")}
        told = {"status": "ok", "message-type": "work-list", "message-version": "1.0.0", "message": message}
        return Reply(200, json.dumps(told, ensure_ascii=False).encode(), JSON, served=[work["DOI"] for work in items])

    def _record(self, call: Call, params: Mapping[str, str], reply: Reply, fault: str | None, verdict: Verdict) -> None:
        """Log the request: before the reply goes out, so that who has read the reply finds it in the log."""
        entry = {
            "at": call.at, "method": call.method, "path": call.path, "params": dict(params), "status": reply.status,
            "served": reply.served, "fault": fault, "violation": verdict.violation, "banned": verdict.banned,
            "count": verdict.count, "open": verdict.open, "pool": verdict.pool.name, "client": verdict.client,
            "port": call.port,
        }  # fmt: skip
        self.record(entry, reply)


def _failed(status: int, kind: str, failure: Mapping[str, Any]) -> Reply:
    return Reply(status, json.dumps({"status": "failed", "message-type": kind, "message": [failure]}).encode(), JSON)


def _limits(verdict: Verdict, fault: str | None) -> dict[str, str]:
    """Return the headers that tell the limits of a pool, as a fault has them."""
    pool = verdict.pool
    limits = {"x-rate-limit-limit": str(pool.rate), "x-rate-limit-interval": "1s"} if pool.rate else {}
    if pool.concurrency:
        limits["x-concurrency-limit"] = str(pool.concurrency)
    if fault == "doubled-limits":
        limits = {name: f"{value}, {value}" for name, value in limits.items()}
    if fault == "odd-limits" and pool.rate:
        limits |= {"x-ratelimit-limit": str(10 * pool.rate), "x-ratelimit-interval": "1s"}
    return {"x-api-pool": pool.name, **limits}
