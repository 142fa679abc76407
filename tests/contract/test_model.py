"""All promises at once: a store beside plain dictionaries.

One of the files of the contract suite: every test runs on every store that gives its promise (docs/promises.md).
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from leftoff.journal.entry import Draft, Tries
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.memory import MemoryStore
from leftoff.journal.postgres import PostgresStore
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.store import Store, values_of
from tests.contract.drafts import done, mark_every, started, written
from tests.contract.stores import KINDS, Kind, which

EVERY = which()


class Model:
    """What a run must hold, kept in plain dictionaries."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, Any]] = []
        self.fates: dict[str, tuple[str, Any]] = {}
        self.open: dict[str, tuple[int, int]] = {}
        self.begun: set[str] = set()
        self.named: dict[tuple[str, str], Any] = {}

    def take(self, draft: Draft) -> None:
        kind, key, text = draft
        value = None if text is None else json.loads(text)
        self.log.append((kind, key, value))
        if kind in ("done", "dead"):
            self.fates.pop(key, None)
            self.fates[key] = (kind, value)
        if kind in ("forgotten", "retried"):
            self.fates.pop(key, None)
        if kind in ("done", "dead", "forgotten", "retried"):
            self.open.pop(key, None)
            self.begun.discard(key)
        elif kind == "started":
            self.open[key] = ((value or {}).get("errors", 0), (value or {}).get("crashes", 0))
            self.begun.add(key)
        elif kind == "failed":
            self.open[key] = (value["tries"]["errors"], 0)
            self.begun.discard(key)
        else:
            self.named[kind, key] = value

    def crash(self) -> None:
        for key in self.begun:
            errors, crashes = self.open[key]
            self.open[key] = (errors, crashes + 1)
        self.begun.clear()


def some_draft(rng: random.Random, model: Model) -> Draft:
    key = rng.choice(["a", "b", 'q"', "ü", "\\n", "x" * 700, *map(str, range(6))])
    value = rng.choice([None, 1, "text", {"a": [1, "ü"]}, ["\u2028" * 3], "y" * 900])
    on = "forgotten retried" if key in model.fates else "started started done done done dead failed"
    kind = rng.choice([*on.split(), "step", "cursor"])  # no loop concludes an item twice
    if kind == "started" and key in model.open:
        errors, crashes = model.open[key]
        return Draft(kind, key, Tries(errors, crashes).to_json())
    if kind == "failed":
        return Draft(kind, key, json.dumps({"tries": {"errors": rng.randint(1, 2)}}))
    if kind in ("started", "forgotten", "retried"):
        return Draft(kind, key)
    return Draft(kind, key, None if value is None and kind == "done" else json.dumps(value))


@EVERY
@pytest.mark.parametrize("number", range(4))
def test_a_store_holds_what_a_dictionary_would(
    kind: Kind, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random commits to three runs, with reopenings and frequent marks, leave just what plain dictionaries hold."""
    seed = 1000 * number + 7
    print("seed", seed)
    rng = random.Random(seed)
    mark_every(monkeypatch, rng.choice([3, 20, 4096]))
    store = kind.open(tmp_path)
    names = ["one", "two", "drei\u00fc"]
    models = {name: Model() for name in names}
    owners = {name: store.own(name) for name in names}
    for _ in range(40):
        if rng.random() < 0.15 and kind.outlives:
            store = kind.reopen(store, tmp_path)
            owners = {name: store.own(name) for name in names}
            for model in models.values():
                model.crash()
        name = rng.choice(names)
        model, owner = models[name], owners[name]
        drafts = []
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            draft = some_draft(rng, model)
            if draft.key not in {other.key for other in drafts}:  # one commit says one thing of an item
                drafts.append(draft)
                model.take(draft)
        owner.commit(drafts)
        compare(store, owners, models)
    store.close()


def compare(store: Store, owners: dict[str, Any], models: dict[str, Model]) -> None:
    for name, model in models.items():
        owner = owners[name]
        assert written(store, name) == model.log
        for fate in ("done", "dead"):
            assert list(store.keys(name, fate)) == [key for key, (f, _) in model.fates.items() if f == fate]
        keys = [*model.fates, "nowhere"]
        assert values_of(store, name, keys) == [*(value for _, value in model.fates.values()), None]
        signs = [(mark > 0) - (mark < 0) for mark in owner.marks(keys)]
        assert signs == [*({"done": 1, "dead": -1}[fate] for fate, _ in model.fates.values()), 0]
        assert store.counts(name) == (signs.count(1), signs.count(-1))
        found = {key: (tries.errors, tries.crashes) for key, tries in owner.open_items.items()}
        assert found == model.open
        for (kind, key), value in model.named.items():
            newest = store.latest(name, kind, key)
            assert newest is not None
            assert (newest.kind, newest.key, newest.value) == (kind, key, value)
    assert list(store.verify()) == []


@EVERY
def test_entries_can_be_followed_from_a_seq_on(kind: Kind, tmp_path: Path) -> None:
    """`after` leaves out what was seen already, for all runs and for one."""
    store = kind.open(tmp_path)
    one, two = store.own("one"), store.own("two")
    for number in range(10):
        (one if number % 2 else two).commit([done(f"k{number}"), started(f"n{number}")])
    everything = list(store.entries())
    assert [e.seq for e in everything] == sorted({e.seq for e in everything})
    for entry in everything:
        assert list(store.entries(after=entry.seq)) == [e for e in everything if e.seq > entry.seq]
        assert list(store.entries("one", entry.seq)) == [e for e in everything if e.seq > entry.seq and e.run == "one"]
    store.close()


@EVERY
def test_a_store_declares_its_promises(kind: Kind, tmp_path: Path) -> None:
    """Only stores with tables promise P5; memory promises nothing that needs to outlive the process."""
    files = {"P1", "P2", "P3", "P4", "P6", "P7", "P8", "P9"}
    by_name = {"memory": {"P2", "P3", "P4", "P6"}, "jsonl": files, "sqlite": files | {"P5"}, "postgres": files | {"P5"}}
    by_name["segments"] = files
    expected = by_name[kind.name.partition("-")[0]]
    store = kind.open(tmp_path)
    assert store.promises == expected
    assert (store.own("r").connection is not None) == ("P5" in expected)
    store.close()


def test_every_store_takes_part() -> None:
    """The suite runs on each store at each durability it can be asked for."""
    assert {(kind.make, kind.durability) for kind in KINDS} == {
        (MemoryStore, "process"),
        *(
            (store, durability)
            for store in (JsonlStore, SqliteStore, SegmentsStore, PostgresStore)
            for durability in ("power", "process")
        ),
    }
