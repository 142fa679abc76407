"""A run that was moved to another journal goes on there, and nowhere else."""

from __future__ import annotations

import json
import shlex

from leftoff.errors import JournalMoved
from leftoff.journal.entry import Draft, Entry, moved_to
from leftoff.journal.shard import Shard
from leftoff.journal.store import Owner, Store


def own_unmoved(store: Store, run: str, program: str | None, shard: Shard) -> Owner:
    """Own a run, unless it goes on in another journal.

    Raises JournalMoved, and what owning raises.
    """
    before = store.latest(run, "owner")
    _refuse_moved(store, run, before)
    owner = store.own(run, program, shard)
    _refuse_moved_meanwhile(store, owner, 0 if before is None else before.epoch)
    return owner


def _refuse_moved(store: Store, run: str, newest: Entry | None) -> None:
    """Raise `JournalMoved` if the newest `owner` entry of a run says that it was moved."""
    place = moved_to(newest)
    if place is not None:
        raise JournalMoved(
            f"the run {run!r} of {store.url} was moved to {place}; go on there. If that journal is not there, the move"
            f" was interrupted; finish it with: leftoff copy --move {shlex.quote(store.url)} {shlex.quote(place)}"
        )


def _refuse_moved_meanwhile(store: Store, owner: Owner, known: int) -> None:
    """Give the run up if it was moved after epoch ``known`` was seen: our own entry would let two journals go on."""
    if owner.epoch == known + 1:
        return
    for entry in store.entries(owner.run):
        if entry.kind == "owner" and known < entry.epoch < owner.epoch and moved_to(entry):
            owner.commit([Draft("owner", "", json.dumps(entry.value, ensure_ascii=False, separators=(",", ":")))])
            owner.release()
            _refuse_moved(store, owner.run, entry)
