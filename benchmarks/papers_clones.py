"""Clones of real PubMed records, and a service in this process that lists and sends them.

A clone says what its record says, under a PMID, DOI and PMCID of its own, in another volume and with some made words
before its title; a link between two of the records is one between their clones of the same turn. Clones are no real
records.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from xml.sax.saxutils import escape

from leftoff.papers import doi as dois
from leftoff.papers import pubmed
from leftoff.papers.record import Record
from leftoff.papers.windows import REACHED, Hits, Window

FIRST_PMID = 10_000_000
FIRST_DAY = date(2020, 1, 1)  # on which the service added the first of them
A_DAY = 5_000  # as many as PubMed adds
OWN = re.compile(
    rb'(?P<start><PMID Version="[0-9]+">|<(?:ArticleId IdType|ELocationID EIdType)="(?P<kind>pubmed|doi|pmc)"[^>]*>)'
    rb"(?P<text>[^<]*)(?=<)"
)
VOLUME = re.compile(rb"(<JournalIssue[^>]*>\s*<Volume>)[^<]*")
TITLE = re.compile(rb"<ArticleTitle>(?=[^<\[])")
SYLLABLES = [first + last for first in "bdfgklmnprstvz" for last in ("a", "e", "i", "o", "u", "al", "er", "on")]


def word(number: int) -> str:
    """Return a made word; no two numbers have the same."""
    base, text = len(SYLLABLES), ""
    while number or len(text) < 4:
        number, rest = divmod(number, base)
        text += SYLLABLES[rest]
    return f"x{text}"


def words_before(number: int) -> str:
    """Return the words before the title of a clone: from two to ten, some of which many clones have, and some few."""
    chance = random.Random(number)
    return " ".join(word(int(20_000 * chance.random() ** 3)) for _ in range(2 + number % 9))


@dataclass(frozen=True)
class Template:
    """Be a real record, and its bytes with places for what a clone has of its own."""

    record: Record
    form: bytes
    named: frozenset[int]
    """The places of the records whose PMIDs it names, its own among them."""
    titled: bool
    """Whether made words can stand before its title."""


class Clones:
    """Be so many clones of the records in a folder, each made when it is asked for."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count

    @cached_property
    def _records(self) -> dict[int | str, Record]:
        """The real records by their PMIDs, read when the first clone is made."""
        return {record.identifier: record for data in sets_in(self._folder) for record in pubmed.records(data)}

    @cached_property
    def _places(self) -> dict[int | str | None, int]:
        return {pmid: place for place, pmid in enumerate(self._records)}

    @cached_property
    def _templates(self) -> list[Template]:
        return [self._template(record) for record in self._records.values()]

    @property
    def originals(self) -> int:
        """How many real records there are."""
        return len(self._records)

    def __len__(self) -> int:
        return self._count

    def pmids(self) -> range:
        """Return the PMIDs of all clones."""
        return range(FIRST_PMID, FIRST_PMID + self._count)

    def record(self, number: int) -> Record:
        """Return a clone: of the same number always the same."""
        turn, place = divmod(number, self.originals)
        template, first = self._templates[place], FIRST_PMID + turn * self.originals
        record = template.record
        words = words_before(number) if template.titled else ""
        doi = None if record.doi is None else f"{record.doi}.{number}"
        pmcid = None if record.pmcid is None else f"PMC{number + 1}"
        own = {b"%d" % other: b"%d" % (first + other) for other in template.named}
        own |= {b"doi": escape(doi or "").encode(), b"pmc": (pmcid or "").encode(), b"words": words.encode()}
        own[b"volume"] = b"%d" % (turn + 1)
        raw = template.form % own
        return replace(
            record,
            identifier=first + place,
            doi=doi,
            pmcid=pmcid,
            title=f"{words} {record.title}" if words else record.title,
            volume=None if record.volume is None else str(turn + 1),
            raw=raw,
            digest=hashlib.sha256(raw).digest(),
            links=tuple(
                replace(link, pmid=first + self._places[link.pmid]) if link.pmid in self._places else link
                for link in record.links
            ),
        )

    def _template(self, record: Record) -> Template:
        named = set()

        def mark(found: re.Match[bytes]) -> bytes:
            kind, text = found["kind"] or b"pubmed", html.unescape(found["text"].decode())
            if kind == b"pubmed" and text.isdecimal() and (place := self._places.get(int(text))) is not None:
                named.add(place)
                return found["start"] + b"%%(%d)s" % place
            if kind == b"doi" and record.doi is not None and dois.normal(text) == record.doi:
                return found["start"] + b"%(doi)s"
            if kind == b"pmc" and (pmc := pubmed.PMC.search(text)) is not None and f"PMC{pmc[1]}" == record.pmcid:
                return found["start"] + b"%(pmc)s"
            return found[0]

        form = OWN.sub(mark, record.raw.replace(b"%", b"%%"))
        form, titled = TITLE.subn(rb"\g<0>%(words)s ", form, count=1)
        if record.volume is not None:
            form = VOLUME.sub(rb"\g<1>%(volume)s", form, count=1)
        return Template(record, form, frozenset(named), bool(titled))


def sets_in(folder: Path) -> list[bytes]:
    """Return the sets of records in a folder, without later versions of records that another set holds."""
    paths = [path for path in sorted(folder.glob("*.xml*")) if not path.name.startswith(("zz-", "delete"))]
    return [gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in paths]


class Service:
    """Be PubMed as the code that brings papers asks it, without a network: all queries find all clones.

    Nothing is revised; ``edat`` of a clone follows from its number.
    """

    def __init__(self, clones: Clones) -> None:
        self._clones = clones
        self.requests = 0
        self.waited_s = 0.0

    def search(self, query: str, window: Window) -> Hits:
        """Return what is found in a window."""
        numbers = self._in(query, window)
        listed = numbers[::-1] if len(numbers) <= REACHED else ()  # the newest first
        return Hits(len(numbers), tuple(str(FIRST_PMID + number) for number in listed))

    def count(self, query: str, window: Window) -> int:
        """Return how many are found in a window."""
        return len(self._in(query, window))

    def fetch(self, pmids: Sequence[str]) -> list[Record]:
        """Return these clones."""
        self.requests += 1
        return [self._clones.record(int(pmid) - FIRST_PMID) for pmid in pmids]

    def _in(self, query: str, window: Window) -> range:
        assert query
        self.requests += 1
        if window.kind == "mdat":
            return range(0)
        first, last = ((day - FIRST_DAY).days for day in (window.first, window.last))
        low = max(0, window.low - FIRST_PMID, first * A_DAY)
        return range(low, max(low, min(len(self._clones), window.high - FIRST_PMID + 1, (last + 1) * A_DAY)))
