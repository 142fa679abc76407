"""The memory store: for tests and for loops whose progress need not outlive the process.

It gives none of P1, P7 and P8: nothing survives, nobody else can come, and there are no bytes to damage.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence

from leftoff.errors import JournalClosed
from leftoff.journal.entry import CONCLUSIONS, Draft, Entry, Tries, count_crashes, created, fold_open, to_datetime
from leftoff.journal.lock import owner_value
from leftoff.journal.shard import WHOLE, Shard
from leftoff.journal.store import Damage, Durability, Mark


class MemoryStore:
    """Keep runs in a list, as long as the process lives."""

    shared = False
    promises = frozenset({"P2", "P3", "P4", "P6"})

    def __init__(self, url: str = "memory:", durability: Durability = "process") -> None:
        """Begin empty."""
        self.url = url
        self.durability = durability
        self.notes: list[str] = []
        self.log: list[Entry] = []
        self.fates: dict[str, dict[str, Mark]] = {}
        self._open: dict[str, dict[str, Tries]] = {}
        self._closed = False

    def runs(self) -> list[str]:
        """Return the names of the runs, oldest first."""
        return list(self.fates)

    def own(self, run: str, program: str | None = None, shard: Shard = WHOLE) -> MemoryOwner:  # noqa: ARG002
        """Take the run over; ``program`` goes into a new run's header."""
        if self._closed:
            raise JournalClosed(f"{self.url} was closed; open it again")
        fates, open_items = self.fates.setdefault(run, {}), self._open.setdefault(run, {})
        return MemoryOwner(self, run, fates, open_items, program)

    def entries(self, run: str | None = None, after: int = 0) -> Iterator[Entry]:
        """Iterate the entries with a greater seq than ``after``, oldest first."""
        return (entry for entry in self.log[after:] if run in (None, entry.run))

    def latest(self, run: str, kind: str, key: str = "") -> Entry | None:
        """Return the newest entry of a kind and key."""
        matches = (entry for entry in reversed(self.log) if (entry.run, entry.kind, entry.key) == (run, kind, key))
        return next(matches, None)

    def newest(self, run: str) -> Entry | None:
        """Return the newest entry of a run."""
        return next((entry for entry in reversed(self.log) if entry.run == run), None)

    def holder(self, run: str) -> None:  # the protocol's
        """Return None: nobody else can come."""

    def torn(self) -> int:
        """Return 0: there are no bytes."""
        return 0

    def keys(self, run: str, fate: str) -> Iterator[str]:
        """Iterate the keys whose fate is ``done`` or ``dead``, oldest first."""
        return (key for key, mark in list(self.fates.get(run, {}).items()) if (mark > 0) == (fate == "done"))

    def conclusions(self, run: str, keys: Sequence[str]) -> list[Entry | None]:
        """Return the conclusions of keys, in order; None for a key that has none."""
        marks = [self.fates.get(run, {}).get(key, 0) for key in keys]
        return [self.log[abs(mark) - 1] if mark else None for mark in marks]

    def counts(self, run: str) -> tuple[int, int]:
        """Return how many keys are done, and how many are dead."""
        fates = self.fates.get(run, {})
        dead = sum(mark < 0 for mark in fates.values())
        return len(fates) - dead, dead

    def open_items(self, run: str) -> dict[str, Tries]:
        """Return the items that were begun or failed and have no conclusion."""
        return dict(self._open.get(run, {}))

    def verify(self) -> Iterator[Damage]:
        """Yield nothing: there are no bytes to check."""
        return iter(())

    def close(self) -> None:
        """Close the store; what it held is gone with it."""
        self._closed = True


class MemoryOwner:
    """Own one run of a memory store."""

    connection = None

    def __init__(
        self, store: MemoryStore, run: str, fates: dict[str, Mark], open_items: dict[str, Tries], program: str | None
    ) -> None:
        """Write the owner entry, behind the run's header when it is new."""
        self.run = run
        self.open_items = open_items
        count_crashes(open_items)
        self._store = store
        self._fates = fates
        newest = store.latest(run, "owner")
        self.epoch = newest.epoch + 1 if newest else 1
        header = [] if newest else [created(program)]
        self.commit([*header, Draft("owner", "", owner_value(store.durability))])

    def mark(self, key: str) -> Mark:
        """Return the fate of one key."""
        return self._fates.get(key, 0)

    def marks(self, keys: Sequence[str]) -> list[Mark]:
        """Return the fates of many keys, in order."""
        return [self._fates.get(key, 0) for key in keys]

    def concluded(self) -> Iterator[tuple[str, Mark]]:
        """Yield nothing: `mark` looks into memory."""
        return iter(())

    def tally(self, met: Iterable[int] | bytearray) -> tuple[int, int]:
        """Return how many of the conclusions whose bit is set are done, and dead."""
        return tally(self._fates.values(), bytes(met))

    def begin(self) -> None:
        """Do nothing: there are no rows of the user's here."""

    def pending(self) -> bool:
        """Return False: there are no rows of the user's here."""
        return False

    def abandon(self) -> None:
        """Do nothing: there are no rows of the user's here."""

    def commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Append the drafts; return the marks of the done and dead among them."""
        at, log, marks = to_datetime(time.time()), self._store.log, []
        for kind, key, value in drafts:
            decoded = json.loads(value) if value is not None else None
            log.append(Entry(len(log) + 1, self.run, kind, key, decoded, at, self.epoch))
            if kind in CONCLUSIONS:
                self._fates.pop(key, None)
                self._fates[key] = len(log) if kind == "done" else -len(log)
                marks.append(self._fates[key])
            elif kind in ("forgotten", "retried"):
                self._fates.pop(key, None)
            fold_open(self.open_items, kind, key, decoded)
        return marks

    def release(self) -> None:
        """Give the run up."""


def tally(marks: Iterable[Mark], bits: bytes) -> tuple[int, int]:
    """Return how many of the marks whose bit is set in ``bits`` are done, and dead."""
    done = dead = 0
    limit = len(bits) * 8
    for mark in marks:
        place = mark if mark > 0 else -mark
        if place < limit and bits[place >> 3] >> (place & 7) & 1:
            if mark > 0:
                done += 1
            else:
                dead += 1
    return done, dead
