"""Answer ESearch and EFetch as PubMed does: its limits, its caps, its history, its calendar."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import random
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TextIO

from leftoff.testing import ncbi_query as query
from leftoff.testing import ncbi_replies as replies
from leftoff.testing.ncbi_faults import BATCH, Faults
from leftoff.testing.ncbi_records import Library
from leftoff.testing.ncbi_replies import LAST
from leftoff.testing.replica_limits import Limits, Verdict
from leftoff.testing.replica_server import Call, Reply, page
from leftoff.testing.replica_service import BaseService

PREFIX = "/entrez/eutils/"
TOOLS = {f"{PREFIX}esearch.fcgi": "esearch", f"{PREFIX}efetch.fcgi": "efetch"}
MOST_IDS_IN_GET = 300
MOST = 10_000
GONE = (
    ("Unable to obtain query #{key}", 400),
    ("Unable to obtain query #{key}", 200),
    ("Unable to open history for {webenv}", 200),
)


@dataclasses.dataclass
class Request:
    """Hold one request as it arrived `at` (monotonic seconds) from `client` (address) and `port`."""

    at: float
    method: str
    path: str
    params: Mapping[str, str]
    ids: list[str]
    client: str
    port: int = 0

    @property
    def json(self) -> bool:
        """Say whether the answer is wanted in JSON."""
        return self.params.get("retmode", "").lower() == "json"

    def number(self, name: str, default: int) -> int:
        """Return parameter `name` as a whole number, or `default` when it is absent or none."""
        text = self.params.get(name, "").strip()
        return int(text) if text.isdigit() else default


class Service(BaseService):
    """Answer requests on the records of `library`, within `limits`, broken by `faults`, and log each to `log`.

    `webenv_life` is how long (seconds) a stored search is kept.
    """

    routes = ", ".join(TOOLS)

    def __init__(
        self, library: Library, limits: Limits, faults: Faults, *, webenv_life: float, log: TextIO | None
    ) -> None:
        super().__init__(faults, log)
        self.library = library
        self.limits = limits
        self.faults = faults
        self.webenv_life = webenv_life
        self._held: list[int] = []
        self._histories: dict[str, dict[int, tuple[float, list[range]]]] = {}
        self._order = random.Random(faults.seed)  # apart, so that what is found does not shift which fault is met
        for name, rate in list(faults.rates.items()):
            self.switch(name, rate)

    def switch(self, name: str, rate: float) -> None:
        """Set the rate of fault `name` from now on; 0 switches it off."""
        self.faults.rates[name] = rate
        if name == "growing" and rate and not self._held:
            self._held = self.hold_back(self.library.records)
            self.library.hidden.update(self._held)

    def advance(self, today: datetime.date) -> None:
        """Move the replica's calendar to `today`."""
        self.library.set_today(today.toordinal(), self.faults.rates.get("revised", 0.0), self.faults.seed)

    def serves(self, path: str) -> bool:
        """Return whether a path is one of the E-utilities."""
        return path in TOOLS

    def delete(self, params: dict[str, str]) -> None:
        """Take records away."""
        self.library.hidden.update(int(pmid) for pmid in params["id"].split(","))

    def ended(self, call: Call) -> None:
        """Do nothing: how many requests are open at a time is not limited."""

    def answer(self, call: Call) -> Reply:
        """Return the reply to a request, limits and faults included, and log it."""
        ids = [part.strip() for name, value in call.pairs if name == "id" for part in value.split(",") if part.strip()]
        params = {name: value for name, value in call.pairs if name != "id"}
        request = Request(call.at, call.method, call.path, params, ids, call.client, call.port)
        key = request.params.get("api_key", "")
        client = key or request.client
        verdict = self.limits.judge(client, request.at, keyed=bool(key))
        fault: str | None = None
        if verdict.banned:
            reply = page(403, "Access denied", f"{client} kept breaking the request limit and is blocked for good.")
        elif verdict.violation:
            reply = replies.too_many(client, verdict.count, verdict.limit)
        else:
            reply, fault = self._broken(request, client, verdict.limit)
        if verdict.limit:
            reply.headers.setdefault("X-RateLimit-Limit", str(verdict.limit))
            reply.headers.setdefault("X-RateLimit-Remaining", str(max(0, verdict.limit - verdict.count)))
        self._record(request, reply, fault, verdict)
        return reply

    def _broken(self, request: Request, client: str, limit: int) -> tuple[Reply, str | None]:
        tool, faults = TOOLS[request.path], self.faults
        history = "WebEnv" in request.params
        asked = request.ids if tool == "efetch" else []
        ids: Iterable[str] = asked
        if tool == "efetch" and history and not request.ids:
            ids = asked = [str(pmid) for pmid in self._stored(request) or []]
        if faults.refuses(len(asked), self.served):
            return replies.too_many(client, (limit or 3) + 2, limit or 3), "refuse-after"
        fault = faults.meets(tool, history=history, many=len(asked) > BATCH)
        reply = faults.instead(fault, tool, client, limit, as_json=request.json)
        if reply is not None:
            return reply, fault
        reply = self._search(request, fault) if tool == "esearch" else self._fetch(request, ids, fault)
        if fault == "flip":
            reply.body = faults.flip(reply.body)
        self.in_sending(reply, fault)
        return reply, fault

    def _search(self, request: Request, fault: str | None) -> Reply:
        start, most = request.number("retstart", 0), min(request.number("retmax", 20), MOST)
        term = request.params.get("term", "")
        if request.params.get("db", "pubmed") != "pubmed":
            return replies.search_error(f"Invalid db name specified: {request.params['db']}", as_json=request.json)
        if start > LAST - 1:
            return replies.search_error(replies.PAST_CAP, as_json=request.json)
        try:
            tests = [query.read(term), *self._window(request)]
        except ValueError as error:
            return replies.search_error(str(error), as_json=request.json)
        found = self._look_up(tests, fault)
        count = sum(len(ids) for ids in found)
        page = list(itertools.islice(itertools.chain.from_iterable(found), start, min(start + most, LAST)))
        warnings = [] if count else ["No items found."]
        if start + most > LAST:
            warnings.append(f"Restrictions achieved. start and count adjusted to {start}, {LAST - start}")
        result = replies.Found(count, start, page, term, warnings)
        if request.params.get("usehistory") == "y":
            result.webenv, result.query_key = self._keep(request, found, lost=fault == "bad-webenv")
        return replies.search(result, as_json=request.json)

    def _look_up(self, tests: list[query.Test], fault: str | None) -> list[range]:
        def test(facts: query.Facts) -> query.Spans:
            spans = query.ALL
            for one in tests:
                spans = query.both(spans, one(facts)) if spans else spans
            return spans

        if fault == "growing":
            self.faults.change(fault, self.library, self._held, [])
        found = self.library.search(test, self._order)
        if fault == "shrinking":
            self.faults.change(fault, self.library, self._held, found)
            found = self.library.search(test, self._order)
        if fault == "shuffle":
            found = [range(pmid, pmid + 1) for ids in found for pmid in ids]
            self.faults.random.shuffle(found)
        return found

    def _window(self, request: Request) -> list[query.Test]:
        """Return what `datetype` with `mindate` and `maxdate`, or `reldate`, admits. One date alone is ignored."""
        name = query.DATE_FIELDS.get(request.params.get("datetype", "edat").lower(), "edat")
        low, high = request.params.get("mindate", ""), request.params.get("maxdate", "")
        today = self.library.today
        if low and high:
            first, last = query.day(low, last=False), query.day(high, last=True)
        elif request.params.get("reldate", "").isdigit():
            first, last = today - int(request.params["reldate"]), today
        else:
            return []
        return [lambda facts: query.ALL if first <= facts.days[name] <= last else query.NONE]

    def _keep(self, request: Request, found: list[range], *, lost: bool) -> tuple[str, int]:
        """Store a search and return its WebEnv and query key."""
        webenv = request.params.get("WebEnv") or f"MCID_{uuid.uuid4().hex[:24]}"
        if lost:
            return webenv, 1
        with self._lock:
            queries = self._histories.setdefault(webenv, {})
            queries[len(queries) + 1] = (time.monotonic() + self.webenv_life, found)
            while len(self._histories) > 1000:
                del self._histories[next(iter(self._histories))]
            return webenv, len(queries)

    def _stored(self, request: Request) -> list[int] | None:
        """Return the asked page of a stored search, or None when there is no such search (any more)."""
        with self._lock:
            queries = self._histories.get(request.params.get("WebEnv", ""), {})
            expires, found = queries.get(request.number("query_key", 0), (0.0, []))
        if expires < time.monotonic():
            return None
        start = request.number("retstart", 0)
        stop = min(start + min(request.number("retmax", MOST), MOST), LAST)
        return list(itertools.islice(itertools.chain.from_iterable(found), start, max(start, stop)))

    def _fetch(self, request: Request, ids: Iterable[str], fault: str | None) -> Reply:
        if request.params.get("db", "pubmed") != "pubmed":
            return replies.fetch_error(f"Invalid db name specified: {request.params['db']}", 400)
        if request.method == "GET" and len(request.ids) > MOST_IDS_IN_GET:
            return page(
                414,
                "414 Request-URI Too Long",
                "The requested URL's length exceeds the capacity limit for this server.",
            )
        if (
            "WebEnv" in request.params
            and not request.ids
            and (fault == "webenv-expiry" or self._stored(request) is None)
        ):
            text, status = self.faults.random.choice(GONE)
            return replies.fetch_error(
                text.format(key=request.params.get("query_key", ""), webenv=request.params["WebEnv"]), status
            )
        form, mode = (request.params.get(name, "").lower() for name in ("rettype", "retmode"))
        if form != "uilist" and mode not in ("xml", ""):
            return replies.fetch_error(
                f"retmode={mode} is not among what this replica serves: ask for retmode=xml", 400
            )
        pmids = dict.fromkeys(int(text) for text in ids if text.isdigit() and 0 < int(text) < 10**12)
        if not pmids and "WebEnv" not in request.params:
            return replies.fetch_error(replies.NO_IDS, 400)
        records = self._records(itertools.islice(pmids, MOST), fault)
        return replies.uilist(records) if form == "uilist" else replies.fetch(records, self.library.today)

    def _records(self, pmids: Iterable[int], fault: str | None) -> dict[str, bytes]:
        records = {}
        for pmid in pmids:
            record = self.library.fetch(pmid)
            if record is not None and not self.faults.missing(fault, pmid):
                records[str(pmid)] = self.faults.rewrite(record, pmid)
        return records

    def _record(self, request: Request, reply: Reply, fault: str | None, verdict: Verdict) -> None:
        """Log the request: before the reply goes out, so that who has read the reply finds it in the log."""
        entry = {
            "at": request.at,
            "method": request.method,
            "path": request.path,
            "params": dict(request.params),
            "ids": request.ids,
            "status": reply.status,
            "served": reply.served,
            "fault": fault,
            "violation": verdict.violation,
            "banned": verdict.banned,
            "count": verdict.count,
            "client": request.client,
            "port": request.port,
        }
        self.record(entry, reply)

    def about(self) -> dict[str, object]:
        """Return what this replica holds, which part of it is clones, and what it has seen."""
        return {
            "service": "a replica of NCBI E-utilities (PubMed); not the real service",
            "real_records": len(self.library.records),
            "clones": self.library.clones,
            "clone_pmids": self.library.clone_pmids(),
            "today": self.library.today_text(),
            "faults": self.faults.rates,
            "hidden": sorted(self.library.hidden),
            "requests": self.requests,
            "served": self.served,
            "violations": dict(self.limits.violations),
            "banned": sorted(self.limits.banned),
        }
