"""What came into a database: each number of the report, from rows that are made for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalMissing, NotAJournal, UsageError
from leftoff.papers import Came, report, tables
from leftoff.papers.found import note_found
from leftoff.papers.log import Event, note
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.test_store import paper

DB = Path("papers.db")


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be the tenth of March."""
    monkeypatch.setattr(tables, "clock", lambda: datetime(2026, 3, 10, 12, tzinfo=timezone.utc))


@pytest.fixture
def made() -> Callable[..., None]:
    """Make the database, and return what adds a record on a day, found by queries."""
    connection = sqlite3.connect(DB, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    tables.create(connection)

    def add(record: Record, day: int, *queries: str) -> None:
        at = f"2026-03-{day:02}T08:00:00.000000Z"
        happened = store_record(connection, record, at)
        pmid = None if record.pmid is None else int(record.pmid)
        note(connection, [Event(at, record.source, pmid, record.doi, happened)])
        for query in queries:
            note_found(connection, record.source, query, [record.identifier])

    return add


def searched(query: str, **columns: Any) -> None:
    row = {"source": "pubmed", "query": query, "opened_at": "2026-03-09T08:00:00.000000Z", **columns}
    with sqlite3.connect(DB) as connection:
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO search ({names}) VALUES ({marks})", row)
    connection.close()


def complete(query: str, total: int | None, missing: int = 0, **columns: Any) -> None:
    at = "2026-03-09T09:00:00.000000Z"
    searched(query, **{"completed_at": at, "total": total, "missing": missing, **columns})


def test_new_and_revised_papers_count_once_in_all_and_in_each_query(made: Callable[..., None]) -> None:
    """What several queries find is in each of them, once in the sums, and apart in the days."""
    made(paper(1, title="old"), 1, "a")
    made(paper(2, "10.1000/b"), 5, "a", "b")
    made(paper(3), 6, "a")
    made(paper(4), 6)
    made(paper(1, title="new"), 7)
    for query, total in (("a", 3), ("b", 1)):
        complete(query, total)
    came = report(DB, since="7d")
    assert [(each.name, each.new, each.revised) for each in came.queries] == [("a", 2, 1), ("b", 1, 0)]
    assert (came.totals.papers, came.totals.new, came.totals.revised) == (4, 3, 1)
    assert [(each.day, each.new, each.by_query, each.several, each.other) for each in came.days] == [
        ("2026-03-05", 1, {}, 1, 0),
        ("2026-03-06", 2, {"a": 1}, 0, 1),
    ]
    assert [(each.pmid, each.queries) for each in came.papers] == [(3, ("a",)), (4, ()), (2, ("a", "b"))]
    assert (came.since, came.made_at[:10]) == ("2026-03-03", "2026-03-10")


def test_a_record_that_joins_an_old_paper_is_merged_and_not_new(made: Callable[..., None]) -> None:
    """A paper is as old as its first record."""
    made(paper(1, "10.1000/b"), 1, "a")
    made(paper(2, "10.1000/b"), 9, "a")
    complete("a", 2)
    came = report(DB)
    assert (came.queries[0].new, came.queries[0].merged, came.totals.new, came.totals.merged) == (0, 1, 0, 1)
    assert came.queries[0].services[0].held == 2


def test_what_is_held_is_judged_by_what_the_service_counts(made: Callable[..., None]) -> None:
    """Absent and missing records explain a difference; what is left is a gap, or was found earlier and is no longer."""
    made(paper(1), 9, "a", "b", "c", "limited", "since")
    made(paper(2), 9, "a", "b", "c", "limited", "since")
    with sqlite3.connect(DB) as connection:
        note_found(connection, "pubmed", "a", [3])
        connection.execute("INSERT INTO absent VALUES ('pubmed', 3, '2026-03-09T08:00:00.000000Z')")
    connection.close()
    complete("a", 4, missing=1)
    complete("b", 9)
    complete("c", 1)
    complete("limited", 9, most=2)
    complete("since", None, since="2026-01-01")
    found = {each.name: each.services[0] for each in report(DB).queries}
    numbers = {name: (s.held, s.absent, s.missing, s.counted, s.gap, s.surplus) for name, s in found.items()}
    assert numbers == {
        "a": (2, 1, 1, 4, 0, 0),
        "b": (2, 0, 0, 9, 7, 0),
        "c": (2, 0, 0, 1, 0, 1),
        "limited": (2, 0, 0, 9, None, None),
        "since": (2, 0, 0, None, None, None),
    }
    assert found["limited"].limit == 2
    assert report(DB).totals.missing == 1


def test_the_last_complete_search_and_the_open_one_are_told(made: Callable[..., None]) -> None:
    """A search that left something missing is not a complete one, and one that has no end is open."""
    complete("a", 1, opened_at="2026-03-04T00:00:00.000000Z")
    complete("a", 1, missing=1, opened_at="2026-03-05T00:00:00.000000Z")
    searched("a", opened_at="2026-03-06T00:00:00.000000Z")
    searched("b")
    first, second = report(DB).queries
    assert first.services[0].complete_at == "2026-03-04T00:00:00.000000Z"
    assert first.services[0].open_since == "2026-03-06T00:00:00.000000Z"
    assert (first.missing, second.services[0].complete_at, second.services[0].counted) == (1, None, None)


def test_retracted_papers_are_told(made: Callable[..., None], every_record: list[Record]) -> None:
    """Of the real records those that PubMed marks as retracted are counted, and marked."""
    for record in every_record:
        made(record, 9, "a")
    complete("a", len(every_record))
    marked = {record.identifier for record in every_record if "Retracted Publication" in (record.type or "")}
    came = report(DB, newest=10_000)
    assert {each.pmid for each in came.papers if each.retracted} == marked
    assert came.queries[0].retracted == came.totals.retracted == len(marked)
    assert came.queries[0].services[0].held == len(every_record)
    assert len(came.papers) == came.totals.new == came.totals.papers


def test_a_project_names_its_queries(made: Callable[..., None]) -> None:
    """With a project file a query has the name that it has there, over all its services; others are not told of."""
    Path("leftoff.toml").write_text(
        '[papers]\ndb = "papers.db"\n[papers.queries.mine]\nquery = "a  b"\nsource = "both"\nissn = "0091-6749"\n'
    )
    made(paper(1), 9, "a  b", "other")
    complete("a  b", 1)
    complete("other", 1)
    (mine,) = report(project="leftoff.toml").queries
    assert (mine.name, mine.new) == ("mine", 1)
    assert [(each.source, each.query) for each in mine.services] == [
        ("pubmed", "a  b"), ("crossref", "a b issn:0091-6749"),
    ]  # fmt: skip


def test_links_lead_to_the_paper(made: Callable[..., None]) -> None:
    """A DOI with all that an address may not hold is written so that it arrives."""
    made(paper(1, "10.1002/(sici)1&lt;65::aid-zoo7&gt;3.0.co;2-#"), 9, "a")
    made(paper(2), 8, "a")
    complete("a", 2)
    first, second = report(DB).papers
    assert first.links == (
        "https://doi.org/10.1002/%28sici%291%3C65%3A%3Aaid-zoo7%3E3.0.co%3B2-%23",
        "https://pubmed.ncbi.nlm.nih.gov/1/",
    )
    assert second.links == ("https://pubmed.ncbi.nlm.nih.gov/2/",)


@pytest.mark.parametrize("since", ["2026-03-06", "2026/03/06", "4d", date(2026, 3, 6), datetime(2026, 3, 6, 9)])  # noqa: DTZ001
def test_a_day_is_said_in_several_ways(since: Any, made: Callable[..., None]) -> None:
    """The first day counts whole, however it is written."""
    made(paper(1), 5)
    made(paper(2), 6)
    came = report(DB, since=since)
    assert (came.since, came.totals.new) == ("2026-03-06", 1)


def test_nothing_is_written(made: Callable[..., None]) -> None:
    """The database has the same bytes afterwards, and a reader that holds it open is not in the way."""
    made(paper(1), 9, "a")
    before = DB.read_bytes()
    assert isinstance(report(DB), Came)
    assert DB.read_bytes() == before


def test_what_cannot_be_reported_is_named() -> None:
    """No database, one without papers, one of an older version, and a day that is none."""
    with pytest.raises(JournalMissing, match="papers sync makes one"):
        report("none.db")
    sqlite3.connect("other.db").close()
    with pytest.raises(NotAJournal, match=r"other\.db holds no papers"):
        report("other.db")
    with pytest.raises(UsageError, match="write it as 2026-01-31, or as 7d"):
        report("none.db", since="last week")
    with pytest.raises(UsageError, match="name a database"):
        report()
    Path("leftoff.toml").write_text('[papers.queries.a]\nquery = "a"\n')
    with pytest.raises(UsageError, match=r'db = "papers\.db"'):
        report(project="leftoff.toml")
