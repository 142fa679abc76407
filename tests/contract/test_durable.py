"""What is committed is there (P1), whole (P2), and accounted for (P3).

One of the files of the contract suite: every test runs on every store that gives its promise (docs/promises.md).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from leftoff.journal.entry import Draft, Tries
from leftoff.journal.store import values_of
from tests.contract import program
from tests.contract.drafts import dead, done, started, written
from tests.contract.stores import Kind, which


@which("P1")
def test_p1_a_commit_is_read_back_by_another_handle_at_once(kind: Kind, tmp_path: Path) -> None:
    """What commit returned from is in the journal, though nothing was closed."""
    store = kind.open(tmp_path)
    store.own("r").commit([started("a"), done("a", {"n": 1})])
    other = kind.open(tmp_path)
    assert written(other) == [("started", "a", None), ("done", "a", {"n": 1})]
    assert values_of(other, "r", ["a", "b"]) == [{"n": 1}, None]
    other.close()
    store.close()


@which("P1")
def test_p1_a_commit_survives_kill_9(kind: Kind, tmp_path: Path) -> None:
    """A process that kills itself right behind a commit has lost nothing of it, and what was in flight is a crash."""
    killer = program.write(
        tmp_path,
        f"""
        import os, signal, sys
        from pathlib import Path
        from leftoff.journal.entry import Draft
        from {kind.make.__module__} import {kind.make.__name__} as Store
        owner = {kind.code}.own("r")
        for key in "abc":
            owner.commit([Draft("started", key)])
            owner.commit([Draft("done", key, '"' + key + '"')])
        owner.commit([Draft("started", "d")])
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    program.run(killer, code=-signal.SIGKILL)
    store = kind.open(tmp_path)
    owner = store.own("r")
    assert list(store.keys("r", "done")) == ["a", "b", "c"]
    assert values_of(store, "r", ["c", "a"]) == ["c", "a"]
    assert {key: (tries.errors, tries.crashes) for key, tries in owner.open_items.items()} == {"d": (0, 1)}
    store.close()


@which("P1", embedded=True)
def test_p1_a_creation_that_was_interrupted_is_completed(kind: Kind, tmp_path: Path) -> None:
    """An empty file in the journal's place is a creation that was cut off: nothing had been acknowledged."""
    (tmp_path / kind.file).touch()
    store = kind.open(tmp_path)
    assert store.runs() == []
    assert list(store.entries()) == []
    store.own("r").commit([done("a")])
    store = kind.reopen(store, tmp_path)
    assert list(store.keys("r", "done")) == ["a"]
    store.close()


@which("P1")
def test_p1_reading_creates_nothing(kind: Kind, tmp_path: Path) -> None:
    """A journal that does not exist can be looked at, and does not exist afterwards either."""
    store = kind.open(tmp_path)
    assert (store.runs(), list(store.entries()), store.counts("r"), store.open_items("r")) == ([], [], (0, 0), {})
    assert (list(store.keys("r", "done")), values_of(store, "r", ["a"]), store.latest("r", "owner")) == (
        [],
        [None],
        None,
    )
    assert list(store.verify()) == []
    store.close()
    assert list(tmp_path.iterdir()) == []


@which("P1", embedded=True)
def test_p1_files_are_private(kind: Kind, tmp_path: Path) -> None:
    """Journal, lock and side files are made for their user alone, whatever the umask."""
    before = os.umask(0)
    try:
        store = kind.open(tmp_path)
        store.own("r").commit([done("a")])
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert kind.file in modes
    assert set(modes.values()) == {0o600}, modes


@which("P2")
def test_p2_a_commit_of_many_drafts_keeps_their_order(kind: Kind, tmp_path: Path) -> None:
    """Drafts of one commit become entries in the order given, each with its own seq and the time of the commit."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    drafts = [
        started("a"),
        started("b"),
        done("a", 1),
        started("c"),
        dead("b"),
        done("c"),
        started("d", '{"errors":1}'),
    ]
    before = time.time()
    owner.commit(drafts)
    assert all(before - 0.001 <= e.at.timestamp() <= time.time() for e in store.entries("r") if e.kind == "dead")
    assert [(k, key) for k, key, _ in written(store)] == [(d.kind, d.key) for d in drafts]
    seqs = [entry.seq for entry in store.entries("r")]
    assert seqs == sorted(set(seqs))
    store.close()


@which("P2")
def test_p2_what_is_in_flight_is_known_to_the_next_owner(kind: Kind, tmp_path: Path) -> None:
    """Begun, failed and given back items are told apart from concluded ones."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    owner.commit([started(key) for key in "abcdef"])
    owner.commit(
        [done("a"), dead("b"), Draft("failed", "c", '{"tries":{"errors":1}}'), Draft("released", "d", '{"tries":{}}')]
    )
    assert set(owner.open_items) == {"c", "e", "f"}
    assert set(store.open_items("r")) == {"c", "e", "f"}
    assert owner.open_items["c"] == Tries(1, 0, False)
    store.close()


@which("P3")
def test_p3_a_tally_counts_just_the_conclusions_that_were_met(kind: Kind, tmp_path: Path) -> None:
    """The accounts join the bits of a pass with what the store holds, superseded conclusions left out."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    marks = owner.commit([done("a"), dead("b"), done("c"), done("d"), dead("e")])
    assert [mark > 0 for mark in marks] == [True, False, True, True, False]
    assert len({abs(mark) for mark in marks}) == 5
    assert owner.marks(list("abcdex")) == [*marks, 0]
    assert [owner.mark(key) for key in "abcdex"] == [*marks, 0]

    def bits(*chosen: int) -> bytearray:
        met = bytearray(max(map(abs, marks)) // 8 + 1)
        for mark in chosen:
            met[abs(mark) >> 3] |= 1 << (abs(mark) & 7)
        return met

    assert owner.tally(bits()) == (0, 0)
    assert owner.tally(bits(*marks)) == (3, 2)
    assert owner.tally(bits(marks[0], marks[1])) == (1, 1)
    assert owner.tally(bits(marks[0])) == (1, 0)
    assert owner.tally(bytearray()) == (0, 0)
    owner.commit([Draft("forgotten", "a"), Draft("retried", "b")])
    assert owner.tally(bits(*marks)) == (2, 1)
    assert owner.marks(["a", "b"]) == [0, 0]
    again = owner.commit([done("a")])
    assert owner.tally(bits(*marks)) == (2, 1), "a conclusion of before must not count for the new one"
    assert owner.mark("a") == again[0]
    store.close()


@which("P3")
def test_p3_what_is_expected_next_is_what_was_concluded(kind: Kind, tmp_path: Path) -> None:
    """`concluded` names nothing but keys with the marks that `mark` gives, in journal order; or nothing at all."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    keys = [f"k{n}" for n in range(50)]
    for key in keys:
        owner.commit([dead(key) if key.endswith("7") else done(key)])
    store = kind.reopen(store, tmp_path)
    owner = store.own("r")
    pairs = list(owner.concluded())
    assert pairs in ([], list(zip(keys, owner.marks(keys), strict=True)))
    owner.commit([Draft("forgotten", "k3")])
    assert "k3" not in dict(owner.concluded())
    store.close()
