"""When to kill: right before a call that changes the folder, or at an instant of the run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final, NamedTuple

from leftoff.prove.changes import Change
from leftoff.prove.trace import MOST

_GOLDEN: Final = 0.6180339887498949  # its multiples, modulo 1, are spread evenly however many are taken
_TIMED: Final = 4  # each so-many-th journey is killed at an instant, where there are boundaries
_INSIDE: Final = 10  # each so-many-th instant lies anywhere in the run, the others between its first and last change
_BEHIND: Final = 0.003  # seconds: how far behind a change that was seen it may have been made


class Kill(NamedTuple):
    """Be one kill: at the ``nth`` ``call`` of a thread, or, where that is "", ``after`` so many seconds."""

    call: str
    nth: int
    after: float
    where: str


@dataclass(frozen=True)
class Run:
    """Be what is known of the uninterrupted run: how long it took, when changes were seen, and which calls made them.

    ``seen``: seconds after its start, ascending; ``changes``: empty where there is no trace.
    """

    seconds: float
    seen: Sequence[float]
    changes: Sequence[Change] = ()
    order: dict[int, list[int]] = field(default_factory=dict, repr=False)

    def span(self) -> tuple[float, float]:
        """Return when the first and the last change were seen; the whole run where none was."""
        return (self.seen[0], self.seen[-1]) if self.seen else (0.0, self.seconds)


def plan(run: Run, seed: int, journey: int, kills: int) -> list[Kill]:
    """Return the kills of a journey (from 1), each counted from the start before it: the same for the same seed."""
    rng = random.Random(f"{seed} {journey}")
    boundaries = _boundaries(run, seed)
    if boundaries and journey % _TIMED:
        # The so-many-th of the journeys that are killed at boundaries.
        place = boundaries[(journey - 1 - journey // _TIMED) % len(boundaries)]
        first = _at_boundary(run, place)
        left = [number for number in boundaries if number < len(run.changes) - place]
        again = [_at_boundary(run, rng.choice(left)) for _ in range(kills - 1)] if left else []
        return [first, *again]
    instant = _instant(run, seed, journey // (_TIMED if boundaries else 1), seen=not boundaries)
    kills_left = []
    rest = max(run.seconds - instant, 0.0)
    for _ in range(kills - 1):
        kills_left.append(_at_instant(run.span()[0] + rng.random() * rest))
        rest *= rng.random()
    return [_at_instant(instant), *kills_left]


def _boundaries(run: Run, seed: int) -> list[int]:
    """Return the numbers of the changes in the order in which they are to be tried: of each sort one, then another."""
    if seed not in run.order:
        groups: dict[tuple[str, str], list[int]] = {}
        for number, change in enumerate(run.changes):
            if change.nth <= MOST:
                before = run.changes[number - 1].sort if number else ""
                groups.setdefault((before, change.sort), []).append(number)
        rng = random.Random(f"{seed} boundaries")
        for numbers in groups.values():
            rng.shuffle(numbers)
        # Frequent sorts first: what happens once an item matters more than what happens once at the start.
        rounds = zip_longest(*sorted(groups.values(), key=len, reverse=True))
        run.order[seed] = [number for numbers in rounds for number in numbers if number is not None]
    return run.order[seed]


def _at_boundary(run: Run, number: int) -> Kill:
    change = run.changes[number]
    before = f" (after {run.changes[number - 1]})" if number else ""
    return Kill(change.call, change.nth, 0.0, f"right before {change}{before}")


def _instant(run: Run, seed: int, number: int, *, seen: bool) -> float:
    """Return the so-many-th instant; with ``seen`` every second one lies right behind a change that was seen."""
    rng = random.Random(f"{seed} instants")
    share = (rng.random() + number * _GOLDEN) % 1.0
    if number % _INSIDE == _INSIDE - 1:
        return share * run.seconds
    first, last = run.span()
    if seen and number % 2 and run.seen:
        near = run.seen[int(share * len(run.seen))]
        return near + random.Random(f"{seed} {number}").uniform(-_BEHIND, _BEHIND)
    return first + share * (last - first)


def _at_instant(after: float) -> Kill:
    return Kill("", 0, max(after, 0.0), f"{max(after, 0.0):.3f} s after its start")
