"""The accounts of a run (P3)."""

from __future__ import annotations

from dataclasses import dataclass

from leftoff.journal.shard import Shard, make_shard
from leftoff.journal.store import Store

_NUMBERS = ("total", "done", "dead", "missing", "duplicates", "resumed", "repeated")


@dataclass(frozen=True, slots=True)
class Report:
    """Be the accounts of a run: ``total = done + dead + missing``, and every item pulled is one of ``total +
    duplicates``.

    ``total`` is the number of distinct items, ``missing`` those of them that are neither done nor dead; both are
    exact for an input that was walked to its end, and ``missing`` is None before. ``resumed`` were concluded by an
    earlier run, ``repeated`` had been begun by one; ``open`` are begun or failed and wait for another try.
    """

    run: str
    total: int
    done: int
    dead: int
    missing: int | None = None
    duplicates: int = 0
    resumed: int = 0
    repeated: int = 0
    open: int = 0

    def __str__(self) -> str:
        missing = "" if self.missing is None else f" + {self.missing} missing"
        parts = [f"{self.run}: {self.total} items = {self.done} done + {self.dead} dead{missing}"]
        if self.resumed:
            parts.append(f"{self.resumed} were done before")
        if self.repeated:
            parts.append(f"{self.repeated} begun before and repeated")
        if self.duplicates:
            parts.append(f"{self.duplicates} duplicates skipped")
        return ", ".join(parts)


def report_of(store: Store, run: str) -> Report:
    """Recompute the accounts of a run from its store.

    The newest pass stands as long as what it counted is still so; otherwise everything the store knows is counted,
    and what is missing cannot be known before the input has been walked again.
    """
    done, dead = store.counts(run)
    waiting = len(store.open_items(run))
    owner = store.latest(run, "owner")
    shards = make_shard(owner.value.get("shard")).total if owner is not None else 1
    if shards > 1:
        return _of_shards(store, run, shards) or Report(run, done + dead + waiting, done, dead, open=waiting)
    newest = store.latest(run, "pass")
    if newest is not None and (newest.value["known_done"], newest.value["known_dead"]) == (done, dead):
        return Report(run, open=waiting, **{name: newest.value[name] for name in _NUMBERS})
    return Report(run, done + dead + waiting, done, dead, open=waiting)


def _of_shards(store: Store, run: str, total: int) -> Report | None:
    """Add up the newest passes of all shards; None unless each walked its input, and they are all the store knows."""
    passes = [store.latest(run, "pass", str(Shard(number, total))) for number in range(total)]
    values = [entry.value for entry in passes if entry is not None]
    sums = {name: sum(value[name] for value in values) for name in _NUMBERS}
    if len(values) < total or (sums["done"], sums["dead"]) != store.counts(run):
        return None
    return Report(run, open=len(store.open_items(run)), **sums)
