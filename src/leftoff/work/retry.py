"""Try again with growing, random waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar

from leftoff.errors import UsageError

R = TypeVar("R")

LAST_DOUBLING = 64  # beyond this every cap is reached; a larger exponent would only overflow


def delay(failures: int, *, base: float = 1.0, cap: float = 60.0, rng: random.Random | None = None) -> float:
    """Return how many seconds to wait after this many failures: random, in a range that doubles with each.

    failures: how often it has failed so far, from 1; base: upper bound of the first wait, seconds; cap: upper
    bound of every wait, seconds; rng: the source of randomness (default: the process's own).

    Raises UsageError for a count below 1 or a negative bound. "Full jitter": M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015: of the variants compared there it makes the fewest calls.
    """
    if failures < 1 or base < 0 or cap < 0:
        raise UsageError(f"delay(failures={failures}, base={base}, cap={cap}): count from 1, bounds from 0 seconds")
    bound = min(cap, base * 2.0 ** min(failures - 1, LAST_DOUBLING))
    return (rng or random).uniform(0.0, bound)


def call(
    function: Callable[[], R],
    *,
    attempts: int,
    wait: Callable[[Exception, int], float | None] | None = None,
    sleep: Callable[[float], object] = time.sleep,
    on_failure: Callable[[Exception, int], object] | None = None,
) -> R:
    """Call the function until it returns, at most this many times, and return its value.

    attempts: calls in all, from 1; wait: from the error and the number of failures so far to the seconds before the
    next call, None to give up at once (default: ``delay``); sleep: waits that long; on_failure: told each error and
    its number before anything else happens.

    Raises the last error as it came; UsageError for attempts below 1. Only ``Exception`` is tried again: a Ctrl-C
    or ``Stopped``, also out of ``sleep``, passes at once.
    """
    if attempts < 1:
        raise UsageError(f"attempts={attempts}: at least one call is needed")
    failures = 0
    while True:
        try:
            return function()
        except Exception as error:
            failures += 1
            if on_failure is not None:
                on_failure(error, failures)
            if failures >= attempts:
                raise
            seconds = delay(failures) if wait is None else wait(error, failures)
            if seconds is None:
                raise
        sleep(seconds)  # outside the handler, so that a stop from here does not drag the old error along


def after(header: str) -> float | None:
    """Return the seconds that a Retry-After header names, as a number or a date; None if it names none.

    RFC 9110, section 10.2.3. Some services send it twice, which arrives as "2, 2".
    """
    if (text := header.split(",", maxsplit=1)[0].strip()).isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=timezone.utc)
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())
