"""Split a search into windows that PubMed can list whole.

A search reaches 9,999 records and no more, whatever it counts. A window that counts more is halved: by days, and a
single day by PMIDs. Halves depend on nothing but the window, so that a walk that is begun again meets the same windows.
Method: the split of NLM's EDirect (``GenerateUidList`` in ecommon.sh), with halves in place of fixed steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from leftoff.errors import UsageError
from leftoff.papers.reply import Inconsistent

REACHED = 9_999  # records of one search
FIRST_DAY = date(1700, 1, 1)  # before the oldest record
LAST_PMID = 99_999_999  # eight digits, as the format has it

Kind = Literal["edat", "mdat"]
"""Which of a record's dates a window is of: ``edat``, when PubMed added it, or ``mdat``, when it was last revised."""


@dataclass(frozen=True)
class Window:
    """Be a span of days, both included, and on a crowded day a span of PMIDs too.

    whole: it stands for all records, also those without a date: the search is asked without one.
    """

    kind: Kind
    first: date
    last: date
    low: int = 1
    high: int = LAST_PMID
    whole: bool = False

    def __str__(self) -> str:
        """Return the window as one word, by which it is known in a journal."""
        days = "all" if self.whole else f"{self.first}..{self.last}"
        return f"{self.kind}:{days}" + (f":{self.low}-{self.high}" if self.by_pmid else "")

    @property
    def by_pmid(self) -> bool:
        """Whether a span of PMIDs narrows it."""
        return (self.low, self.high) != (1, LAST_PMID)

    def halves(self) -> tuple[Window, Window]:
        """Return the two halves that together are this window, the later one first.

        Raises Inconsistent for a single PMID on a single day: no window is smaller.
        """
        if self.first < self.last:
            middle = self.first + timedelta(days=(self.last - self.first).days // 2)
            later = replace(self, first=middle + timedelta(days=1), whole=False)
            return later, replace(self, last=middle, whole=False)
        if self.low < self.high:
            half = (self.low + self.high) // 2
            return replace(self, low=half + 1, whole=False), replace(self, high=half, whole=False)
        raise Inconsistent(f"the service counts more than {REACHED} records in {self}, which is one PMID on one day")

    def since(self, day: date) -> Window:
        """Return the part from this day on.

        Raises UsageError unless the day lies behind the first day of the window and not behind its last.
        """
        if not self.first < day <= self.last:
            raise UsageError(f"{day} does not split {self}")
        return replace(self, first=day, whole=False)


@dataclass(frozen=True)
class Hits:
    """Be what a search found: how many records it counts, and their PMIDs (all of them if they can be reached)."""

    count: int
    pmids: tuple[str, ...]


def everything(today: date) -> Window:
    """Return the window of all records there are; today is the service's, or a day more."""
    return Window("edat", FIRST_DAY, today, whole=True)


def walk(window: Window, search: Callable[[Window], Hits]) -> Iterator[tuple[Window, Hits]]:
    """Iterate the windows that can be listed whole and together are this one, latest first, each with what it holds.

    search: asks the service about one window. It is called once for each window, also for those that are too large.
    """
    ahead = [window]
    while ahead:
        now = ahead.pop()
        hits = search(now)
        if hits.count > REACHED:
            ahead.extend(reversed(now.halves()))
        else:
            yield now, hits
