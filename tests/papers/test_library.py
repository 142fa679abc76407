"""One library out of two services: records of PubMed and of Crossref that tell of the same papers."""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import ServiceRefused
from leftoff.papers import crossref, entrez, service, sync, tables, works
from leftoff.papers.merging import COMPARED
from leftoff.papers.record import Record
from leftoff.papers.store import reread, store_record
from leftoff.testing.crossref_works import load
from leftoff.testing.replica_process import Running, serve
from tests.papers.conftest import RealRecords
from tests.papers.evidence import TABLES, content, query
from tests.papers.test_store import paper as pubmed_record
from tests.papers.test_works import SHARED, made

DAY, LATER = "2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z"


def work(doi: str = "10.1000/a", **fields: Any) -> Record:
    """Return a record of Crossref's made for a test."""
    return works.record(works.work({"DOI": doi, **fields}))


def one(connection: sqlite3.Connection, sql: str) -> Any:
    return connection.execute(sql).fetchall()


def said(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Return what a database says of its papers, without the numbers of rows."""
    return {
        table: sorted(connection.execute(f"SELECT {names} FROM {table}").fetchall(), key=repr)
        for table, names in TABLES.items()
    }


# -- a paper of several records --------------------------------------------------------------------------------------


def test_records_of_both_services_with_one_doi_are_one_paper(papers: sqlite3.Connection) -> None:
    """Both records are kept as they came, and each field tells which of them it is from, and when that was fetched."""
    article = pubmed_record(7, "10.1000/A", title="A title")
    deposited = work("10.1000/a", title=["A Title."], publisher="P", volume="12", ISSN=["1234-5679"], language="de")
    assert store_record(papers, article, DAY) == "stored"
    assert store_record(papers, deposited, LATER) == "merged"
    assert one(papers, "SELECT doi, pmid, title, publisher, volume, issn, language, source, fetched_at FROM paper") == [
        ("10.1000/a", 7, "A title", "P", "12", "1234-5679", "eng", "pubmed; crossref", LATER)
    ]
    provenance = dict(one(papers, "SELECT field, source || ' ' || fetched_at FROM provenance"))
    assert provenance["title"] == f"pubmed {DAY}"
    assert provenance["publisher"] == provenance["volume"] == f"crossref {LATER}"
    assert [row[0] for row in one(papers, "SELECT source FROM raw ORDER BY 1")] == ["crossref", "pubmed"]
    assert reread(*one(papers, "SELECT source, content FROM raw WHERE source = 'crossref'")[0]) == deposited
    assert reread(*one(papers, "SELECT source, content FROM raw WHERE source = 'pubmed'")[0]) == article
    assert one(papers, "SELECT source, identifier, old_key, reason FROM merge") == [
        ("crossref", "10.1000/a", None, "same-doi")
    ]


def test_what_records_say_differently_is_visible(papers: sqlite3.Connection) -> None:
    """Case, marks, spaces and shortened pages are no conflict; another year, title or author is, with who says it."""
    store_record(papers, pubmed_record(7, "10.1000/a", title="Über  alles."), DAY)
    same = {"title": ["<i>UBER</i> alles"], "container-title": ["Made"], "issued": {"date-parts": [[2001]]}}
    store_record(papers, work(**same), DAY)
    assert one(papers, "SELECT * FROM conflict") == []
    other = {**same, "title": ["Something else"], "issued": {"date-parts": [[2002, 5]]}}
    store_record(papers, work(**other), LATER)
    assert one(papers, "SELECT field, source, identifier, value FROM conflict ORDER BY field") == [
        ("title", "crossref", "10.1000/a", "Something else"),
        ("year", "crossref", "10.1000/a", "2002"),
    ]
    assert one(papers, "SELECT title, year FROM paper") == [("Über alles.", 2001)]
    store_record(papers, work(**same, volume="3"), LATER)
    assert one(papers, "SELECT * FROM conflict") == [], "what is resolved is no conflict any more"


def test_pages_may_be_shortened(papers: sqlite3.Connection) -> None:
    """123-8 are the pages 123-128 (PubMed's way to write them)."""
    pages = "<Pagination><MedlinePgn>{}</MedlinePgn></Pagination>"
    from tests.papers.test_pubmed import made as made_record

    doi = '<ArticleId IdType="doi">10.1000/a</ArticleId>'
    store_record(papers, made_record(ids=doi, more=pages.format("123-8")), DAY)
    store_record(papers, work(title=["T"], page="123\u2013128"), DAY)
    assert one(papers, "SELECT pages FROM paper") == [("123\u2013128",)]
    assert one(papers, "SELECT field FROM conflict WHERE field = 'pages'") == []
    store_record(papers, made_record(ids=doi, more=pages.format("123-9")), LATER)
    assert one(papers, "SELECT value FROM conflict WHERE field = 'pages'") == [("123-9",)]


def test_a_date_and_its_year_are_of_one_record(papers: sqlite3.Connection) -> None:
    """A paper never shows the year of one record and the month of another."""
    store_record(papers, pubmed_record(7, "10.1000/a"), DAY)
    store_record(papers, work(issued={"date-parts": [[1999, 12, 31]]}), DAY)
    assert one(papers, "SELECT year, date FROM paper") == [(2001, "2001")]
    rows = one(papers, "SELECT field, source FROM provenance WHERE field IN ('date', 'year') ORDER BY 1")
    assert rows == [("date", "pubmed"), ("year", "pubmed")]


def test_the_order_of_arrival_does_not_matter(papers: sqlite3.Connection) -> None:
    """Three records of one paper, in each order: the same paper."""
    records = [
        pubmed_record(11, "10.1000/a", title="older"),
        pubmed_record(12, "10.1000/a", title="newer"),
        work(title=["deposited"], publisher="P", author=[{"family": "X", "given": "Y"}]),
    ]
    found = []
    for order in itertools.permutations(records):
        with_other_order = sqlite3.connect(":memory:")
        tables.create(with_other_order)
        for record in order:
            store_record(with_other_order, record, DAY)
        found.append(said(with_other_order))
        with_other_order.close()
    assert all(each == found[0] for each in found)
    assert found[0]["paper"][0][3] == 12
    assert {row[1:] for row in found[0]["conflict"]} >= {("title", "pubmed", 11, "older")}


def test_a_revision_keeps_what_it_replaced(papers: sqlite3.Connection) -> None:
    """In place, with its history: the text before, when that was fetched, and when it was replaced."""
    store_record(papers, work(title=["one"]), DAY)
    store_record(papers, work(title=["one"], indexed={"timestamp": 9}), DAY)
    assert store_record(papers, work(title=["two"]), LATER) == "updated"
    ((source, identifier, fetched_at, replaced_at, before),) = one(
        papers, "SELECT source, identifier, fetched_at, replaced_at, content FROM revision"
    )
    assert (source, identifier, fetched_at, replaced_at) == ("crossref", "10.1000/a", DAY, LATER)
    assert reread("crossref", before).title == "one"
    assert one(papers, "SELECT title FROM paper") == [("two",)]


def test_a_record_that_leaves_takes_its_fields_along(papers: sqlite3.Connection) -> None:
    """A PubMed record that gets another DOI leaves the work alone, which then shows itself."""
    store_record(papers, pubmed_record(7, "10.1000/a", title="PubMed's"), DAY)
    store_record(papers, work(title=["Crossref's"]), DAY)
    store_record(papers, pubmed_record(7, "10.1000/b", title="PubMed's, again"), LATER)
    assert one(papers, "SELECT doi, pmid, title, source FROM paper ORDER BY doi") == [
        ("10.1000/a", None, "Crossref's", "crossref"),
        ("10.1000/b", 7, "PubMed's, again", "pubmed"),
    ]
    assert one(papers, "SELECT count(*) FROM conflict") == [(0,)]


def test_random_histories_end_the_same(every_record: list[Record]) -> None:
    """Real records and works made of them, revised and in any order: what is shown depends on the last texts alone."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    chosen = rng.sample([record for record in every_record if record.doi], 30)
    records: list[Record] = [*chosen]
    for record in chosen[:20]:
        title = record.title if rng.random() < 0.5 else "Another title"
        records.append(work(record.doi or "", title=[title], publisher=f"P{rng.random()}"))
    found = []
    for _ in range(3):
        connection = sqlite3.connect(":memory:")
        tables.create(connection)
        history = [*records, *rng.sample(records, 10)]
        rng.shuffle(history)
        for record in history:
            store_record(connection, record, DAY)
        found.append(said(connection))
        connection.close()
    assert found[0] == found[1] == found[2]
    assert len(found[0]["paper"]) == 30
    fields = {row[1] for row in found[0]["conflict"]}
    assert fields <= set(COMPARED)
    assert "title" in fields


def test_a_made_work_is_a_record_like_any_other(papers: sqlite3.Connection) -> None:
    """A work without a title or anything else is a paper with its DOI."""
    store_record(papers, made(), DAY)
    assert one(papers, "SELECT doi, title, year, source FROM paper") == [("10.1000/a", None, None, "crossref")]


# -- both services, asked by sync ------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((crossref, "SPACING"), (entrez, "SPACING"), (entrez, "SPACING_WITH_KEY")):
        monkeypatch.setattr(module, name, 1e-4)
    monkeypatch.setattr(service.retry, "delay", lambda failures: 0.001)


@pytest.fixture(scope="module")
def overlap(tmp_path_factory: pytest.TempPathFactory, every_record: list[Record]) -> Path:
    """A folder of works that tell of the papers of PubMed: made of these where the derived ones are not at hand."""
    folder = tmp_path_factory.mktemp("works")
    dois = {record.doi for record in every_record if record.doi}
    if SHARED.is_dir():
        derived = [json.dumps(each.versions[-1]) for doi, each in load(SHARED).items() if doi in dois]
    else:
        derived = [json.dumps(derive(record)) for record in every_record if record.doi]
    (folder / "works.jsonl").write_text("".join(f"{line}\n" for line in derived), encoding="utf-8")
    return folder


def derive(record: Record) -> dict[str, Any]:
    stamp = {"date-parts": [[2020, 1, 1]], "timestamp": 1_577_836_800_000}
    return {"DOI": record.doi, "title": [record.title], "created": stamp, "deposited": stamp, "indexed": stamp}


@pytest.fixture
def replicas(real: RealRecords, overlap: Path) -> Iterator[tuple[Running, Running]]:
    free = ("--limit", "0", "--ban-after", "1")
    with (
        serve("leftoff.testing.ncbi", real.folder, *free) as ncbi,
        serve("leftoff.testing.crossref", overlap, *free, "--polite-limit", "0") as works_replica,
    ):
        yield ncbi, works_replica


@pytest.mark.usefixtures("quick")
def test_both_services_fill_one_library(
    replicas: tuple[Running, Running], real: RealRecords, every_record: list[Record], overlap: Path, tmp_path: Path
) -> None:
    """A paper for each DOI and for each PMID without one; every work that PubMed has, too, joins its paper."""
    ncbi, deposited = replicas
    db = tmp_path / "papers.db"
    where = {"ncbi_url": f"{ncbi.url}/entrez/eutils", "crossref_url": deposited.url}
    word = "cancer"
    report = sync(word, db, source="both", **where)
    assert set(report.services) == {"pubmed", "crossref"}
    assert report.asked == sum(each.asked for each in report.services.values()) > 0
    assert report.missing == 0
    assert report.as_dict()["services"]["pubmed"]["asked"] == report.services["pubmed"].asked
    wanted = {record.identifier for record in every_record}
    assert {pmid for (pmid,) in query(db, "SELECT identifier FROM raw WHERE source = 'pubmed'")} <= wanted
    known = load(overlap)
    assert all(doi in known for (doi,) in query(db, "SELECT identifier FROM raw WHERE source = 'crossref'"))
    sources = Counter(source for (source,) in query(db, "SELECT source FROM paper"))
    assert sources["pubmed; crossref"] > 0
    assert len({doi for (doi,) in query(db, "SELECT doi FROM paper WHERE doi IS NOT NULL")}) == len(
        query(db, "SELECT 1 FROM paper WHERE doi IS NOT NULL")
    )
    assert sync(word, db, source="both", **where).stored == 0

    other = tmp_path / "other.db"
    for source in ("crossref", "pubmed"):
        sync(word, other, source=source, **where)  # type: ignore[arg-type]
    assert content(other) == content(db)


@pytest.mark.usefixtures("quick")
def test_a_service_that_refuses_keeps_no_other_from_being_asked(
    replicas: tuple[Running, Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PubMed is down: what Crossref finds is brought, and the error of PubMed is raised then."""
    monkeypatch.setattr(service, "ATTEMPTS", 2)
    ncbi, deposited = replicas
    ncbi.ask("fault", name="429", rate="1")
    db = tmp_path / "papers.db"
    with pytest.raises(ServiceRefused, match="esearch"):
        sync("cancer", db, source="both", ncbi_url=f"{ncbi.url}/entrez/eutils", crossref_url=deposited.url)
    assert {source for (source,) in query(db, "SELECT source FROM paper")} == {"crossref"}
