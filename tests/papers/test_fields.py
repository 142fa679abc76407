"""The page about fields accounts for each field of each real record, and says what is so."""

from __future__ import annotations

import copy
import functools
import json
import random
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from leftoff.papers import doi as dois
from leftoff.papers import pubmed, tables, works
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from leftoff.testing.crossref_works import load
from tests.papers.accounted import COLUMNS, PAGE, Row, closest, places, rows, strip, told
from tests.papers.conftest import SHARED, SHIPPED, RealRecords
from tests.papers.test_store import DAY
from tests.testing.test_crossref import WORKS

SAMPLES = 5  # records a path that are altered, twice each
POOL = 300  # values a path that others are taken from

# What NLM's format has for books (BookDocument); the one real book does not show all of it.
CHAPTER = """<PubmedBookArticle><BookDocument><PMID Version="1">20301295</PMID>
<ArticleIdList><ArticleId IdType="bookaccession">NBK1116</ArticleId><ArticleId IdType="doi">10.1000/chapter</ArticleId>
</ArticleIdList><Book><Publisher><PublisherName>Press</PublisherName><PublisherLocation>Seattle</PublisherLocation>
</Publisher><BookTitle book="gene" part="p" sec="s">GeneReviews</BookTitle>
<PubDate><Year>1993</Year><Month>2</Month><Day>3</Day></PubDate>
<BeginningDate><Year>1993</Year></BeginningDate><EndingDate><Year>2020</Year></EndingDate>
<AuthorList Type="editors"><Author><LastName>Editor</LastName></Author></AuthorList>
<AuthorList Type="authors"><Author><LastName>Whole</LastName><ForeName>Ada B</ForeName><Initials>AB</Initials>
<AffiliationInfo><Affiliation>London</Affiliation></AffiliationInfo></Author></AuthorList>
<Volume>2</Volume><VolumeTitle>V</VolumeTitle><Edition>3rd</Edition><CollectionTitle>C</CollectionTitle>
<Isbn>9780000000001</Isbn><ELocationID EIdType="doi">10.1000/book</ELocationID><Medium>Internet</Medium>
<ReportNumber>7</ReportNumber></Book><LocationLabel Type="chapter">1</LocationLabel>
<ArticleTitle book="gene" part="p" sec="s">A chapter</ArticleTitle><VernacularTitle>Ein Kapitel</VernacularTitle>
<Pagination><MedlinePgn>1-9</MedlinePgn></Pagination><Language>eng</Language>
<AuthorList Type="authors"><Author><LastName>Writer</LastName><ForeName>Ann</ForeName><Initials>A</Initials>
<AffiliationInfo><Affiliation>Paris</Affiliation></AffiliationInfo></Author></AuthorList>
<InvestigatorList><Investigator><LastName>I</LastName></Investigator></InvestigatorList>
<PublicationType UI="D016454">Review</PublicationType><Abstract><AbstractText Label="SUMMARY">Text.</AbstractText>
<CopyrightInformation>(c)</CopyrightInformation></Abstract>
<Sections><Section><LocationLabel Type="section">1</LocationLabel><SectionTitle sec="s">S</SectionTitle></Section>
</Sections><KeywordList Owner="NLM"><Keyword>k</Keyword></KeywordList>
<ContributionDate><Year>1998</Year><Month>10</Month><Day>28</Day></ContributionDate>
<DateRevised><Year>2020</Year></DateRevised><GrantList><Grant><Agency>G</Agency></Grant></GrantList>
<ItemList ListType="Synonyms"><Item>i</Item></ItemList><ReferenceList><Reference><Citation>c</Citation></Reference>
</ReferenceList></BookDocument><PubmedBookData><History><PubMedPubDate PubStatus="pubmed"><Year>2010</Year>
</PubMedPubDate></History><PublicationStatus>ppublish</PublicationStatus>
<ArticleIdList><ArticleId IdType="pubmed">20301295</ArticleId><ArticleId IdType="doi">10.1000/chapter</ArticleId>
</ArticleIdList></PubmedBookData></PubmedBookArticle>"""


@dataclass
class Real:
    """Be the records of a service: each of them, which have a path, how many a row, and some values of each path."""

    service: str
    records: list[Any]
    page: list[Row]
    having: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    values: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    counts: dict[Row, int] = field(default_factory=lambda: defaultdict(int))
    of: dict[str, list[Row]] = field(default_factory=dict)

    def look(self) -> Real:
        """Walk all records."""
        for number, record in enumerate(self.records):
            met: dict[str, None] = {}
            for place in places(record):
                met[place.path] = None
                if len(self.values[place.path]) < POOL:
                    self.values[place.path].setdefault(json.dumps(place.value), place.value)
            for path in met:
                self.having[path].append(number)
                self.of[path] = self.of.get(path) or closest(self.page, path)
            counted = self.service == "Crossref" or number < len(self.records) - 1
            for row in {row for path in met for row in self.of[path]}:
                self.counts[row] += counted
        return self

    def read(self, record: Any) -> Record:
        return works.record(works.work(record)) if self.service == "Crossref" else pubmed.record(etree.tostring(record))

    def altered(self, path: str, choose: random.Random) -> Iterator[tuple[int, bool]]:
        """Iterate some records that have the path, each once to say what others say and once what none says."""
        for number in choose.sample(self.having[path], min(SAMPLES, len(self.having[path]))):
            yield number, False
            yield number, True

    def others(self, path: str, said: Iterable[Any], made: bool, choose: random.Random) -> dict[str, Any]:
        """Return for each value that a record says another one; a made one only of fields with few values."""
        found: dict[str, Any] = {}
        values = list(self.values[path].values())
        choose.shuffle(values)
        for value in said:
            fit = (each for each in values if each not in (value, *found.values()) and type(each) is type(value))
            other = next(fit, None) if len(values) > 10 or not made else None
            found.setdefault(json.dumps(value), _made(value) if other is None else other)
        return found


def _made(value: Any) -> Any:
    if value is None or isinstance(value, list):  # a date
        return [[1987, 6, 5]]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return {"Y": "N", "N": "Y"}.get(value) or (str(int(value) + 1) if value.isdecimal() else f"{value} 1".strip())


@functools.cache
def real(service: str) -> Real:
    """Return what is known about the real records of a service; the last of PubMed's is the made chapter."""
    page = rows(service)
    if service == "Crossref":
        known = load(WORKS)
        texts = [version for work in known.values() for version in work.versions]
        return Real(service, [text for text in texts if "member" in text], page).look()  # those made here have none
    folders = [RealRecords(folder, None, None) for folder in (SHIPPED, SHARED) if folder.is_dir()]
    raw = {record.pmid: record.raw for folder in folders for record in folder.records()}
    return Real(service, [etree.fromstring(each) for each in (*raw.values(), CHAPTER)], page).look()


SERVICES = pytest.mark.parametrize("service", ["PubMed", "Crossref"])


@SERVICES
def test_each_field_of_each_real_record_is_in_one_row(service: str) -> None:
    """No path is missing on the page, and none is there twice."""
    found = real(service).of
    assert len(found) > 100
    assert [path for path, covering in found.items() if not covering] == []
    assert [path for path, covering in found.items() if len(covering) > 1] == []


@SERVICES
def test_each_row_is_of_fields_that_occur(service: str) -> None:
    """As many records as it says; what no real one has is in the made chapter of a book."""
    known = real(service)
    assert len(known.page) > 40
    if not SHARED.is_dir():  # the examples have few of the odd ones
        assert len(known.counts) > len(known.page) / 2
        return
    said = "of 955 articles and one book of PubMed, and of 5,816 texts of 4,825 works"
    assert said in " ".join(PAGE.split())
    assert len(known.records) == (5816 if service == "Crossref" else 955 + 1 + 1)
    for row in known.page:
        for each in row.paths:
            assert any(Row((each,), *row[1:]).closeness(path)[1] for path in known.of), f"no field is {each}"
        assert known.counts[row] == (row.records or 0), row.paths


@SERVICES
def test_what_a_field_becomes(service: str, papers: sqlite3.Connection) -> None:
    """In some records that have it the field says something else: just the columns change that its row names.

    A field that becomes none changes nothing but the raw record; and one that counts less than others nothing either,
    as long as there are these.
    """
    seed = random.randrange(2**32)
    print("seed", seed)
    known = real(service)
    choose = random.Random(seed)
    changed: dict[Row, set[str]] = {row: set() for row in known.counts}
    for path, (row,) in known.of.items():
        whole = _columns(row.becomes)
        allowed = whole | _columns(row.also)
        met: set[str] = set()
        for number, made in known.altered(path, choose):
            said, after = _altered(known, number, path, row, made, papers, choose)
            differ = {column for column in COLUMNS if said[column] != after[column]}
            assert differ <= allowed, f"{path} also changes {differ - allowed} in record {number}"
            met |= differ
        assert met or not row.becomes, f"{path} changes nothing"
        changed[row] |= met
    for row, met in changed.items():
        lacking = {name for name in row.becomes if not _columns([name]) & met}
        assert not lacking, f"{row.paths} does not change {lacking}"


def _columns(names: Iterable[str]) -> set[str]:
    """Return the columns that are named, those of a table all together."""
    return {column for name in names for column in COLUMNS if column == name or column.startswith(f"{name}.")}


def _altered(
    known: Real, number: int, path: str, row: Row, made: bool, papers: sqlite3.Connection, choose: random.Random
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return what the columns say of a record, and what they say when this field of it is another."""
    before = copy.deepcopy(known.records[number])
    strip(before, row.without)
    after = copy.deepcopy(before)
    here = [place for place in places(after) if place.path == path]
    others = known.others(path, [place.value for place in here], made, choose)
    for place in here:
        place.put(others[json.dumps(place.value)])
    record, other = known.read(before), known.read(after)
    assert (record.digest != other.digest) == row.revises, path
    assert record.raw != other.raw
    return told(papers, record), told(papers, other)


@SERVICES
def test_what_counts_less_counts_not_at_all(service: str, papers: sqlite3.Connection) -> None:
    """Where the field is that counts more, another value of this one changes nothing."""
    seed = random.randrange(2**32)
    print("seed", seed)
    known = real(service)
    choose = random.Random(seed)
    for path, (row,) in known.of.items():
        for number, made in known.altered(path, choose) if row.without else ():
            above = [each.path for each in places(known.records[number]) if each.value not in ("", [[None]])]
            if not any(each.startswith(row.without) for each in above):
                continue
            said, after = _altered(known, number, path, row._replace(without=()), made, papers, choose)
            assert said == after, path


def test_what_has_no_column_is_read_from_raw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's program prints who paid for each real work that says so."""
    texts = [text for text in real("Crossref").records if text.get("funder")][:40]
    connection = sqlite3.connect(tmp_path / "papers.db")
    tables.create(connection)
    for text in texts:
        store_record(connection, works.record(works.work(text)), DAY)
    connection.commit()
    connection.close()
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Callable[[str], None]] = {}
    exec(program, names)
    names["funders"](str(tmp_path / "papers.db"))
    lines = capsys.readouterr().out.splitlines()
    newest = {dois.normal(text["DOI"]): text["funder"] for text in texts}
    assert sorted(lines) == sorted(f"{doi} {funder['name']}" for doi, listed in newest.items() for funder in listed)
