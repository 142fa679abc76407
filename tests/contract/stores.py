"""Every store at every durability, as the contract suite and the tests of loops use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.memory import MemoryStore
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.store import Store
from leftoff.work.journal import Journal


@dataclass(frozen=True)
class Kind:
    """One kind of store, and how a place of it is opened."""

    name: str
    file: str
    durability: Any
    make: Callable[..., Store]
    promises: frozenset[str]

    @property
    def outlives(self) -> bool:
        """Whether what it holds outlives its handle."""
        return "P1" in self.promises

    def open(self, folder: Path) -> Store:
        return self.make(folder / self.file, self.durability) if self.outlives else self.make()

    def reopen(self, store: Store, folder: Path) -> Store:
        """Close and open again, as the next process would; what only lives in memory just goes on."""
        if not self.outlives:
            return store
        store.close()
        return self.open(folder)


def _kinds() -> list[Kind]:
    kinds = [Kind("memory", "memory:", "process", MemoryStore, MemoryStore.promises)]
    kinds += [Kind(f"jsonl-{d}", "run.jsonl", d, JsonlStore, JsonlStore.promises) for d in ("power", "process")]
    kinds += [Kind(f"sqlite-{d}", "run.db", d, SqliteStore, SqliteStore.promises) for d in ("power", "process")]
    return kinds


KINDS = _kinds()


def which(*promises: str) -> pytest.MarkDecorator:
    """Run a test on every store that gives all these promises."""
    chosen = [kind for kind in KINDS if kind.promises.issuperset(promises)]
    return pytest.mark.parametrize("kind", chosen, ids=lambda kind: kind.name)


PLACES = [kind.file for kind in KINDS if kind.durability == "process" or kind.name == "memory"]
"""One place for each store, as a user names it."""

FILES = [place for place in PLACES if place != "memory:"]


class Lives:
    """One journal that is opened again and again, as by one process after another.

    What only lives in memory is kept between the lives, so that the rules of loops can be held on every store.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._memory = MemoryStore()

    def open(self, **options: Any) -> Journal:
        if self.place != "memory:":
            return leftoff.open(self.place, **{"durability": "process", **options})
        self._memory._closed = False
        return Journal(self._memory)


everywhere = pytest.mark.parametrize("place", PLACES)
on_files = pytest.mark.parametrize("place", FILES)
