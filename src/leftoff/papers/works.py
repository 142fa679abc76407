"""Read the works of Crossref, as its REST API gives them.

1. A work says what its member deposited. It is read for what it is, whatever is missing: titles, authors, dates may.
2. What makes a revision is what a member deposited, not when Crossref indexed it again, how often the work is cited,
   or how well it suits a query: the digest leaves these out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from leftoff.papers import doi as dois
from leftoff.papers.dates import Published, from_parts
from leftoff.papers.links import links_of_work
from leftoff.papers.markup import in_a_line, in_paragraphs
from leftoff.papers.record import Author, Record
from leftoff.papers.reply import Inconsistent

SOURCE = "crossref"
VOLATILE = frozenset({"indexed", "score", "is-referenced-by-count"})
DATES = ("issued", "published", "published-print", "published-online", "posted", "approved")
ORCID = re.compile(r"([0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X])\s*/?\s*$", re.IGNORECASE)
# ISO 639-1 as Crossref has it, in the three letters of PubMed (ISO 639-2/B); what is not here stays as it came.
LANGUAGES = dict(
    each.split(":")
    for each in (
        "af:afr ar:ara bg:bul bs:bos ca:cat cs:cze cy:wel da:dan de:ger el:gre en:eng eo:epo es:spa et:est eu:baq"
        " fa:per fi:fin fr:fre ga:gle gl:glg he:heb hi:hin hr:hrv hu:hun hy:arm id:ind is:ice it:ita ja:jpn ka:geo"
        " kk:kaz ko:kor la:lat lt:lit lv:lav mk:mac ms:may nb:nob nl:dut nn:nno no:nor pl:pol pt:por ro:rum ru:rus"
        " sk:slo sl:slv sq:alb sr:srp sv:swe sw:swa th:tha tr:tur uk:ukr ur:urd uz:uzb vi:vie zh:chi"
    ).split()
)


@dataclass(frozen=True)
class Work:
    """Be one work as it came: its DOI in normal form, the JSON it came in, and the digest of what makes a revision."""

    doi: str
    fields: Mapping[str, Any]
    raw: bytes
    digest: bytes

    @property
    def created(self) -> int:
        """When it was registered first, in seconds since 1970; 0 where it does not say."""
        return self._moment("created")

    @property
    def updated(self) -> int:
        """When its member deposited it last, in seconds since 1970; 0 where it does not say."""
        return self._moment("deposited")

    def _moment(self, name: str) -> int:
        stamp = _mapping(self.fields.get(name)).get("timestamp")
        return int(stamp) // 1000 if isinstance(stamp, (int, float)) else 0


def work(fields: object) -> Work:
    """Take in one work of an answer.

    Raises Inconsistent if it is none, or has no DOI.
    """
    doi = dois.normal(str(fields.get("DOI", ""))) if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or doi is None:
        raise Inconsistent("the answer has a work without a DOI")
    raw = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    lasting = {name: value for name, value in fields.items() if name not in VOLATILE}
    text = json.dumps(lasting, sort_keys=True, separators=(",", ":"))
    return Work(doi, fields, raw, hashlib.sha256(text.encode()).digest())


def record(of: Work) -> Record:
    """Return what a work says of its paper."""
    fields = of.fields
    when = _published(fields)
    language = _text(fields.get("language"))
    return Record(
        source=SOURCE,
        identifier=of.doi,
        version=1,
        digest=of.digest,
        doi=of.doi,
        pmcid=None,
        title=_title(fields),
        abstract=in_paragraphs(_text(fields.get("abstract"))) or None,
        journal=_first(fields.get("container-title")) or None,
        year=when.year,
        date=when.date,
        type=_text(fields.get("type")) or None,
        language=LANGUAGES.get(language.lower(), language) or None,
        authors=tuple(_authors(fields)),
        mesh=(),
        volume=_text(fields.get("volume")) or None,
        issue=_text(fields.get("issue")) or None,
        pages=_text(fields.get("page")) or _text(fields.get("article-number")) or None,
        publisher=in_a_line(_text(fields.get("publisher"))) or None,
        issn=_joined(fields.get("ISSN")),
        isbn=_joined(fields.get("ISBN")),
        raw=of.raw,
        links=links_of_work(fields),
    )


def reread(raw: bytes) -> Record:
    """Return the record of a work that is kept."""
    return record(work(json.loads(raw.decode("utf-8", "surrogatepass"))))


def _title(fields: Mapping[str, Any]) -> str | None:
    title, subtitle = _first(fields.get("title")), _first(fields.get("subtitle"))
    if title and subtitle and subtitle.lower() not in title.lower():
        return f"{title} {subtitle}" if title.endswith((":", "?", "!", "-")) else f"{title}: {subtitle}"
    return title or subtitle or None


def _published(fields: Mapping[str, Any]) -> Published:
    """Return the earliest date of publication that the work tells, as exact as it is; ``[[null]]`` is none."""
    dates = (from_parts(fields.get(name)) for name in DATES)
    return next((date for date in dates if date.year is not None), Published(None, None))


def _authors(fields: Mapping[str, Any]) -> Iterator[Author]:
    listed = fields.get("author")
    for each in map(_mapping, listed if isinstance(listed, list) else ()):
        last, fore, body = (in_a_line(_text(each.get(name))) or None for name in ("family", "given", "name"))
        if last is None and fore is None and body is None:
            continue
        at = each.get("affiliation")
        places = [in_a_line(_text(_mapping(place).get("name"))) for place in (at if isinstance(at, list) else ())]
        orcid = ORCID.search(_text(each.get("ORCID")))
        yield Author(
            last=last if last is not None or body is not None else fore,  # the only name of a person is the last
            fore=fore if last is not None else None,
            initials=None,
            suffix=in_a_line(_text(each.get("suffix"))) or None,
            collective=body if last is None else None,
            affiliation="\n".join(place for place in places if place) or None,
            orcid=None if orcid is None else orcid[1].upper(),
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, (str, int, float)) else ""


def _texts(value: object) -> Iterable[str]:
    return (text for each in (value if isinstance(value, list) else (value,)) if (text := _text(each)))


def _first(value: object) -> str:
    return next((text for each in _texts(value) if (text := in_a_line(each))), "")


def _joined(value: object) -> str | None:
    """Join what may be a URL, of which the number at its end counts."""
    return "; ".join(dict.fromkeys(each.rstrip("/").rpartition("/")[2] for each in _texts(value))) or None
