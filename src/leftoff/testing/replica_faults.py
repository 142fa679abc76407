"""Which fault a request to a replica meets.

Each fault has a name and a rate. The rate of most is the chance that a request meets it, drawn from one seeded sequence
in the order of arrival, and a request meets one such fault at most: the first, in the order of its table. The rate of a
*standing* fault is the share of records that it marks, drawn from the seed and the record's id: the same ones always.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import zlib
from collections.abc import Callable, Mapping
from typing import ClassVar


@dataclasses.dataclass(frozen=True)
class Fault:
    """Describe a fault: what it does, to which calls, and at which rate when none is given."""

    does: str
    to: str = "both"
    rate: float = 0.1
    standing: bool = False
    counts: bool = False  # its rate is a number of records, and no probability


SENDING = {
    "truncated": Fault("the body ends early, without a length, and the connection closes"),
    "short-length": Fault("the connection closes before the announced length is reached"),
    "reset": Fault("the connection is reset within the body"),
    "drip": Fault("the body comes a few bytes at a time (--drip SECONDS between them)"),
    "stall": Fault("no answer comes (for --stall SECONDS, then the connection closes)"),
}
"""The faults that break how a reply goes out, whatever it is."""


def listing(table: Mapping[str, Fault]) -> str:
    """Return the names of all faults with what they do, one a line."""
    lines = [f"  {name:<15} {fault.does} [default {fault.rate:g}]" for name, fault in table.items()]
    return "\n".join(["faults, as NAME or NAME:RATE:", *lines])


def chance(*parts: object) -> float:
    """Return a number in [0, 1) that depends on `parts` alone."""
    return zlib.crc32(repr(parts).encode()) / 2**32


class Dice:
    """Draw which fault a request meets, and all else that is left to chance."""

    table: ClassVar[Mapping[str, Fault]]

    def __init__(self, rates: dict[str, float], seed: int) -> None:
        self.rates = rates
        self.seed = seed
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self._refusing = False

    @classmethod
    def parse(cls, text: str) -> tuple[str, float]:
        """Return name and rate of `NAME` or `NAME:RATE`. Raises ValueError for an unknown name or a bad rate."""
        name, _, rate = text.partition(":")
        if name not in cls.table:
            raise ValueError(f"no fault is called {name!r}; --fault help lists them")
        value = float(rate) if rate else cls.table[name].rate
        if value < 0 or (value > 1 and not cls.table[name].counts):
            raise ValueError(f"{text!r}: a rate is a probability between 0 and 1")
        return name, value

    def draw(self, applies: Callable[[Fault], bool]) -> str | None:
        """Return the fault that the next request meets among those that apply to it, or None."""
        met = None
        with self.lock:
            for name, fault in self.table.items():
                if fault.standing or not self.rates.get(name):
                    continue
                if applies(fault) and self.random.random() < self.rates[name] and met is None:
                    met = name
        return met

    def refuses(self, asked: int, served: int) -> bool:
        """Say whether to refuse `asked` records after `served` ones (`refuse-after`); once refused, everything is."""
        with self.lock:
            if self.rates.get("refuse-after"):
                self._refusing = self._refusing or served + asked > self.rates["refuse-after"]
                return self._refusing
            return False
