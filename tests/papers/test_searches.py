"""What a search lists: windows, revisions, shortfalls. The service is a double that counts and lists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import ServiceRefused
from leftoff.papers import tables
from leftoff.papers.pmids import list_log, list_pmids
from leftoff.papers.searches import OVERLAP, Search, complete, open_search, shortfall_of
from leftoff.papers.store import store_record
from leftoff.papers.windows import REACHED, Hits, Window
from leftoff.work.journal import open as open_journal
from leftoff.work.run import Run
from tests.papers.test_store import paper


class Service:
    """Answer searches from pairs of days by PMID (a double): when a record was added, and when it was revised."""

    def __init__(self, days: dict[int, tuple[date, date]], *, uncounted: int = 0, refuse_after: int = 10**9) -> None:
        self.days = days
        self.uncounted = uncounted
        self.refuse_after = refuse_after
        self.asked: list[Window] = []

    def search(self, query: str, window: Window) -> Hits:
        if len(self.asked) >= self.refuse_after:
            raise ServiceRefused("no more")
        self.asked.append(window)
        found = [
            str(pmid)
            for pmid, (added, revised) in self.days.items()
            if window.first <= (added if window.kind == "edat" else revised) <= window.last
            and window.low <= pmid <= window.high
        ]
        extra = self.uncounted if window.whole else 0
        return Hits(len(found) + extra, tuple(found) if len(found) + extra <= REACHED else ())

    def count(self, query: str, window: Window) -> int:
        return self.search(query, window).count


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run whose database has the tables of papers."""
    with open_journal(tmp_path / "papers.db") as journal:
        run = journal.run("pubmed")
        tables.create(run.connection)
        yield run


def listed(run: Run, search: Search) -> dict[int, int]:
    """Return what a search listed: by PMID, whether it was revised."""
    rows = run.connection.execute("SELECT pmid, revised FROM listed WHERE search_id = ?", (search.id,))
    return dict(rows.fetchall())


def lists(run: Run, service: Any, **options: Any) -> Search:
    """Open and list a search."""
    search = open_search(run, "asthma", options.get("since"), options.get("most"))
    list_pmids(run, service, search)
    return search


def test_the_next_search_begins_before_the_last_complete_day(run: Run) -> None:
    """A complete search moves the beginning of the next one, with overlap; another query begins at all dates."""
    first = lists(run, Service({}))
    assert first.first_day is None
    complete(run, first, missing=0)
    second = open_search(run, "asthma", None, None)
    assert second.first_day == first.opened - timedelta(days=1) - OVERLAP
    assert open_search(run, "other", None, None).first_day is None


@pytest.mark.parametrize("options", [{"most": 5}, {"since": date(2024, 1, 1)}])
def test_a_search_of_a_part_does_not_move_the_beginning(run: Run, options: dict[str, Any]) -> None:
    """A limit, or a day without anything complete before it, leaves the next search at all dates."""
    complete(run, lists(run, Service({}), **options), missing=0)
    assert open_search(run, "asthma", None, None).first_day is None


def test_a_search_that_misses_something_does_not_move_the_beginning(run: Run) -> None:
    """What could not be accounted for is listed again."""
    complete(run, lists(run, Service({})), missing=1)
    assert open_search(run, "asthma", None, None).first_day is None


def test_a_revision_is_listed_from_the_day_of_the_fetch_on(run: Run) -> None:
    """A stored record is listed as revised if that was not before the day it was fetched; windows are split to know."""
    old = date(2000, 1, 1)
    complete(run, lists(run, Service(dict.fromkeys((1, 2, 3, 4), (old, old)))), missing=0)
    search = open_search(run, "asthma", None, None)
    assert search.first_day is not None
    first, day = search.first_day, timedelta(days=1)
    for pmid in (1, 2, 3):
        store_record(run.connection, paper(pmid), f"{first + day}T10:00:00.000000Z")
    store_record(run.connection, paper(4), f"{first + 2 * day}T10:00:00.000000Z")
    service = Service(
        {1: (old, first), 2: (old, first + day), 3: (old, first + 2 * day), 4: (old, first + day), 5: (old, first)}
    )
    list_pmids(run, service, search)
    assert listed(run, search) == {2: 1, 3: 1, 5: 0}
    assert len([window for window in service.asked if window.kind == "mdat"]) <= 5


def test_since_brings_no_older_papers(run: Run) -> None:
    """With a day given, a revision of a record that is not stored and was added before is not listed."""
    old, day = date(2000, 1, 1), date(2024, 1, 1)
    search = lists(run, Service({1: (old, day), 2: (day, day)}), since=day)
    assert listed(run, search) == {2: 0}


def test_a_listing_goes_on_where_it_stopped(run: Run) -> None:
    """A listing that the service refused half-way asks for no window twice."""
    days = {n: (date(1990, 1, 1) + timedelta(days=n % 9000),) * 2 for n in range(1, 30_001)}
    service = Service(days, refuse_after=9)
    with pytest.raises(ServiceRefused):
        lists(run, service)
    service.refuse_after = 10**9
    search = lists(run, service)
    assert set(listed(run, search)) == set(days)
    assert len(service.asked) == len(set(service.asked))
    assert shortfall_of(run, search) == 0


def test_a_count_that_no_window_accounts_for_is_a_shortfall(run: Run) -> None:
    """Records that the service counts as a whole and lists in no window of days are said to be missing."""
    days = {n: (date(1990, 1, 1) + timedelta(days=n % 9000),) * 2 for n in range(1, 12_001)}
    search = lists(run, Service(days, uncounted=7))
    assert shortfall_of(run, search) == 7


def test_what_was_added_with_an_old_date_is_found(run: Run) -> None:
    """PubMed dates what it adds late by its publication: when the total says that windows missed it, all is listed."""
    old = (date(1995, 5, 5), date(1995, 5, 5))
    service = Service({1: old})
    first = lists(run, service)
    store_record(run.connection, paper(1), tables.now())
    complete(run, first, missing=0)
    second = lists(run, service)
    assert listed(run, second) == {}
    complete(run, second, missing=0)
    service.days[2] = old
    assert listed(run, lists(run, service)) == {1: 0, 2: 0}


def test_a_limit_ends_the_listing(run: Run) -> None:
    """With a limit no more windows are listed than it takes."""
    days = {n: (date(1990, 1, 1) + timedelta(days=n % 9000),) * 2 for n in range(1, 60_001)}
    everything = Service(days)
    lists(run, everything)
    part = Service(days)
    search = lists(run, part, most=10)
    assert len(part.asked) < len(everything.asked) / 2
    assert len(listed(run, search)) >= 10


def test_a_log_is_listed_without_what_is_stored(run: Run, tmp_path: Path) -> None:
    """Of the papers a log has just those are listed that the database lacks; absent ones were never papers."""
    path = tmp_path / "log.jsonl"
    lines = [
        f'{{"seq": {n}, "pmid": {n}, "what": "{what}", "at": ""}}\n'
        for n, what in ((1, "stored"), (2, "merged"), (3, "absent"), (2, "updated"))
    ]
    path.write_text("".join(lines))
    store_record(run.connection, paper(1), "2026-01-01T00:00:00.000000Z")
    search = list_log(run, path)
    assert listed(run, search) == {2: 0}
