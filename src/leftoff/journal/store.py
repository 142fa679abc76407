"""The one protocol that every store follows; `tests/contract` holds each store to it.

A `Store` is a place with many runs, open for reading. `own` gives an `Owner`: the only thing that writes, and only to
its run. Whoever reads never locks. ``shared`` stores let several owners append to one run, each for a share of its
keys, and `Owner.marks` takes many keys so that a round trip is paid once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from leftoff.journal.entry import Draft, Entry, Tries
from leftoff.journal.shard import WHOLE, Shard

Durability = Literal["power", "process"]
Mark = int
"""The fate of a key in one number: 0 none, +n done, -n dead, where n (from 1) is the place of the concluding entry."""


def redacted(url: str) -> str:
    """Return a URL without its passwords, as it may be shown."""
    without = re.sub(r"^([^:/]+://[^:@/?]*):[^/?]*@", r"\1@", url)
    without = re.sub(r"([?&])(?:ssl)?password=[^&]*&?", r"\1", without)
    return without.rstrip("?&")


class Damage(NamedTuple):
    """Be one place whose bytes are not what was written: where it is, and what is wrong with it.

    ``affects`` says which entries, runs and keys can no longer be believed, ``sound`` what still can.
    """

    where: str
    what: str
    affects: str = ""
    sound: str = ""


class Examined(NamedTuple):
    """Be what a check of every byte found: the damaged places, and the bytes of a torn tail, which is no damage."""

    damage: list[Damage]
    torn: int = 0


class Repair(NamedTuple):
    """Be what a repair keeps and loses: ``kept`` entries can be believed, ``left_out`` fit each other, but not here.

    ``undone`` are (run, key) of lost conclusions that can be read: such items are worked on again. ``renewed`` runs
    lost their header: the tokens of their items are new. ``aside`` is the name of the kept original, None for a plan.
    Of a directory ``parts`` has the same for each damaged file, by its name, and there are the names of the originals.
    """

    damage: list[Damage]
    kept: int
    left_out: int
    undone: list[tuple[str, str]]
    renewed: list[str]
    aside: str | None
    parts: tuple[tuple[str, Repair], ...] = ()


class Compacted(NamedTuple):
    """Be what a compaction did: entries and bytes before and after it, and the name of the original if it was kept."""

    before: int
    after: int
    bytes_before: int
    bytes_after: int
    aside: str | None = None


def repaired(aside: str) -> Draft:
    """Draft the entry that says that a run was repaired, and what its original is called."""
    return Draft("repaired", "", json.dumps({"aside": aside}, ensure_ascii=False, separators=(",", ":")))


def compacted(journal_id: str, seq: int, total: int) -> Draft:
    """Draft the entry that names what a compaction replaced: a journal's id, its last seq, and the sum there."""
    return Draft("compacted", "", f'{{"id":"{journal_id}","seq":{seq},"sum":"{total:08x}"}}')


class Owner(Protocol):
    """Own one run of a store: the exclusive right to append to it, until `release` or the end of the process."""

    run: str
    epoch: int
    open_items: dict[str, Tries]
    """Items without conclusion, as found when the run was taken over and kept current by `commit`."""

    def mark(self, key: str) -> Mark:
        """Return the fate of one key."""

    def marks(self, keys: Sequence[str]) -> list[Mark]:
        """Return the fates of many keys, in order, at the price of few questions."""

    def concluded(self) -> Iterator[tuple[str, Mark]]:
        """Iterate what is done or dead, in journal order: what a resumed input is expected to bring next.

        Empty where `mark` is as fast, or where something was forgotten or retried since (the order would not be exact).
        """

    def tally(self, met: Iterable[int] | bytearray) -> tuple[int, int]:
        """Return how many of the conclusions whose bit is set in ``met`` (bit n of byte n // 8) are done, and dead."""

    def begin(self) -> None:
        """Say that an item begins: from now on the user's rows belong to it."""

    def pending(self) -> bool:
        """Return whether the user has written rows that belong to no committed entry yet."""

    def abandon(self) -> None:
        """Take back the user's rows since `begin`."""

    def commit(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Make the drafts and the user's rows durable, all or none; return the marks of the done and dead among them.

        When this returns, the entries survive what the store's durability names. When it raises, they are in doubt and
        the owner refuses further work.
        """

    def release(self) -> None:
        """Give the run up."""

    @property
    def connection(self) -> Any:
        """The user's database connection, None where the store has no tables."""


class Store(Protocol):
    """Keep the entries of many runs at one place."""

    url: str
    durability: Durability
    shared: bool
    promises: frozenset[str]
    """The numbers of the promises that this store gives, such as ``P1``; the contract suite asserts just these."""
    notes: list[str]
    """What opening found and mended, in words for the user: a torn tail that was cut, a creation that was completed."""

    def runs(self) -> list[str]:
        """Return the names of the runs, oldest first."""

    def own(self, run: str, program: str | None = None, shard: Shard = WHOLE) -> Owner:
        """Take the run over, creating journal and run where they do not exist; ``program`` goes into a new run's
        header.

        shard: the keys that will be worked on; only a ``shared`` store has an owner for each share.

        Raise `JournalBusy` while another process owns it.
        """

    def entries(self, run: str | None = None, after: int = 0) -> Iterator[Entry]:
        """Iterate the entries with a greater seq than ``after``, oldest first, each one checked."""

    def latest(self, run: str, kind: str, key: str = "") -> Entry | None:
        """Return the newest entry of one of the kinds of `entry.NAMED` and of a key."""

    def newest(self, run: str) -> Entry | None:
        """Return the newest entry of a run."""

    def holder(self, run: str) -> dict[str, Any] | None:
        """Return host, pid and start of the process that can write to the run at this moment, None if there is none."""

    def torn(self) -> int:
        """Return how many bytes of an unfinished last commit the next owner will cut off."""

    def keys(self, run: str, fate: str) -> Iterator[str]:
        """Iterate the keys whose fate is ``done`` or ``dead``, in journal order."""

    def conclusions(self, run: str, keys: Sequence[str]) -> list[Entry | None]:
        """Return the entries by which keys are done or dead, in order; None for a key that is neither."""

    def counts(self, run: str) -> tuple[int, int]:
        """Return how many keys are done, and how many are dead."""

    def open_items(self, run: str) -> dict[str, Tries]:
        """Return the items that were begun or failed and have no conclusion."""

    def verify(self) -> Iterator[Damage]:
        """Check every byte that can be checked, without writing; end at the first damage that hides the rest."""

    def close(self) -> None:
        """Close the store; every owner is released."""


def values_of(store: Store, run: str, keys: Sequence[str]) -> list[Any]:
    """Return the values of what is done or dead, in the order of the keys; None for a key that is neither."""
    return [None if entry is None else entry.value for entry in store.conclusions(run, keys)]
