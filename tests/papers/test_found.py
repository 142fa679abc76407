"""Which query found which record: told by both services, within a limit, and written once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.papers import crossref, entrez, sync, tables
from leftoff.papers.found import note_found
from leftoff.testing.crossref_works import load
from leftoff.testing.ncbi_process import Running
from leftoff.testing.ncbi_process import serve as serve_ncbi
from leftoff.testing.replica_process import serve
from tests.papers.conftest import SHIPPED
from tests.papers.evidence import query
from tests.papers.test_works import WORKS

DB = Path("papers.db")
FREELY = ("--limit", "0", "--polite-limit", "0")


@pytest.fixture(scope="module")
def ncbi() -> Iterator[Running]:
    with serve_ncbi(SHIPPED, "--limit", "0") as running:
        yield running


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossref, "SPACING", 1e-4)
    monkeypatch.setattr(entrez, "SPACING", 1e-4)


def members(words: str) -> set[object]:
    return {name for (name,) in query(DB, f"SELECT identifier FROM found WHERE query = '{words}'")}


def held(where: str = "1") -> set[object]:
    return {name for (name,) in query(DB, f"SELECT identifier FROM raw WHERE {where}")}


def test_a_second_query_has_what_the_first_one_brought(ncbi: Running) -> None:
    """What two queries find is a member of both, though it is fetched once; each of both is stored."""
    sync("cancer", DB, ncbi_url=ncbi.eutils)
    first = members("cancer")
    assert first == held()
    sync("all[sb]", DB, ncbi_url=ncbi.eutils)
    assert members("all[sb]") == held() > first
    assert members("cancer") == first


def test_a_limit_and_a_day_bound_the_members_too(ncbi: Running) -> None:
    """Of a limited search no more are members than were asked for, of one since a day none that are older."""
    sync("all[sb]", DB, limit=7, ncbi_url=ncbi.eutils)
    assert members("all[sb]") == held()
    assert len(held()) == 7
    DB.unlink()
    sync("all[sb]", DB, since="2015-01-01", ncbi_url=ncbi.eutils)
    assert members("all[sb]") == held()
    assert 0 < len(held()) < 120


def test_works_of_crossref_and_of_a_list_are_members(tmp_path: Path) -> None:
    """A question's works, under the question's name; of a list the DOIs that came."""
    folder = tmp_path / "works"
    folder.mkdir()
    known = list(load(WORKS).items())[:60]
    (folder / "w.jsonl").write_text("".join(f"{json.dumps(work.versions[-1])}\n" for _, work in known))
    Path("list.txt").write_text(f"{known[0][0]}\n{known[1][0]}\n10.1000/not-there\n")
    with serve("leftoff.testing.crossref", folder, *FREELY) as served:
        sync("of", DB, source="crossref", batch=10, crossref_url=served.url)
        assert members("of") == held()
        assert len(held()) > 10
        sync("", DB, source="crossref", dois="list.txt", crossref_url=served.url)
    ((name,),) = query(DB, "SELECT DISTINCT query FROM found WHERE query <> 'of'")
    assert members(name) == {known[0][0], known[1][0]}


def test_what_is_noted_stays_as_it_was() -> None:
    """The first time counts; noting it again changes nothing, and of no query nothing is noted."""
    connection = sqlite3.connect(":memory:")
    tables.create(connection)
    note_found(connection, "pubmed", "a", [1, 2])
    rows = connection.execute("SELECT * FROM found").fetchall()
    before = connection.total_changes
    note_found(connection, "pubmed", "a", [2, 1])
    note_found(connection, "pubmed", "", [3])
    note_found(connection, "pubmed", "a", [])
    assert connection.total_changes == before
    assert connection.execute("SELECT * FROM found").fetchall() == rows
    assert [type(row[2]) for row in rows] == [int, int]
    connection.close()


def test_a_database_of_an_earlier_day_gets_what_it_lacks() -> None:
    """The table of searches as it was before has its new column when it is opened, and its rows as they were."""
    connection = sqlite3.connect(":memory:")
    tables.create(connection)
    connection.execute("ALTER TABLE search DROP COLUMN missing")
    connection.execute("INSERT INTO search (source, query, opened_at) VALUES ('pubmed', 'a', '2026')")
    tables.create(connection)
    tables.create(connection)
    assert connection.execute("SELECT query, missing FROM search").fetchall() == [("a", None)]
    connection.close()
