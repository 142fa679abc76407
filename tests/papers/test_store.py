"""Records kept as papers: identity, merges, revisions."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import random
import sqlite3
import zlib
from typing import Any

import pytest

from leftoff.papers import doi as dois
from leftoff.papers import pubmed, tables
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.conftest import RealRecords
from tests.papers.test_pubmed import made

DAY = "2026-01-02T03:04:05Z"


def paper(pmid: int, doi: str | None = None, title: str = "T", pmc: str | None = None) -> Record:
    """Return a record made for a test."""
    ids = f'<ArticleId IdType="doi">{doi}</ArticleId>' if doi else ""
    ids += f'<ArticleId IdType="pmc">{pmc}</ArticleId>' if pmc else ""
    return made(pmid=str(pmid), title=title, ids=ids)


def shown(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return what the database says of its papers, without the numbers of rows."""
    rows = connection.execute(
        "SELECT key, doi, doi_hash, pmid, pmcid, title, abstract, journal, year, date, type, language,"
        " (SELECT group_concat(kind || ' ' || value) FROM (SELECT * FROM identifier WHERE paper_id = paper.id"
        " ORDER BY kind, value)), (SELECT count(*) FROM author WHERE paper_id = paper.id),"
        " (SELECT count(*) FROM mesh WHERE paper_id = paper.id) FROM paper ORDER BY key"
    )
    return rows.fetchall()


def keys(connection: sqlite3.Connection) -> list[str]:
    """Return the identities of the papers."""
    return [row[0] for row in connection.execute("SELECT key FROM paper ORDER BY pmid")]


def test_every_real_record_is_a_paper(
    papers: sqlite3.Connection, real: RealRecords, every_record: list[Record]
) -> None:
    """Each real record is stored, by the hash of its DOI or else its PMID, with all its authors, headings and text."""
    assert {store_record(papers, record, DAY) for record in every_record} == {"stored"}
    by_doi = {dois.digest(record.doi) for record in every_record if record.doi}
    by_pmid = {f"pmid:{record.pmid}" for record in every_record if not record.doi}
    assert set(keys(papers)) == by_doi | by_pmid
    assert real.total is None or len(keys(papers)) == real.total
    for table, items in (("author", "authors"), ("mesh", "mesh")):
        (count,) = papers.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert count == sum(len(getattr(record, items)) for record in every_record)
    raw = dict(papers.execute("SELECT identifier, content FROM raw"))
    assert all(zlib.decompress(raw[int(record.pmid)]) == record.raw for record in every_record)


def test_a_record_stored_again_changes_nothing_but_its_day(papers: sqlite3.Connection) -> None:
    """The same text again only moves the day on which it was fetched."""
    store_record(papers, paper(1, "10.1000/a"), DAY)
    before = shown(papers)
    assert store_record(papers, paper(1, "10.1000/a"), "2026-02-01T00:00:00Z") == "unchanged"
    assert shown(papers) == before
    assert (
        papers.execute("SELECT fetched_at FROM raw UNION ALL SELECT fetched_at FROM paper").fetchall()
        == [("2026-02-01T00:00:00Z",)] * 2
    )


@pytest.mark.parametrize("order", list(itertools.permutations([11034741, 11406024])))
def test_two_pmids_with_one_doi_are_one_paper(papers: sqlite3.Connection, order: tuple[int, ...]) -> None:
    """The DOI joins them in either order: both PMIDs stay, the later record is shown, and the merge is kept."""
    doi = "10.1002/14651858.CD002020"
    happened = [store_record(papers, paper(pmid, doi, title=str(pmid)), DAY) for pmid in order]
    assert happened == ["stored", "merged"]
    digest = dois.digest(doi.lower())
    assert papers.execute("SELECT key, pmid, title FROM paper").fetchall() == [(digest, 11406024, "11406024")]
    assert papers.execute("SELECT value FROM identifier WHERE kind = 'pmid' ORDER BY value").fetchall() == [
        ("11034741",),
        ("11406024",),
    ]
    assert papers.execute("SELECT identifier, old_key, new_key, reason FROM merge").fetchall() == [
        (order[1], None, digest, "same-doi")
    ]


def test_a_revision_that_gains_a_doi_merges(papers: sqlite3.Connection) -> None:
    """A record that had no DOI joins the paper of the one it gains; its own paper is gone, and nothing refers to it."""
    store_record(papers, paper(1, "10.1000/a"), DAY)
    store_record(papers, paper(2), DAY)
    assert store_record(papers, paper(2, "10.1000/A", title="R"), DAY) == "merged"
    digest = dois.digest("10.1000/a")
    assert keys(papers) == [digest]
    assert papers.execute("SELECT title FROM paper").fetchone() == ("R",)
    assert papers.execute("SELECT identifier, old_key, new_key, reason FROM merge").fetchall() == [
        (2, "pmid:2", digest, "gained-doi")
    ]
    for table in ("identifier", "author", "mesh", "raw"):
        lost = papers.execute(f"SELECT count(*) FROM {table} WHERE paper_id NOT IN (SELECT id FROM paper)")
        assert lost.fetchone() == (0,)


def test_a_revision_that_gains_a_new_doi_keeps_its_paper(papers: sqlite3.Connection) -> None:
    """Where no other paper has the DOI, the paper takes it as its identity."""
    store_record(papers, paper(2), DAY)
    (before,) = papers.execute("SELECT id FROM paper").fetchone()
    assert store_record(papers, paper(2, "10.1000/a"), DAY) == "updated"
    assert papers.execute("SELECT id, key FROM paper").fetchall() == [(before, dois.digest("10.1000/a"))]


def test_a_revision_that_loses_its_doi_keeps_it(papers: sqlite3.Connection) -> None:
    """The paper stays the paper of its DOI."""
    store_record(papers, paper(1, "10.1000/a"), DAY)
    assert store_record(papers, paper(1, title="R"), DAY) == "updated"
    assert papers.execute("SELECT doi, title FROM paper").fetchall() == [("10.1000/a", "R")]


def test_a_revision_with_another_doi_leaves_a_shared_paper(papers: sqlite3.Connection) -> None:
    """The record becomes a paper of its own, and the one it left shows what it still has."""
    store_record(papers, paper(1, "10.1000/a", title="one", pmc="PMC1"), DAY)
    store_record(papers, paper(2, "10.1000/a", title="two", pmc="PMC2"), DAY)
    store_record(papers, paper(2, "10.1000/b", title="two", pmc="PMC2"), DAY)
    assert papers.execute("SELECT doi, pmid, pmcid, title FROM paper ORDER BY pmid").fetchall() == [
        ("10.1000/a", 1, "PMC1", "one"),
        ("10.1000/b", 2, "PMC2", "two"),
    ]
    assert papers.execute("SELECT count(*) FROM identifier").fetchone() == (6,)


def test_a_revision_with_another_doi_renames_a_paper_of_its_own(papers: sqlite3.Connection) -> None:
    """The corrected DOI takes the place of the wrong one, which no longer draws other records to this paper."""
    store_record(papers, paper(1, "10.1000/wrong"), DAY)
    store_record(papers, paper(1, "10.1000/right"), DAY)
    assert store_record(papers, paper(2, "10.1000/wrong"), DAY) == "stored"
    assert keys(papers) == [dois.digest("10.1000/right"), dois.digest("10.1000/wrong")]
    assert papers.execute("SELECT reason FROM merge").fetchall() == [("changed-doi",)]


def test_an_older_version_does_not_replace_a_newer_one(papers: sqlite3.Connection) -> None:
    """PubMed numbers the versions of a record; the highest stands, whichever came last."""
    newer = dataclasses.replace(paper(1, title="new"), version=3)
    store_record(papers, newer, DAY)
    assert store_record(papers, paper(1, title="old"), DAY) == "unchanged"
    assert papers.execute("SELECT title FROM paper").fetchall() == [("new",)]


def test_real_revisions_update_their_papers(papers: sqlite3.Connection, real: RealRecords) -> None:
    """Another real text of a known record updates its paper and adds none."""
    texts: dict[str, list[Record]] = {}
    for path in sorted(real.folder.glob("*.xml.gz")):
        for record in pubmed.records(gzip.decompress(path.read_bytes())):
            texts.setdefault(record.pmid, []).append(record)
    revised = [versions for versions in texts.values() if len(versions) > 1]
    assert real.total is None or len(revised) == 3
    for first, *later in revised:
        store_record(papers, first, DAY)
        assert {store_record(papers, each, DAY) for each in later} == {"updated"}
    assert len(keys(papers)) == len(revised)


def test_the_order_of_records_does_not_matter(every_record: list[Record]) -> None:
    """However the records of shared, gained and missing DOIs are ordered, the same papers come out."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    records = [
        *every_record[:40],
        *(paper(90_000_000 + n, f"10.1000/{n % 7}" if n % 3 else None, str(n)) for n in range(40)),
    ]
    results = []
    for _ in range(3):
        rng.shuffle(records)
        connection = sqlite3.connect(":memory:")
        tables.create(connection)
        for record in records:
            store_record(connection, record, DAY)
        results.append(shown(connection))
        connection.close()
    assert results[0] == results[1] == results[2]
