"""A row for each item that has a conclusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from leftoff.journal.entry import Entry, Tries
from leftoff.journal.store import Store
from leftoff.work.versions import versions_of

_CHUNK: Final = 500  # keys a question
_FATES: Final = {"done": ("done",), "dead": ("dead",), "all": ("done", "dead")}


class Row(NamedTuple):
    """Be one item: its fate, when it met it, by which version of its function, what it brought, or its last error.

    ``errors`` and ``crashes`` say how often a dead item raised, and how often the process ended under it; they and the
    error are None for an item that is done. ``value`` is JSON as the journal has it: bytes are ``{"$bytes": …}``.
    """

    run: str
    key: str
    fate: str
    at: datetime
    version: str | None
    errors: int | None
    crashes: int | None
    value: Any
    error_type: str | None
    error_message: str | None
    traceback: str | None


def rows(store: Store, runs: Iterable[str], fate: str) -> Iterator[Row]:
    """Yield a row for each item of these runs that is ``"done"``, ``"dead"``, or either (``"all"``), run by run."""
    for run in runs:
        versions = versions_of(store, run)
        for each in _FATES[fate]:
            keys = store.keys(run, each)
            while chunk := list(islice(keys, _CHUNK)):
                found = (
                    entry for entry in store.conclusions(run, chunk) if entry is not None
                )  # None: taken back since
                yield from (_row(entry, versions.of(entry.epoch)) for entry in found)


def _row(entry: Entry, version: str | None) -> Row:
    if entry.kind == "done":
        return Row(entry.run, entry.key, "done", entry.at, version, None, None, entry.value, None, None, None)
    said = entry.value or {}
    tries, error = Tries.from_value(said.get("tries"), begun=False), said.get("error") or {}
    texts = (error.get("type"), error.get("message"), error.get("traceback"))
    return Row(entry.run, entry.key, "dead", entry.at, version, tries.errors, tries.crashes, None, *texts)
