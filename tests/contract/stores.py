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
from leftoff.journal.postgres import PostgresStore
from leftoff.journal.segments import SegmentsStore
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

    @property
    def local(self) -> bool:
        """Whether it keeps what it holds in files."""
        return self.outlives and "://" not in self.file

    @property
    def embedded(self) -> bool:
        """Whether it keeps what it holds in one file."""
        return self.local and not self.file.endswith("/")

    @property
    def code(self) -> str:
        """The expression that opens it in a program that runs in the place's folder; `Store` is its class."""
        place = f"Path({self.file!r})" if self.local else repr(self.file)
        return f"Store({place}, {self.durability!r})"

    def open(self, folder: Path) -> Store:
        if not self.outlives:
            return self.make()
        return self.make(folder / self.file if self.local else self.file, self.durability)

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
    kinds += [Kind(f"segments-{d}", "run/", d, SegmentsStore, SegmentsStore.promises) for d in ("power", "process")]
    kinds += [
        Kind(f"postgres-{d}", "postgresql:///", d, PostgresStore, PostgresStore.promises) for d in ("power", "process")
    ]
    return kinds


KINDS = _kinds()


def which(*promises: str, embedded: bool = False) -> pytest.MarkDecorator:
    """Run a test on every store that gives all these promises; ``embedded``: on those that are one file."""
    chosen = [kind for kind in KINDS if kind.promises.issuperset(promises) and (kind.embedded or not embedded)]
    return pytest.mark.parametrize("kind", chosen, ids=lambda kind: kind.name)


PLACES = [kind.file for kind in KINDS if kind.durability == "process"]
"""One place for each store, as a user names it."""

FILES = ["run.jsonl", "run.db"]
"""Those that are one file."""


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
