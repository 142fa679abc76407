"""What people decide about items that are done or dead: look at the dead letters, try again, forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from leftoff.journal.entry import Draft
from leftoff.journal.store import Store
from leftoff.work.outcome import DeadLetter
from leftoff.work.versions import versions_of

if TYPE_CHECKING:
    from leftoff.work.run import Run

_CHUNK: Final = 500


def dead_letters(store: Store, run: str) -> list[DeadLetter]:
    """Return the dead letters of a run, oldest first."""
    keys, versions = list(store.keys(run, "dead")), versions_of(store, run)
    chunks = (keys[begin : begin + _CHUNK] for begin in range(0, len(keys), _CHUNK))
    entries = (entry for chunk in chunks for entry in store.conclusions(run, chunk))
    return [DeadLetter.of(entry, versions.of(entry.epoch)) for entry in entries if entry is not None]


def supersede(run: Run, kind: str, chosen: Sequence[str] | None, *fates: str) -> int:
    """Let a ``retried`` or ``forgotten`` follow the conclusions of keys that have one of these fates; return how many.

    chosen: the keys, None for all.
    """
    run.refuse_pending("a change of what is done")
    owner = run.own()
    if chosen is None:
        chosen = [key for fate in fates for key in run.store.keys(run.name, fate)]
    count = 0
    for begin in range(0, len(chosen), _CHUNK):
        chunk = list(dict.fromkeys(chosen[begin : begin + _CHUNK]))
        marks = zip(chunk, owner.marks(chunk), strict=True)
        hits = [key for key, mark in marks if (mark < 0 and "dead" in fates) or (mark > 0 and "done" in fates)]
        if hits:
            owner.commit([Draft(kind, key) for key in hits])
        count += len(hits)
    return count
