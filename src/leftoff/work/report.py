"""The accounts of a run (P3)."""

from __future__ import annotations

from dataclasses import dataclass

from leftoff.journal.store import Store


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
    newest = store.latest(run, "pass")
    if newest is not None and (newest.value["known_done"], newest.value["known_dead"]) == (done, dead):
        numbers = {
            name: newest.value[name]
            for name in ("total", "done", "dead", "missing", "duplicates", "resumed", "repeated")
        }
        return Report(run, open=waiting, **numbers)
    return Report(run, done + dead + waiting, done, dead, open=waiting)
