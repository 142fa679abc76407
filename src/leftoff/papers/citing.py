"""Say of a paper what all formats of citation managers want to know: its kind, its citation key, its pages."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from base64 import b32encode
from typing import Final, NamedTuple

from leftoff.papers.exported import Exported

# The types of Crossref and of PubMed, as CSL 1.0.2 names them; what is not here is told by `kind`.
KINDS: Final = {
    "journal-article": "article-journal",
    "proceedings-article": "paper-conference",
    "book-chapter": "chapter",
    "book-section": "chapter",
    "book-part": "chapter",
    "book-track": "chapter",
    "Book Chapter": "chapter",
    "reference-entry": "entry-encyclopedia",
    "book": "book",
    "monograph": "book",
    "edited-book": "book",
    "reference-book": "book",
    "book-set": "book",
    "Book": "book",
    "proceedings": "book",
    "dissertation": "thesis",
    "report": "report",
    "report-component": "report",
    "report-series": "report",
    "standard": "standard",
    "posted-content": "article",  # a preprint
    "Preprint": "article",
    "dataset": "dataset",
    "database": "dataset",
    "peer-review": "review",
    "journal": "periodical",
    "journal-issue": "periodical",
    "journal-volume": "periodical",
}
NOTHING: Final = {"", "n/a", "n/a-n/a", "no-no", "null", "undefined"}  # what services write in place of nothing
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")  # the rest is white space
DASHES = re.compile(r"[\u2010-\u2015]")
SHORT_RANGE = re.compile(r"(?P<words>.*\s)?(?P<prefix>[A-Za-z]*)(?P<first>[0-9]+)-(?P<again>[A-Za-z]*)(?P<last>[0-9]+)")
PAGE = r"[A-Za-z]{0,4}[0-9][\w.,]*"
SPAN = re.compile(rf"(?P<words>.*\s)?(?:(?P<first>{PAGE})-(?P<last>{PAGE})|(?P<i>[ivxlc]+)-(?P<ii>[ivxlc]+))")


class Span(NamedTuple):
    """Be pages from the first to the last, with the words that stand before them."""

    words: str
    first: str
    last: str


def kind(paper: Exported) -> str:
    """Return what a paper is, as CSL names it."""
    for each in (paper.type or "").split("; "):
        if each in KINDS:
            return KINDS[each]
    return "article-journal" if "pubmed" in paper.source else "document"


def one_line(text: str) -> str:
    """Return a text without control characters, white space as one space."""
    return " ".join(CONTROL.sub("", text).split())


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text, each in a line."""
    return [line for each in re.split(r"\n\s*\n", text) if (line := one_line(each))]


def said(text: str | None) -> str:
    """Return a short field in a line, empty where a service wrote something in place of nothing."""
    line = one_line(text or "")
    return "" if line.lower() in NOTHING else line


def title(paper: Exported) -> str:
    """Return the title, without the full stop that PubMed ends each with."""
    line = one_line(paper.title or "")
    if paper.pmid is not None and line.endswith(".") and "." not in line.rpartition(" ")[2][:-1]:
        return line[:-1].rstrip()
    return line


def container(paper: Exported) -> str:
    """Return what the paper is part of, empty if that is itself."""
    line = one_line(paper.journal or "")
    return "" if line == one_line(paper.title or "") else line


def pages(paper: Exported) -> list[str]:
    """Return the pages, a span or a word each, with all their digits: ``1475-6; author reply 1480`` is two."""
    return [_whole(part) for part in re.split(r"[;,]\s+", DASHES.sub("-", said(paper.pages))) if part]


def pages_in_a_line(paper: Exported) -> str:
    """Return the pages in a line, separated as they were."""
    line = DASHES.sub("-", said(paper.pages))
    return "".join(part if place % 2 else _whole(part) for place, part in enumerate(re.split(r"([;,]\s+)", line)))


def span(part: str) -> Span | None:
    """Return the span that a part of the pages is, None for a single page and for the number of an article."""
    match = SPAN.fullmatch(part)
    if match is None:
        return None
    return Span(match["words"] or "", match["first"] or match["i"], match["last"] or match["ii"])


def several(text: str | None, separator: str = ", ") -> str:
    """Return in a line what the database joins with semicolons."""
    return separator.join(part for each in (text or "").split("; ") if (part := said(each)))


def date_parts(paper: Exported) -> list[int]:
    """Return year, month and day, as many as are known; none without a year."""
    return [int(part) for part in (paper.date or "").split("-") if part] or ([paper.year] if paper.year else [])


def keywords(paper: Exported) -> list[str]:
    """Return the MeSH descriptors, each once."""
    return list(dict.fromkeys(one_line(each.descriptor) for each in paper.mesh))


def citation_key(paper: Exported) -> str:
    """Return a name that depends on this paper alone, and that no other paper has.

    Ten characters are 50 bits of the hash of the paper's identity: among a million papers of one author and year, two
    would be the same once in two thousand libraries.
    """
    first = paper.authors[0] if paper.authors else None
    name = "" if first is None else first.collective or first.last or first.fore or ""
    plain = unicodedata.normalize("NFKD", name.partition(",")[0]).lower()
    letters = "".join(character for character in plain if "a" <= character <= "z")[:20] or "paper"
    digest = b32encode(hashlib.sha256(paper.key.encode()).digest()).decode().lower()[:10]
    return f"{letters}{paper.year or ''}-{digest}"


def _whole(part: str) -> str:
    """Return a span with all digits of its end: ``123-8`` is ``123-128``, ``E550-6`` is ``E550-E556``."""
    match = SHORT_RANGE.fullmatch(part)
    if match is None or match["again"] not in ("", match["prefix"]):
        return part
    first, last = match["first"], match["last"]
    last = first[: max(0, len(first) - len(last))] + last
    if int(last) < int(first):
        return part
    return f"{match['words'] or ''}{match['prefix']}{first}-{match['prefix']}{last}"
