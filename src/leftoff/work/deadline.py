"""Stop in time: a loop starts no item that would probably be running when its time is over."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from typing import Final

from leftoff.errors import UsageError

Span = float | str
"""Seconds, or a text such as ``"90s"``, ``"2h30m"``, ``"1d"``."""

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_TEXT: Final = re.compile(r"(?:(\d+(?:\.\d+)?)([dhms]))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_MEASURED: Final = 32  # the last items; the longest of them tells how long the next may take


class Deadline:
    """Be the moment when a loop's time is over, and judge whether one more item fits in before it."""

    def __init__(self, left: float, reason: str) -> None:
        """Say that so many seconds are left from now on, and why."""
        self.reason = reason
        self._end = time.monotonic() + left
        self._spans: deque[float] = deque(maxlen=_MEASURED)

    def took(self, seconds: float) -> None:
        """Learn how long an item took."""
        self._spans.append(seconds)

    @property
    def left(self) -> float:
        """The seconds until an item must not be begun any more, 0.0 from then on."""
        return max(0.0, self._end - max(self._spans, default=0.0) - time.monotonic())

    def is_near(self) -> bool:
        """Return whether an item that began now would probably run into it."""
        return not self.left


def make_deadline(stop_after: Span | None) -> Deadline | None:
    """Return the deadline of a loop that begins now: ``stop_after``, or the end of the SLURM job if that is sooner."""
    ends = []
    if stop_after is not None:
        ends.append((seconds_of(stop_after, "stop_after"), f"stop_after={stop_after}"))
    if (end := os.environ.get("SLURM_JOB_END_TIME", "")).isdecimal():
        ends.append((int(end) - time.time(), "the end of its SLURM job"))
    return Deadline(*min(ends)) if ends else None


def seconds_of(span: Span, name: str) -> float:
    """Return a span of time in seconds. Raise UsageError for what is none."""
    seconds = -1.0
    if isinstance(span, str):
        if _TEXT.fullmatch(span):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(span))
    elif not isinstance(span, bool):
        seconds = float(span)
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{name}={span!r}: give seconds, or a text such as '90s', '2h30m' or '1d'")
    return seconds
