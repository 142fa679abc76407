"""Split the works that a question finds into spans of time, small enough to be walked in one go.

A span that has too many works is halved: by days, and a day by seconds. Halves depend on nothing but the span, so that
what is begun again meets the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Literal

from leftoff.errors import UsageError

DAY = 86_400
FIRST = int(datetime(1990, 1, 1, tzinfo=timezone.utc).timestamp())  # before Crossref

Kind = Literal["created", "updated"]
"""Which of a work's dates a span is of: ``created``, when it was registered, or ``updated``, when last deposited."""
FILTERS = {"created": "created-date", "updated": "update-date"}


@dataclass(frozen=True)
class Span:
    """Be a span of time, from its first to its last second (since 1970, UTC), both included.

    whole: it stands for all works, also those without a date: nothing is said of dates.
    """

    kind: Kind
    first: int
    last: int
    whole: bool = False

    def __str__(self) -> str:
        """Return the span as one word, by which it is known in a journal."""
        return f"{self.kind}:all" if self.whole else f"{self.kind}:{_from(self.first)}..{_until(self.last)}"

    @property
    def filters(self) -> list[str]:
        """The filters of Crossref's that select it; what is older than `FIRST` is in the span that begins there."""
        name = FILTERS[self.kind]
        since = [] if self.whole or self.first <= FIRST else [f"from-{name}:{_from(self.first)}"]
        return since if self.whole else [*since, f"until-{name}:{_until(self.last)}"]

    @property
    def is_moment(self) -> bool:
        """Whether it is a single second, which cannot be halved."""
        return self.first == self.last

    def halves(self) -> tuple[Span, Span]:
        """Return the two halves that together are this span, the later one first; days stay whole while there are two.

        Raises UsageError for a single second.
        """
        if self.is_moment:
            raise UsageError(f"{self} is a single second")
        middle = (self.first + self.last) // 2 + 1
        whole_days = middle - middle % DAY
        if self.first < whole_days:
            middle = whole_days
        return replace(self, first=middle, whole=False), replace(self, last=middle - 1, whole=False)


def everything(until: int) -> Span:
    """Return the span of all works there are up to a second of the future."""
    return Span("created", FIRST, until, whole=True)


def _from(moment: int) -> str:
    return _day(moment) if moment % DAY == 0 else _second(moment)


def _until(moment: int) -> str:
    return _day(moment) if moment % DAY == DAY - 1 else _second(moment)


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d")


def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
