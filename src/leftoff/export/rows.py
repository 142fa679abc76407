"""A row for each item that has a conclusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from leftoff.journal.entry import Tries
from leftoff.journal.store import Store

_CHUNK: Final = 500  # keys a question
_FATES: Final = {"done": ("done",), "dead": ("dead",), "all": ("done", "dead")}


class Row(NamedTuple):
    """Be one item: its fate, when it met it, the result of one that is done, and the last error of one that is dead.

    ``errors`` and ``crashes`` say how often a dead item raised, and how often the process ended under it; they and the
    error are None for an item that is done. ``value`` is JSON as the journal has it: bytes are ``{"$bytes": …}``.
    """

    run: str
    key: str
    fate: str
    at: datetime | None
    errors: int | None
    crashes: int | None
    value: Any
    error_type: str | None
    error_message: str | None
    traceback: str | None


def rows(store: Store, runs: Iterable[str], fate: str) -> Iterator[Row]:
    """Yield a row for each item of these runs that is ``"done"``, ``"dead"``, or either (``"all"``), run by run."""
    for run in runs:
        for each in _FATES[fate]:
            keys = store.keys(run, each)
            while chunk := list(islice(keys, _CHUNK)):
                for key, at, value in _concluded(store, run, chunk):
                    yield _done(run, key, at, value) if each == "done" else _dead(run, key, at, value)


def _concluded(store: Store, run: str, keys: list[str]) -> Iterator[tuple[str, datetime | None, Any]]:
    """Yield what the store has of each key's conclusion: the key, the time and the value."""
    for key, value in zip(keys, store.values(run, keys), strict=True):
        yield key, None, value


def _done(run: str, key: str, at: datetime | None, value: Any) -> Row:
    return Row(run, key, "done", at, None, None, value, None, None, None)


def _dead(run: str, key: str, at: datetime | None, value: Any) -> Row:
    said = value or {}
    tries, error = Tries.from_value(said.get("tries"), begun=False), said.get("error") or {}
    texts = (error.get("type"), error.get("message"), error.get("traceback"))
    return Row(run, key, "dead", at, tries.errors, tries.crashes, None, *texts)
