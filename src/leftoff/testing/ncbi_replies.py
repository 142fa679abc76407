"""Write the bodies of ESearch and EFetch as the service writes them."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from leftoff.testing.replica_server import Reply

LAST = 9_999
"""How many records of a PubMed search can be reached."""

PAST_CAP = (
    "Search Backend failed: Exception:\n'retstart' cannot be larger than 9998. For PubMed, ESearch can only retrieve "
    "the first 9,999 records matching the query. To obtain more than 9,999 PubMed records, consider using EDirect that "
    "contains additional logic to batch PubMed search results automatically so that an arbitrary number can be "
    "retrieved. For details see https://www.ncbi.nlm.nih.gov/books/NBK25499/"
)
NO_IDS = "ID list is empty! Possibly it has no correct IDs."
XML = "text/xml; charset=UTF-8"
JSON = "application/json; charset=UTF-8"
_SEARCH_TYPE = (
    '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE eSearchResult PUBLIC "-//NLM//DTD esearch 20060628//EN" '
    '"https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20060628/esearch.dtd">\n'
)
_FETCH_TYPE = (
    '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE eEfetchResult PUBLIC "-//NLM//DTD efetch 20131226//EN" '
    '"https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20131226/efetch.dtd">\n'
)


@dataclasses.dataclass
class Found:
    """Hold the page of a search that is to be written: `count` in all, `ids` from `start` on."""

    count: int
    start: int
    ids: Sequence[int]
    term: str
    warnings: Sequence[str] = ()
    webenv: str = ""
    query_key: int = 0


def search(found: Found, *, as_json: bool) -> Reply:
    """Return the reply to an ESearch."""
    return Reply(200, _search_json(found), JSON) if as_json else Reply(200, _search_xml(found), XML)


def _search_xml(found: Found) -> bytes:
    history = f"<QueryKey>{found.query_key}</QueryKey><WebEnv>{found.webenv}</WebEnv>" if found.webenv else ""
    ids = "".join(f"<Id>{pmid}</Id>\n" for pmid in found.ids)
    messages = "".join(f"<OutputMessage>{escape(message)}</OutputMessage>" for message in found.warnings)
    warnings = f"<WarningList>{messages}</WarningList>" if messages else ""
    return (
        f"{_SEARCH_TYPE}<eSearchResult><Count>{found.count}</Count><RetMax>{len(found.ids)}</RetMax>"
        f"<RetStart>{found.start}</RetStart>{history}<IdList>\n{ids}</IdList><TranslationSet/>"
        f"<QueryTranslation>{escape(found.term)}</QueryTranslation>{warnings}</eSearchResult>\n"
    ).encode()


def _search_json(found: Found) -> bytes:
    result: dict[str, object] = {"count": str(found.count), "retmax": str(len(found.ids)), "retstart": str(found.start)}
    if found.webenv:
        result |= {"querykey": str(found.query_key), "webenv": found.webenv}
    result |= {"idlist": [str(pmid) for pmid in found.ids], "translationset": [], "querytranslation": found.term}
    if found.warnings:
        result["warninglist"] = {
            "phrasesignored": [],
            "quotedphrasesnotfound": [],
            "outputmessages": list(found.warnings),
        }
    return _json({"esearchresult": result})


def search_error(message: str, *, as_json: bool, status: int = 200) -> Reply:
    """Return an ESearch error; in JSON a line feed in `message` stays raw: as invalid as the service's own."""
    if not as_json:
        return Reply(
            status,
            f"{_SEARCH_TYPE}<eSearchResult>\n\t<ERROR>{escape(message)}</ERROR>\n</eSearchResult>\n".encode(),
            XML,
        )
    return Reply(status, _json({"esearchresult": {"ERROR": message}}).replace(b"\\n", b"\n"), JSON)


def fetch_error(message: str, status: int = 200) -> Reply:
    """Return an EFetch error under `status`; it is XML whatever was asked for."""
    return Reply(
        status, f"{_FETCH_TYPE}<eFetchResult>\n\t<ERROR>{escape(message)}</ERROR>\n</eFetchResult>\n".encode(), XML
    )


def fetch(records: Mapping[str, bytes], today: int) -> Reply:
    """Return `records` by PMID as a PubmedArticleSet under the DOCTYPE of the year."""
    year = datetime.date.fromordinal(today).year
    head = (
        '<?xml version="1.0" ?>\n'
        f'<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January {year}//EN" '
        f'"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_{year % 100:02}0101.dtd">\n<PubmedArticleSet>\n'
    )
    body = b"\n".join([head.encode() + b"\n".join(records.values()), b"</PubmedArticleSet>\n"])
    return Reply(200, body, XML, served=list(records))


def uilist(records: Mapping[str, bytes]) -> Reply:
    """Return the PMIDs alone, one a line."""
    return Reply(
        200, "".join(f"{pmid}\n" for pmid in records).encode(), "text/plain; charset=UTF-8", served=list(records)
    )


def too_many(client: str, count: int, limit: int, *, retry_after: bool = True) -> Reply:
    """Return the 429 that a client gets who was too quick: JSON, whatever was asked for."""
    headers = {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0"} | (
        {"Retry-After": "2"} if retry_after else {}
    )
    error = {"error": "API rate limit exceeded", "api-key": client, "count": str(count), "limit": str(limit)}
    return Reply(429, json.dumps(error, separators=(",", ":")).encode() + b"\n", "application/json", headers)


def _json(result: dict[str, object]) -> bytes:
    return json.dumps({"header": {"type": "esearch", "version": "0.3"}, **result}).encode()
