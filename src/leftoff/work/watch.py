"""Look at a journal again and again, and tell how fast it goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from leftoff.work.look import Status, look, require

if TYPE_CHECKING:
    from leftoff.work.journal import Journal

_SHARE: Final = 9.0  # times as long as the last look took: a JSON Lines journal is read for its runs
_WINDOW: Final = 300.0  # seconds: what was longer ago says little of how fast it goes now


class Pace(NamedTuple):
    """Be how fast a run goes: items concluded a second over the ``seconds`` that were watched, and how many are left.

    ``rate`` is None before the second look, ``left`` where nobody knows how many there are.
    """

    rate: float | None
    seconds: float
    left: int | None

    @property
    def time_left(self) -> float | None:
        """How many seconds the rest takes at this rate; None where that cannot be known."""
        return self.left / self.rate if self.rate and self.left is not None else None


class Watch:
    """Measure the pace of each run from one look to the next; items of earlier runs are no part of it."""

    def __init__(self, total: int | None = None) -> None:
        """``total``: how many items there are, where the user knows and the journal does not."""
        self._total = total
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def pace(self, run: str, count: int, missing: int | None, now: float) -> Pace:
        """Return the pace of a run.

        count: how many items are done or dead ``now``, in monotonic seconds, of whatever input; missing: how many are
        neither, None where the input was not walked to its end.
        """
        seen = self._seen.setdefault(run, deque())
        if seen and count < seen[-1][1]:
            seen.clear()  # something was forgotten or retried
        seen.append((now, count))
        while len(seen) > 2 and seen[1][0] <= now - _WINDOW:
            seen.popleft()
        seconds = now - seen[0][0]
        rate = (count - seen[0][1]) / seconds if seconds > 0 else None
        if missing is None and self._total is not None:
            missing = max(0, self._total - count)
        return Pace(rate, seconds, missing)


def watch(
    journal: Journal,
    run: str | None = None,
    *,
    total: int | None = None,
    pause: Callable[[float], object],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Status, dict[str, Pace]]]:
    """Yield where a journal stands, and the pace of each run by its name, again after each ``pause``; never end.

    pause: called with the seconds to wait at the least, so that a tenth of the time at most goes into looking. Raises
    JournalMissing when the journal is gone.
    """
    watching = Watch(total)
    while True:
        begun = clock()
        seen = look(journal, run, quick=True)
        now = clock()
        reports = [one.report for one in seen.runs]
        counts = [sum(journal.store.counts(each.run)) for each in reports]
        yield (
            seen,
            {
                each.run: watching.pace(each.run, count, each.missing, now)
                for each, count in zip(reports, counts, strict=True)
            },
        )
        pause(_SHARE * (now - begun))
        require(journal)
