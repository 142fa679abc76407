"""Read the answers of PubMed's E-utilities, and tell those that can be used from those that only look it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from lxml import etree

from leftoff.papers.pubmed import records
from leftoff.papers.record import Record
from leftoff.papers.reply import EmptyBody, ErrorElement, Inconsistent, NotXML, Truncated
from leftoff.papers.text import plain
from leftoff.papers.windows import REACHED, Hits

TAG = re.compile(r"(?s:<head>.*?</head>)|<(?:!|/?[A-Za-z])[^>]*>")


def hits(body: bytes) -> Hits:
    """Read the answer to a search.

    Raises Unusable for an error, a foreign body, or a list that its own count contradicts.
    """
    root, count = _search_result(body)
    pmids = tuple(dict.fromkeys((each.text or "").strip() for each in root.findall("IdList/Id")))
    if not all(pmid.isdecimal() for pmid in pmids):
        raise Inconsistent("the answer to a search has ids that are no numbers")
    if count <= REACHED and len(pmids) != count:
        raise Inconsistent(f"a search counts {count} records and lists {len(pmids)}")
    return Hits(count, pmids)


def count_of(body: bytes) -> int:
    """Read how many records a search counts.

    Raises Unusable for an error or a foreign body.
    """
    return _search_result(body)[1]


def _search_result(body: bytes) -> tuple[etree._Element, int]:
    root = _root(body)
    error = root if root.tag == "ERROR" else root.find(".//ERROR")
    if error is not None:
        raise ErrorElement(f"the service answered an error: {plain(error)[:200]}")
    if root.tag != "eSearchResult":
        raise NotXML(f"the service answered with <{root.tag}> in place of an eSearchResult")
    count = (root.findtext("Count") or "").strip()
    if not count.isdecimal():
        raise Inconsistent("the answer to a search has no count")
    return root, int(count)


def _root(body: bytes) -> etree._Element:
    if not body.strip():
        raise EmptyBody("the service answered with nothing")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        return etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        if not body.lstrip().startswith((b"<?xml", b"<eSearch")):
            raise NotXML(f"the service answered with something that is not XML: {body[:60]!r}") from None
        raise Truncated(f"the answer ends early or is damaged: {error.msg}") from None


def records_of(pmids: Sequence[str]) -> Callable[[bytes], dict[str, Record]]:
    """Return the reader of the answer to a fetch of these PMIDs, which returns the records by PMID.

    It raises Unusable for an error, a foreign or torn body, or a record that was not asked for.
    """
    asked = set(pmids)

    def read(body: bytes) -> dict[str, Record]:
        found = {str(record.identifier): record for record in records(body)}
        if foreign := found.keys() - asked:
            raise Inconsistent(f"the answer holds PMID {min(foreign)}, which was not asked for")
        return found

    return read


def excerpt(body: bytes) -> str:
    """Return what a refusal says, in a line."""
    text = body[:2000].decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except ValueError:
        return " ".join(TAG.sub(" ", text).split())[:200]  # of a page what is read
    return str(said.get("error", "") if isinstance(said, dict) else said)[:200]
