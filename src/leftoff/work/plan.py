"""What a loop over an input would do, told before it begins; nothing is owned or written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from leftoff.journal.entry import CONCLUSIONS
from leftoff.journal.store import Store
from leftoff.work.fingerprint import version_of
from leftoff.work.keys import key_function
from leftoff.work.options import Key
from leftoff.work.versions import versions_of

_MEASURED: Final = 4096  # the newest entries of a run tell how quick it is


@dataclass(frozen=True, slots=True)
class Plan:
    """Be what a loop over an input would do: each distinct key of it is in one of the first four lists.

    ``new`` were never begun, ``failed`` were, and have a try left; both would be worked on. ``done`` and ``dead``
    would be skipped. ``removed`` are known to the run and not in this input. ``duplicates`` counts the items beyond
    the first of their key. ``changed`` names what has changed in the function, or its parameters, since the run's last
    results: empty if nothing has, None where one of the two versions is not known. ``seconds_left`` is how long the
    work would take at the rate that the journal tells of, None where it tells of none.
    """

    run: str
    new: list[str]
    failed: list[str]
    done: list[str]
    dead: list[str]
    removed: list[str]
    duplicates: int
    changed: list[str] | None
    seconds_left: float | None

    @property
    def work(self) -> int:
        """How many items would be worked on."""
        return len(self.new) + len(self.failed)


def plan(
    store: Store, run: str, items: Iterable[Any], key: Key, function: Callable[..., Any] | None, parameters: Any
) -> Plan:
    """Return what a loop over ``items`` would do. Every key of the input and of the run is in memory meanwhile."""
    version = version_of(function, parameters)
    recorded = dict.fromkeys(store.keys(run, "done"), "done")
    recorded |= dict.fromkeys(store.keys(run, "dead"), "dead")
    recorded |= dict.fromkeys(store.open_items(run), "failed")
    found: dict[str, list[str]] = {"new": [], "failed": [], "done": [], "dead": []}
    key_of, met, pulled = key_function(key), set[str](), 0
    for item in items:
        pulled += 1
        text = key_of(item)
        if text not in met:
            met.add(text)
            found[recorded.get(text, "new")].append(text)
    removed = [text for text in recorded if text not in met]
    pace = seconds_per_item(store, run)
    left = None if pace is None else pace * (len(found["new"]) + len(found["failed"]))
    changed = versions_of(store, run).changed(version)
    return Plan(run, **found, removed=removed, duplicates=pulled - len(met), changed=changed, seconds_left=left)


def seconds_per_item(store: Store, run: str) -> float | None:
    """Return the seconds from one conclusion to the next, as the run's newest entries tell; None where they do not.

    The time between two owners counts as no work.
    """
    newest = store.newest(run)
    if newest is None:
        return None
    seconds, concluded, before = 0.0, 0, None
    for entry in store.entries(run, max(0, newest.seq - _MEASURED)):
        if before is not None and before.epoch == entry.epoch:
            seconds += max(0.0, (entry.at - before.at).total_seconds())  # a clock may be set back
            concluded += entry.kind in CONCLUSIONS
        before = entry
    return seconds / concluded if concluded else None
