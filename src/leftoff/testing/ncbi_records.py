"""Serve real PubMed records from NLM's files, and clones of them for scale.

Invariants:
1. A real record is served byte for byte as its file has it; only a clone is ever rewritten, and says so in a comment.
2. A clone is made when it is asked for: memory holds the real records, whatever the number of clones.
3. A record is invisible before the day it entered PubMed, by the replica's own calendar (`today`).
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import gzip
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from leftoff.testing import ncbi_query as query
from leftoff.testing.replica_faults import chance

RECORD = re.compile(rb"<(PubmedArticle|PubmedBookArticle)\b[^>]*>.*?</\1\s*>", re.DOTALL)
DELETED = re.compile(rb"<DeleteCitation\b.*?</DeleteCitation\s*>", re.DOTALL)
FIRST_CLONE = 50_000_000  # above every PMID given out so far, and still eight digits
MONTHS = {
    name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}
ElementTree.register_namespace("mml", "http://www.w3.org/1998/Math/MathML")


@dataclasses.dataclass
class Version:
    """Hold one text of a record: its bytes, its searchable text, and the day it says it was revised."""

    raw: bytes
    text: dict[str, str]
    revised: int


@dataclasses.dataclass
class Record:
    """Hold a PMID with its days (ordinals) and its versions, oldest first."""

    pmid: int
    edat: int
    crdt: int
    pdat: int
    versions: list[Version]

    def revisions(self, today: int, start: int) -> tuple[Version, int]:
        """Return the version of the day and the day it was modified.

        A second version appears on the day it says, yet at the earliest on the day after the replica's first.
        """
        now, modified = self.versions[0], self.versions[0].revised
        if modified > today:
            modified = self.edat
        for place, version in enumerate(self.versions[1:], start=1):
            appears = max(version.revised, start + place)
            if appears <= today:
                now, modified = version, appears
        return now, modified


@dataclasses.dataclass(frozen=True)
class Group:
    """Hold PMIDs that share one real record: its own, or those of its clones (`day`: their one day, if forced)."""

    record: Record
    ids: range
    day: int | None = None


class Library:
    """Answer searches and fetches on the records of `directory`, as of `today`.

    `clones` is the number of records in all, real ones included; `clones_on` puts every clone on one day.
    Raises FileNotFoundError when `directory` holds no record.
    """

    def __init__(
        self, directory: Path, *, clones: int = 0, clones_on: int | None = None, today: int | None = None
    ) -> None:
        self.records, self.deleted = load(directory)
        if not self.records:
            raise FileNotFoundError(
                f"no PubmedArticle in {directory}/*.xml or *.xml.gz: name a directory of PubmedArticleSet files"
            )
        self.today = self.start = today or datetime.datetime.now(tz=datetime.timezone.utc).date().toordinal()
        self.hidden: set[int] = set()
        self.added: dict[int, int] = {}
        self.revised: dict[int, int] = {}
        self.clones = max(0, clones - len(self.records))
        self._real = list(self.records.values())
        self.groups = [Group(record, range(record.pmid, record.pmid + 1)) for record in self._real]
        for place, record in enumerate(self._real[: self.clones]):
            ids = range(FIRST_CLONE + place, FIRST_CLONE + self.clones, len(self._real))
            self.groups.append(Group(record, ids, clones_on))
        self._clones_on = clones_on

    def days(self, group: Group) -> dict[str, int]:
        """Return the group's days by date type, as of today."""
        record, pmid = group.record, group.ids[0]
        if group.day is not None:
            return {"edat": group.day, "crdt": group.day, "mdat": group.day, "pdat": record.pdat}
        own = pmid == record.pmid
        modified = record.revisions(self.today, self.start)[1]
        if own:
            modified = max(modified, self.revised.get(pmid, 0), self.added.get(pmid, 0))
        edat = self.added.get(pmid, record.edat) if own else record.edat
        return {
            "edat": edat,
            "crdt": edat if own and pmid in self.added else record.crdt,
            "mdat": modified,
            "pdat": record.pdat,
        }

    def search(self, test: query.Test, order: random.Random) -> list[range]:
        """Return the visible PMIDs that `test` admits, as ascending ranges, newest day first.

        Within a day `order` decides afresh at each call: the service's order is not stable either.
        """
        found: list[tuple[int, float, range]] = []
        for group in self.groups:
            if group.ids[0] in self.hidden:
                continue
            days = self.days(group)
            if days["edat"] > self.today:
                continue
            text = group.record.revisions(self.today, self.start)[0].text
            for part in query.clip(group.ids, test(query.Facts(text, days))):
                turn = order.randrange(len(part))
                found.extend((-days["edat"], order.random(), piece) for piece in (part[turn:], part[:turn]) if piece)
        found.sort(key=lambda entry: entry[:2])
        return [ids for _, _, ids in found]

    def fetch(self, pmid: int) -> bytes | None:
        """Return the XML of `pmid` as of today, or None when it is unknown, deleted or not yet there."""
        clone = FIRST_CLONE <= pmid < FIRST_CLONE + self.clones and pmid not in self.records
        record = self._real[(pmid - FIRST_CLONE) % len(self._real)] if clone else self.records.get(pmid)
        if record is None or pmid in self.hidden:
            return None
        entered = record.edat if not clone or self._clones_on is None else self._clones_on
        if self.added.get(pmid, entered) > self.today:
            return None
        version, _ = record.revisions(self.today, self.start)
        if not clone:
            return version.raw
        return str(pmid).encode().join(clone_template(version.raw))

    def clone_pmids(self) -> str:
        """Return the PMIDs of the clones, as `first-last`, or an empty text."""
        return f"{FIRST_CLONE}-{FIRST_CLONE + self.clones - 1}" if self.clones else ""

    def today_text(self) -> str:
        """Return the replica's calendar day as YYYY-MM-DD."""
        return datetime.date.fromordinal(self.today).isoformat()

    def set_today(self, today: int, revise: float, seed: int) -> None:
        """Move the calendar to `today`; each real record is revised on each new day with probability `revise`."""
        for now in range(self.today + 1, today + 1) if revise else ():
            for pmid in self.records:
                if chance(seed, "revised", pmid, now) < revise:
                    self.revised[pmid] = now
        self.today = today
        self.hidden |= self.deleted & self.records.keys() if today > self.start else set()


def load(directory: Path) -> tuple[dict[int, Record], set[int]]:
    """Return the records of every `*.xml` and `*.xml.gz` in `directory` (by name) and the PMIDs they delete."""
    records: dict[int, Record] = {}
    deleted: set[int] = set()
    for path in sorted([*directory.glob("*.xml"), *directory.glob("*.xml.gz")]):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for match in RECORD.finditer(content):
            record = read_record(match.group())
            if record.pmid in records:
                records[record.pmid].versions += record.versions
            else:
                records[record.pmid] = record
        for block in DELETED.finditer(content):
            deleted |= {int(pmid) for pmid in re.findall(rb"<PMID[^>]*>(\d+)<", block.group())}
    return records, deleted


def read_record(raw: bytes) -> Record:
    """Return the record that `raw`, one PubmedArticle or PubmedBookArticle in UTF-8, holds."""
    article = ElementTree.fromstring(raw)
    citation = next((part for part in article if part.tag in ("MedlineCitation", "BookDocument")), None)
    if citation is None:
        raise ValueError(f"a {article.tag} without MedlineCitation or BookDocument: {raw[:80]!r}")
    pmid = int(citation.findtext("PMID", ""))
    history = article.findall("PubmedData/History/PubMedPubDate") + article.findall(
        "PubmedBookData/History/PubMedPubDate"
    )
    entered = {entry.get("PubStatus", ""): _day(entry) for entry in history}
    created, contributed, completed, revised = (
        _day(citation.find(name)) for name in ("DateCreated", "ContributionDate", "DateCompleted", "DateRevised")
    )
    published = _published(citation.find("Article/Journal/JournalIssue/PubDate")) or _published(
        citation.find("Book/PubDate")
    )
    days = (entered.get("entrez"), entered.get("pubmed"), created, contributed, completed, revised, published)
    edat = next((known for known in days if known), datetime.date(1966, 1, 1).toordinal())
    version = Version(raw, _searchable(citation, article), revised or completed or edat)
    return Record(pmid, edat, created or edat, published or edat, [version])


def _day(element: ElementTree.Element | None) -> int | None:
    """Return the day that Year, Month and Day of `element` name; a missing part counts as the first."""
    if element is None:
        return None
    year, month, monthday = (element.findtext(name, "").strip() for name in ("Year", "Month", "Day"))
    if not year.isdigit():
        return None
    number = int(month) if month.isdigit() else MONTHS.get(month[:3].lower(), 1)
    try:
        return datetime.date(int(year), number, int(monthday) if monthday.isdigit() else 1).toordinal()
    except ValueError:  # a 31 June, as old records have
        return datetime.date(int(year), 1, 1).toordinal()


def _published(element: ElementTree.Element | None) -> int | None:
    medline = "" if element is None else element.findtext("MedlineDate", "")
    year = re.search(r"\d{4}", medline)
    return datetime.date(int(year.group()), 1, 1).toordinal() if year else _day(element)


def _searchable(citation: ElementTree.Element, article: ElementTree.Element) -> dict[str, str]:
    fields = {
        "title": "ArticleTitle VernacularTitle BookTitle",
        "abstract": "AbstractText",
        "mesh": "DescriptorName QualifierName NameOfSubstance Keyword",
        "journal": "Title ISOAbbreviation MedlineTA",
        "author": "LastName ForeName Initials CollectiveName",
        "type": "PublicationType",
        "language": "Language",
        "affiliation": "Affiliation",
    }
    words = {name: query.normal(" ".join(_texts(citation, tags.split()))) for name, tags in fields.items()}
    own = article.findall("PubmedData/ArticleIdList/ArticleId") + article.findall(
        "PubmedBookData/ArticleIdList/ArticleId"
    )
    words["ids"] = query.normal(" ".join(element.text or "" for element in [*own, *citation.iter("ELocationID")]))
    words["tiab"] = words["title"] + words["abstract"]
    words["all"] = "".join(words.values())
    return words


def _texts(element: ElementTree.Element, tags: Sequence[str]) -> Iterator[str]:
    for tag in tags:
        for found in element.iter(tag):
            yield "".join(found.itertext())


@functools.lru_cache(maxsize=256)
def clone_template(raw: bytes) -> list[bytes]:
    """Return `raw` in pieces that, joined by a PMID, make a clone: its own PMID, PMC number and DOI, and a comment."""
    article = ElementTree.fromstring(raw)
    hole = "CLONEPMIDHERE"
    for place in ("MedlineCitation/PMID", "BookDocument/PMID"):
        for element in article.findall(place):
            element.text = hole
    ids = article.findall("PubmedData/ArticleIdList/ArticleId") + article.findall(
        "PubmedBookData/ArticleIdList/ArticleId"
    )
    for element in ids + article.findall("MedlineCitation/Article/ELocationID"):
        kind = element.get("IdType") or element.get("EIdType")
        if kind == "pubmed":
            element.text = hole
        elif kind == "doi":
            element.text = f"{element.text}.clone{hole}"
        elif kind == "pmc":
            element.text = f"PMC{hole}"
    original = re.search(rb"<PMID[^>]*>(\d+)<", raw)
    assert original is not None
    comment = ElementTree.Comment(f" clone of PMID {original.group(1).decode()}, made by the replica ")
    article.insert(0, comment)
    article.tail = None
    return ElementTree.tostring(article, encoding="unicode").encode().split(hole.encode())
