"""When to kill: right before a call that changes the folder, or at an instant of the run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from leftoff.prove.changes import Change
from leftoff.prove.trace import MOST

_GOLDEN: Final = 0.6180339887498949  # its multiples, modulo 1, are spread evenly however many are taken
_TIMED: Final = 4  # each so-many-th journey is killed at an instant, where there are boundaries
_ANYWHERE: Final = 10  # each so-many-th instant lies anywhere in the run, the others between its first and last change
_NEAR: Final = 0.003  # seconds: how late a change may have been seen


class Kill(NamedTuple):
    """Be one kill: at the ``nth`` ``call`` of a thread, or, where that is "", ``after`` so many seconds."""

    call: str
    nth: int
    after: float
    where: str


class Plan:
    """Know when each journey is killed: the same for the same run and seed.

    With boundaries three journeys of four begin with a kill at one: of each sort first one, then another, and so on. A
    sort is a call, a file and what came before it, whatever the numbers in the names.
    """

    def __init__(self, seed: int, seconds: float, seen: Sequence[float], changes: Sequence[Change] = ()) -> None:
        """Plan for a run of so many ``seconds``.

        seen: when changes were seen, seconds after its start, ascending; changes: as they were traced, in order.
        """
        self._seed = seed
        self._seconds = seconds
        self._seen = seen
        self._first, self._last = (seen[0], seen[-1]) if seen else (0.0, seconds)
        self._changes = changes
        self._boundaries = _in_turn(changes, random.Random(f"{seed} boundaries"))

    def journey(self, number: int, kills: int) -> list[Kill]:
        """Return the kills of a journey (from 1); each is counted from the start of the program before it."""
        rng = random.Random(f"{self._seed} {number}")
        if self._boundaries and number % _TIMED:
            turn = number - 1 - number // _TIMED  # among the journeys that begin with a boundary
            place = self._boundaries[turn % len(self._boundaries)]
            left = [boundary for boundary in self._boundaries if boundary <= len(self._changes) - place]
            return [self._before(place), *(self._before(rng.choice(left or [place])) for _ in range(kills - 1))]
        instant = self._instant(number // _TIMED if self._boundaries else number)
        found = [at_instant(instant)]
        rest = max(self._seconds - instant, 0.0)
        for _ in range(kills - 1):
            rest *= rng.random()
            found.append(at_instant(self._first + rest))
        return found

    def _before(self, place: int) -> Kill:
        change = self._changes[place]
        after = f" (after {self._changes[place - 1]})" if place else ""
        return Kill(change.call, change.nth, 0.0, f"right before {change}{after}")

    def _instant(self, number: int) -> float:
        """Return an instant; without boundaries every second one lies close to a change that was seen."""
        share = (random.Random(f"{self._seed} instants").random() + number * _GOLDEN) % 1.0
        if number % _ANYWHERE == _ANYWHERE - 1:
            return share * self._seconds
        if not self._boundaries and number % 2 and self._seen:
            near = random.Random(f"{self._seed} {number} near").uniform(-_NEAR, _NEAR)
            return min(max(self._seen[int(share * len(self._seen))] + near, self._first), self._last)
        return self._first + share * (self._last - self._first)


def at_instant(after: float) -> Kill:
    """Return the kill that comes so many seconds after the start."""
    return Kill("", 0, after, f"{after:.3f} s after its start")


def _in_turn(changes: Sequence[Change], rng: random.Random) -> list[int]:
    """Return the numbers of the changes in the order in which they are tried: of each sort one, then another."""
    sorts: dict[tuple[str, str], list[int]] = {}
    before = ""
    for number, change in enumerate(changes):
        if change.kind == "sync":
            continue  # killed before a sync or behind it: what is left is the same
        if change.nth <= MOST:
            sorts.setdefault((before, change.sort), []).append(number)
        before = change.sort
    for numbers in sorts.values():
        rng.shuffle(numbers)
    # Frequent sorts first: what happens once an item matters more than what happens once at the start.
    turns = zip_longest(*sorted(sorts.values(), key=len, reverse=True))
    return [number for numbers in turns for number in numbers if number is not None]
