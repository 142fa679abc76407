"""Records that PubMed deletes, and those that a query finds no longer: noticed by the count, and told apart."""

from __future__ import annotations

import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.papers import entrez, listed, report, sync, tables
from leftoff.testing.ncbi_process import Running
from leftoff.testing.ncbi_process import serve as serve_ncbi
from tests.papers.conftest import SHIPPED
from tests.papers.evidence import query

DB = Path("papers.db")
ALL = "all[sb]"


@pytest.fixture
def ncbi(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(entrez, "SPACING", 1e-4)
    with serve_ncbi(SHIPPED, "--limit", "0") as running:
        yield running


def marked() -> set[int]:
    return {pmid for (pmid,) in query(DB, "SELECT identifier FROM raw WHERE deleted_at IS NOT NULL")}


def left(words: str) -> set[int]:
    return {pmid for (pmid,) in query(DB, f"SELECT identifier FROM found WHERE query = '{words}' AND left_at NOT NULL")}


def test_a_deleted_record_is_noticed_by_the_count(ncbi: Running) -> None:
    """It is marked with the next sync of its query, and kept; the report adds up, and the day after costs no more."""
    first = sync(ALL, DB, ncbi_url=ncbi.eutils)
    quiet = sync(ALL, DB, ncbi_url=ncbi.eutils).requests
    pmids = [pmid for (pmid,) in query(DB, "SELECT identifier FROM raw ORDER BY 1")]
    gone = {pmids[0], pmids[5]}
    ncbi.ask("delete", id=",".join(map(str, gone)))
    second = sync(ALL, DB, ncbi_url=ncbi.eutils)
    assert (second.stored, second.absent, second.missing) == (0, 2, 0)
    assert marked() == left(ALL) == gone
    assert len(list(listed(DB))) == first.stored
    (one,) = report(DB).queries
    (service,) = one.services
    assert (service.held, service.counted, service.surplus, service.gap) == (first.stored - 2, first.stored - 2, 0, 0)
    assert sync(ALL, DB, ncbi_url=ncbi.eutils).requests == quiet
    assert marked() == gone


def test_it_is_noticed_beside_what_is_new(ncbi: Running) -> None:
    """As many come as go: the count is as it was, and both are noticed."""
    ncbi.ask("fault", name="growing", rate="1e-9")  # a tenth of the records is held back
    first = sync(ALL, DB, ncbi_url=ncbi.eutils)
    gone = {pmid for (pmid,) in query(DB, "SELECT identifier FROM raw ORDER BY 1 LIMIT 3")}
    ncbi.ask("fault", name="growing", rate="1")
    for _ in gone:  # one enters with each search
        urllib.request.urlopen(f"{ncbi.eutils}/esearch.fcgi?db=pubmed&term=all[sb]").close()
    ncbi.ask("fault", name="growing", rate="0")
    ncbi.ask("delete", id=",".join(map(str, gone)))
    second = sync(ALL, DB, ncbi_url=ncbi.eutils)
    assert (second.stored, second.absent, second.missing) == (3, 3, 0)
    assert marked() == gone
    assert len(list(listed(DB))) == first.stored + 3


def test_what_a_query_finds_no_longer_is_not_deleted(ncbi: Running) -> None:
    """It is looked at once: it is there, so it has no mark, and the query has it no longer."""
    sync(ALL, DB, ncbi_url=ncbi.eutils)
    sync("cancer", DB, ncbi_url=ncbi.eutils)
    ((other,),) = query(
        DB,
        "SELECT max(identifier) FROM raw WHERE identifier NOT IN (SELECT identifier FROM found WHERE query = 'cancer')",
    )
    with sqlite3.connect(DB) as connection:  # as if its text had been one of the query's
        tables.create(connection)
        connection.execute("INSERT INTO found VALUES ('pubmed', 'cancer', ?, '2026-01-01', NULL)", (other,))
        connection.execute("UPDATE search SET total = total + 1 WHERE query = 'cancer'")
    connection.close()
    again = sync("cancer", DB, ncbi_url=ncbi.eutils)
    assert (again.stored, again.absent, again.missing) == (1, 0, 0)
    assert (marked(), left("cancer"), left(ALL)) == (set(), {other}, set())
    assert sync("cancer", DB, ncbi_url=ncbi.eutils).stored == 0
