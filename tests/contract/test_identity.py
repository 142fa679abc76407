"""An item is its key (P4), and its tries are remembered (P6).

One of the files of the contract suite: every test runs on every store that gives its promise (docs/promises.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.journal.entry import Draft
from leftoff.journal.store import values_of
from tests.contract.drafts import STRANGE_KEYS, dead, done, mark_every, started, written
from tests.contract.stores import Kind, which


@which("P4")
def test_p4_a_key_is_its_exact_text(kind: Kind, tmp_path: Path) -> None:
    """Keys that look alike, look like the format, or like code are kept and told apart, fresh and reopened."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    chosen = STRANGE_KEYS[::2]
    for key in chosen:
        owner.commit([started(key)])
        owner.commit([done(key, {"key": key})])
    for _ in range(2):
        assert [bool(mark) for mark in owner.marks(STRANGE_KEYS)] == [key in chosen for key in STRANGE_KEYS]
        assert [bool(owner.mark(key)) for key in STRANGE_KEYS] == [key in chosen for key in STRANGE_KEYS]
        assert list(store.keys("r", "done")) == chosen
        assert values_of(store, "r", STRANGE_KEYS) == [{"key": key} if key in chosen else None for key in STRANGE_KEYS]
        assert [key for k, key, _ in written(store) if k == "done"] == chosen
        assert store.runs() == ["r"]
        store = kind.reopen(store, tmp_path)
        owner = store.own("r")
    store.close()


@which("P4")
def test_p4_each_run_has_a_key_space_of_its_own(kind: Kind, tmp_path: Path) -> None:
    """One key in two runs is two items; so are runs whose names look alike or look like the format."""
    names = ["r", "R", "r ", 'r","epoch":1,"done":"x', "r\\", "é", "run"]
    store = kind.open(tmp_path)
    owners = [store.own(name) for name in names]
    for number, owner in enumerate(owners):
        owner.commit([started("x")])
        owner.commit([done("x", number), done(f"only {number}")])
    for _ in range(2):
        assert store.runs() == names
        for number, name in enumerate(names):
            assert values_of(store, name, ["x"]) == [number]
            assert list(store.keys(name, "done")) == ["x", f"only {number}"]
            assert store.counts(name) == (2, 0)
            assert {e.run for e in store.entries(name)} == {name}
        store = kind.reopen(store, tmp_path)
    store.close()


@which("P6")
def test_p6_tries_are_kept_until_a_conclusion(kind: Kind, tmp_path: Path) -> None:
    """A failed item remembers its errors over owners; a conclusion, a retry and a forget wipe them."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    for key in "abcd":
        owner.commit([started(key)])
        owner.commit([Draft("failed", key, '{"tries":{"errors":2,"crashes":1},"error":{"type":"E","message":"m"}}')])
    store = kind.reopen(store, tmp_path)
    owner = store.own("r")
    assert {key: (t.errors, t.crashes) for key, t in owner.open_items.items()} == dict.fromkeys("abcd", (2, 1))
    owner.commit([done("a"), dead("b"), Draft("retried", "b"), Draft("forgotten", "c")])
    store = kind.reopen(store, tmp_path)
    assert set(store.own("r").open_items) == {"d"}
    store.close()


@which("P1", "P6")
def test_p6_one_crash_is_counted_once_however_many_owners_come_by(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item that was in flight in one crash has one crash, though owners came and went and wrote marks meanwhile."""
    mark_every(monkeypatch, 8)
    store = kind.open(tmp_path)
    store.own("r").commit([started("suspect")])
    for life in range(4):
        store = kind.reopen(store, tmp_path)
        owner = store.own("r")
        assert owner.open_items["suspect"].crashes == 1, f"owner {life}"
        for number in range(12):
            owner.commit([started(f"{life}.{number}")])
            owner.commit([done(f"{life}.{number}")])
    assert any(e.kind == "open" for e in store.entries("r"))
    store.close()
