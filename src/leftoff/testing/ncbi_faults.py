"""Break the replica's answers in the ways the service's have been seen to break: docs/replica.md lists them."""

from __future__ import annotations

import re
from collections.abc import Callable

from leftoff.testing import ncbi_replies as replies
from leftoff.testing.ncbi_records import Library
from leftoff.testing.replica_faults import SENDING, Dice, Fault, chance
from leftoff.testing.replica_server import Reply, page

BATCH = 500
"""The number of ids from which on the fault `large` breaks a fetch."""


FAULTS = {
    "429": Fault("429 with Retry-After although the limit is kept"),
    "429-bare": Fault("429 without Retry-After although the limit is kept"),
    "refuse-after": Fault("429 for ever once a fetch would serve record N+1", rate=500.0, standing=True, counts=True),
    "error-200": Fault("an <ERROR> element under 200 in place of the result"),
    "backend-down": Fault('"Database is not supported: pubmed" under 200'),
    "empty-200": Fault("200 with an empty body"),
    "html-200": Fault("200 with an HTML page"),
    "envelope-400": Fault("400 that relays the 502 of a backend"),
    "500": Fault("500 with an HTML page"),
    "502": Fault("502 with an HTML page"),
    "504": Fault("504 with an HTML page"),
    "large": Fault(f"502 for a fetch of more than {BATCH} ids", to="large", rate=1.0),
    "bad-webenv": Fault("a search with history hands out a WebEnv that no fetch accepts", to="esearch"),
    "webenv-expiry": Fault("a stored search is gone when it is used", to="history"),
    "shuffle": Fault("a search lists its ids in an order of its own", to="esearch"),
    "growing": Fault("one of the records held back (a tenth) enters before the search, dated today", to="esearch"),
    "shrinking": Fault("a record found by a search is deleted before it answers", to="esearch"),
    "shortfall": Fault("one in five of the asked records is left out, this time", to="efetch"),
    "flip": Fault("bytes of the body are exchanged for others, one of them in the mark-up"),
    **SENDING,
    "always-missing": Fault("this share of PMIDs is found by searches and never fetched", to="efetch", standing=True),
    "doi-variants": Fault("this share of DOIs: other case, a URL, or a trailing dot", to="efetch", standing=True),
    "shared-doi": Fault("this share of clones has the DOI of its original", to="efetch", standing=True),
    "revised": Fault("this share of real records is revised on each new day", to="efetch", standing=True),
}  # fmt: skip


class Faults(Dice):
    """Decide which fault a request meets, and answer as the fault has it."""

    table = FAULTS

    def meets(self, tool: str, *, history: bool = False, many: bool = False) -> str | None:
        """Return the fault that the next request to `tool` meets, or None; `many`: it asks for a large batch."""
        kinds = {"both", tool, *(["history"] if history else []), *(["large"] if many else [])}
        return self.draw(lambda fault: fault.to in kinds)

    def instead(self, name: str | None, tool: str, client: str, limit: int, *, as_json: bool) -> Reply | None:
        """Return what `client` gets in place of an answer, or None when fault `name` lets the request through."""
        limit = limit or 3
        if name in ("429", "429-bare"):
            return replies.too_many(client, limit + 2, limit, retry_after=name == "429")
        if name is not None and (name, tool) in _ERRORS:
            text, status = _ERRORS[name, tool], 400 if name == "envelope-400" else 200
            if tool == "esearch":
                return replies.search_error(text, as_json=as_json, status=status)
            return replies.fetch_error(text, status)
        return _PAGES[name]() if name in _PAGES else None

    def missing(self, name: str | None, pmid: int) -> bool:
        """Say whether a fetch that met fault `name` leaves `pmid` out."""
        if chance(self.seed, "missing", pmid) < self.rates.get("always-missing", 0.0):
            return True
        with self.lock:
            return name == "shortfall" and self.random.random() < 0.2

    def rewrite(self, record: bytes, pmid: int) -> bytes:
        """Return `record` with the DOI that `shared-doi` or `doi-variants` has for it, if they mark it."""
        if chance(self.seed, "shared", pmid) < self.rates.get("shared-doi", 0.0):
            record = record.replace(b".clone%d" % pmid, b"")
        drawn = chance(self.seed, "doi", pmid)
        if drawn >= self.rates.get("doi-variants", 0.0):
            return record
        variant = _VARIANTS[int(drawn * 1e6) % len(_VARIANTS)]
        own = re.search(rb"(?s)<PubmedData>.*?<ArticleIdList>.*?</ArticleIdList>", record.split(b"<ReferenceList>")[0])
        dois = re.findall(rb'IdType="doi"[^>]*>([^<]*)<', own.group()) if own else []
        for doi in dois[:1]:
            record = record.replace(b">" + doi + b"<", b">" + variant(doi) + b"<")
        return record

    def flip(self, body: bytes) -> bytes:
        """Return `body` with a byte in 20,000 changed, and one in the mark-up: in the text alone nobody could tell."""
        changed = bytearray(body)
        with self.lock:
            places = [self.random.randrange(len(body)) for _ in range(len(body) // 20_000)]
            tags = [match.start() for match in re.finditer(rb"</[A-Z]", body)]
            places += [self.random.choice(tags) + 1 if tags else 0]
        for place in places:
            changed[place] ^= 1  # a letter stays a letter, "/" becomes "."
        return bytes(changed)

    def change(self, name: str | None, library: Library, held: list[int], found: list[range]) -> None:
        """Let a held record enter PubMed (`growing`), or delete one of the `found` ones (`shrinking`)."""
        with self.lock:
            if name == "growing" and held:
                pmid = held.pop(0)
                library.added[pmid] = library.today
                library.hidden.discard(pmid)
            real = [ids[0] for ids in found if ids[0] in library.records] if name == "shrinking" else []
            if real:
                library.hidden.add(real[0])


_ERRORS = {
    ("error-200", "esearch"): "Search Backend failed: Pubmed 2.0 search API: HTTP request returned 502 status.",
    ("error-200", "efetch"): "Error: External viewer error: Empty Response. Bytes read: 0 Status: Timeout",
    ("backend-down", "esearch"): "Search Backend failed: Database is not supported: pubmed",
    ("backend-down", "efetch"): "Database is not supported: pubmed",
    ("envelope-400", "esearch"): "Search Backend failed: Pubmed 2.0 search API: HTTP request returned 502 status.",
    ("envelope-400", "efetch"): (
        " Error: CEFetchPApplication::proxy_stream(): \n<html><head>\n<title>502 Server Error</title>\n</head>\n<body>"
        "<h2>The server encountered a temporary error and could not complete your request."
        "<p>Please try again in 30 seconds.</h2>\n</body></html>"
    ),
}
_PAGES: dict[str | None, Callable[[], Reply]] = {
    "empty-200": lambda: Reply(200, b"", replies.XML),
    "html-200": lambda: page(
        200, "NCBI - WWW Error Blocked Diagnostic", "The service is temporarily unavailable. Please try again."
    ),
    "500": lambda: page(500, "500 Internal Server Error", "The server encountered an internal error."),
    "502": lambda: page(
        502, "502 Bad Gateway", "The proxy server received an invalid response from an upstream server."
    ),
    "large": lambda: page(
        502, "502 Bad Gateway", "The proxy server received an invalid response from an upstream server."
    ),
    "504": lambda: page(504, "504 Gateway Time-out", "The server didn't respond in time."),
}
_VARIANTS: tuple[Callable[[bytes], bytes], ...] = (
    lambda doi: doi.upper() if doi != doi.upper() else doi.lower(),
    lambda doi: b"https://doi.org/" + doi,
    lambda doi: doi + b".",
)
