"""Windows: searches split until each can be listed whole."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta

import pytest

from leftoff.errors import UsageError
from leftoff.papers.reply import Inconsistent
from leftoff.papers.windows import LAST_PMID, REACHED, Hits, Window, everything, walk

TODAY = date(2026, 7, 1)


class Service:
    """Count and list records that are pairs of a PMID and a day, as a search would (a double)."""

    def __init__(self, records: dict[int, date]) -> None:
        self.records = records
        self.asked: list[Window] = []

    def search(self, window: Window) -> Hits:
        self.asked.append(window)
        found = [
            str(pmid)
            for pmid, day in self.records.items()
            if window.low <= pmid <= window.high and window.first <= day <= window.last
        ]
        return Hits(len(found), tuple(found) if len(found) <= REACHED else ())


def test_a_small_search_is_one_request() -> None:
    """What can be listed whole is asked for once, without dates."""
    service = Service({1: TODAY, 2: date(1950, 1, 1)})
    ((window, hits),) = walk(everything(TODAY), service.search)
    assert (window.whole, hits.count, len(service.asked)) == (True, 2, 1)


def test_a_large_search_is_listed_without_loss_or_repeat() -> None:
    """Windows of a large search are within reach, disjoint, and together hold each record once."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    service = Service({n: date(1990, 1, 1) + timedelta(days=rng.randrange(13_000)) for n in range(1, 60_001)})
    listed: Counter[str] = Counter()
    for _, hits in walk(everything(TODAY), service.search):
        assert hits.count <= REACHED
        listed.update(hits.pmids)
    assert len(listed) == 60_000
    assert set(listed.values()) == {1}
    assert len(service.asked) < 60


def test_a_crowded_day_is_split_by_pmid() -> None:
    """A single day above the cap is listed by spans of PMIDs."""
    service = Service({40_000_000 + n: TODAY for n in range(25_000)})
    found = list(walk(everything(TODAY), service.search))
    assert sum(hits.count for _, hits in found) == 25_000
    assert len({pmid for _, hits in found for pmid in hits.pmids}) == 25_000
    assert any(window.by_pmid for window, _ in found)


def test_latest_windows_come_first() -> None:
    """The newest records are listed first, so that a limit means the newest."""
    service = Service({n: date(2000, 1, 1) + timedelta(days=n % 5000) for n in range(1, 30_001)})
    days = [window.first for window, _ in walk(everything(TODAY), service.search)]
    assert days == sorted(days, reverse=True)


def test_windows_are_known_by_name() -> None:
    """Each window of a walk has a name of its own that says what it asks for."""
    assert str(everything(TODAY)) == "edat:all"
    service = Service(dict.fromkeys(range(1, 30_001), TODAY))
    names = [str(window) for window, _ in walk(everything(TODAY), service.search)]
    assert len(set(names)) == len(names)
    assert str(Window("mdat", TODAY, TODAY, 1, 5)) == "mdat:2026-07-01..2026-07-01:1-5"


def test_halves_do_not_lose_the_edges() -> None:
    """The halves of an odd and an even span meet without gap and overlap."""
    for days in (1, 2, 3, 10):
        window = Window("edat", TODAY, TODAY + timedelta(days=days))
        later, earlier = window.halves()
        assert (earlier.first, later.last) == (window.first, window.last)
        assert later.first - earlier.last == timedelta(days=1)
    upper, lower = Window("edat", TODAY, TODAY).halves()
    assert (lower.low, upper.high, upper.low - lower.high) == (1, LAST_PMID, 1)


def test_one_pmid_on_one_day_cannot_be_halved() -> None:
    """A service that counts thousands of records under one PMID contradicts itself."""
    with pytest.raises(Inconsistent, match="one PMID"):
        Window("edat", TODAY, TODAY, 7, 7).halves()


def test_a_window_has_a_part_from_a_day_on() -> None:
    """The day begins that part; a day outside splits nothing."""
    window = Window("mdat", date(2026, 6, 1), TODAY)
    assert window.since(date(2026, 6, 10)) == Window("mdat", date(2026, 6, 10), TODAY)
    for day in (date(2026, 6, 1), date(2026, 7, 2)):
        with pytest.raises(UsageError, match="does not split"):
            window.since(day)
