"""One item of a map that holds a place, and how several are written down together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leftoff.journal.entry import Draft, Tries


@dataclass(slots=True)
class Flight:
    """Be an item that holds a place: its number in the input, what was tried of it, and when it may be tried again."""

    key: str
    item: Any
    number: int
    tries: Tries
    due: float = 0.0  # monotonic seconds
    begun: float = 0.0  # monotonic seconds
    end: float = math.inf  # monotonic seconds: then it has taken too long
    late: bool = False  # it has, and was interrupted
    alone: bool = False  # nobody is to be beside it: it may be what ended its process


def interleave(concluded: Sequence[Draft], started: Sequence[Draft]) -> list[Draft]:
    """Put each start behind a `done`: a place that became free and what takes it.

    What failed comes first of all: it may be started again in the same commit, and then the start must be its last
    word.
    """
    done = [draft for draft in concluded if draft.kind == "done"]
    both = [draft for pair in zip(done, started, strict=False) for draft in pair]
    return [
        *(draft for draft in concluded if draft.kind != "done"),
        *both,
        *done[len(started) :],
        *started[len(done) :],
    ]


def name_of(flights: Mapping[str, Flight], count: int) -> str | None:
    """Return what a user is told to be in hand."""
    return f"{count} items" if count > 1 else next(iter(flights), None)
