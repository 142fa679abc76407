"""What the files of several writers say together, in whatever order they came and whatever their clocks said."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from leftoff.journal.entry import Draft, Tries
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.shard import Shard
from leftoff.journal.store import values_of
from tests.contract.drafts import dead, done, started
from tests.journal.segments_files import lock_nobody_out, write


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    lock_nobody_out(monkeypatch)


def test_what_two_writers_both_did_is_told(tmp_path: Path, no_locks: None) -> None:
    """Where no lock keeps a second writer out, both go on, nothing is lost, and what was done twice is named."""
    folder = tmp_path / "progress"
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    first, second = one.own("r"), two.own("r")
    assert "no working locks" in one.notes[0]
    first.commit([done("a", 1)])
    second.commit([done("b", 2)])
    first.commit([done("both", "one")])
    second.commit([done("both", "two")])
    one.close()
    two.close()
    third = SegmentsStore(folder)
    assert set(third.keys("r", "done")) == {"a", "b", "both"}
    assert third.counts("r") == (3, 0)
    assert values_of(third, "r", ["both"]) == ["two"]
    assert third.doubles("r") == ["both"]
    third.own("r")
    assert any("two writers both did 'both'" in note for note in third.notes)
    third.close()


@pytest.mark.parametrize("order", ["done first", "dead first"])
def test_what_one_writer_did_and_another_gave_up_is_done(tmp_path: Path, no_locks: None, order: str) -> None:
    """Of two that never met, the one that did the item counts, and a `forgotten` takes back what both said."""
    folder = tmp_path / "progress"
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    first, second = one.own("r"), two.own("r")
    doer, loser = (first, second) if order == "done first" else (second, first)
    doer.commit([done("a", "did")])
    loser.commit([dead("a")])
    loser.commit([dead("b")])
    one.close()
    two.close()
    store = SegmentsStore(folder)
    assert (list(store.keys("r", "done")), list(store.keys("r", "dead"))) == (["a"], ["b"])
    assert store.counts("r") == (1, 1)
    assert values_of(store, "r", ["a"]) == ["did"]
    assert store.doubles("r") == []
    store.own("r").commit([Draft("forgotten", "a")])
    store.close()
    store = SegmentsStore(folder)
    assert (list(store.keys("r", "done")), list(store.keys("r", "dead"))) == ([], ["b"])
    store.close()


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_no_clock_decides_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: float) -> None:
    """What was forgotten is worked on again, and once, however wrong the clock of the second machine is."""
    folder, now = tmp_path / "progress", time.time
    write(folder, dead("a"), done("b"))
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    store = SegmentsStore(folder)
    owner = store.own("r")
    owner.commit([Draft("retried", "a")])
    assert owner.marks(["a", "b"])[0] == 0
    store.close()
    monkeypatch.setattr(time, "time", now)
    store = SegmentsStore(folder)
    owner = store.own("r")
    assert [mark > 0 for mark in owner.marks(["a", "b"])] == [False, True]
    assert store.counts("r") == (1, 0)
    owner.commit([done("a", "again")])
    store.close()
    monkeypatch.setattr(time, "time", lambda: now() - skew)
    store = SegmentsStore(folder)
    owner = store.own("r")
    assert store.counts("r") == (2, 0)
    assert values_of(store, "r", ["a"]) == ["again"]
    assert store.doubles("r") == []
    kinds = [entry.kind for entry in store.entries("r") if entry.key == "a"]
    assert kinds == ["dead", "retried", "done"], "the order of the entries is that of what happened"
    store.close()


def test_only_what_is_named_is_taken_back(tmp_path: Path, no_locks: None) -> None:
    """A conclusion that a living writer adds behind a `forgotten` that never saw it holds."""
    folder = tmp_path / "progress"
    one = SegmentsStore(folder)
    first = one.own("r", shard=Shard(0, 2))
    first.commit([done("a"), done("x")])
    two = SegmentsStore(folder)
    second = two.own("r", shard=Shard(1, 2))
    second.commit([Draft("forgotten", "a"), Draft("forgotten", "x")])
    first.commit([started("a")])
    first.commit([done("a", "new")])
    one.close()
    two.close()
    store = SegmentsStore(folder)
    assert list(store.keys("r", "done")) == ["a"]
    assert values_of(store, "r", ["a", "x"]) == ["new", None]
    store.close()


def test_a_file_that_was_taken_away_takes_nothing_else_with_it(tmp_path: Path) -> None:
    """What its writer did is to do again; what others took back of it, or did themselves, stands as it is."""
    folder = tmp_path / "progress"
    path = write(folder, done("a"), done("x"))
    write(folder, Draft("forgotten", "x"), done("b"))
    whole = path.read_bytes()
    path.unlink()
    store = SegmentsStore(folder)
    assert list(store.verify()) == []
    assert list(store.keys("r", "done")) == ["b"]
    store.close()
    path.write_bytes(whole)
    store = SegmentsStore(folder)
    assert set(store.keys("r", "done")) == {"a", "b"}
    store.close()


def test_tries_go_on_over_writers(tmp_path: Path) -> None:
    """Each writer that dies with an item in hand counts once, and a conclusion ends the count (P6)."""
    folder = tmp_path / "progress"
    for crashes in range(3):
        store = SegmentsStore(folder)
        owner = store.own("r")
        tries = owner.open_items.get("poison", Tries())
        assert (tries.errors, tries.crashes) == (0, crashes)
        owner.commit([Draft("started", "poison", tries.to_json())])
        store.close()
    store = SegmentsStore(folder)
    owner = store.own("r")
    owner.commit([dead("poison")])
    owner.commit([Draft("retried", "poison")])
    store.close()
    store = SegmentsStore(folder)
    assert store.open_items("r") == {}
    assert store.own("r").open_items == {}
    store.close()


def test_what_a_living_writer_has_in_hand_is_no_crash(tmp_path: Path) -> None:
    """Only the items of dead writers, and only those of its own share, come to a new owner."""
    folder = tmp_path / "progress"
    keys = {number: next(k for k in map(str, range(99)) if Shard(number, 2).has(k)) for number in (0, 1)}
    write(folder, started(keys[0]), started(keys[1]))
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    first = one.own("r", shard=Shard(0, 2))
    assert set(first.open_items) == {keys[0]}
    first.commit([Draft("started", keys[0], first.open_items[keys[0]].to_json())])
    second = two.own("r", shard=Shard(1, 2))
    assert second.open_items == {keys[1]: Tries(0, 1)}
    assert set(two.open_items("r")) == {keys[1]}
    assert len(one.living("r")) == 2
    two.close()
    one.close()
