"""Who owns a run (P7), and what a store that is closed says (P9).

One of the files of the contract suite: every test runs on every store that gives its promise (docs/promises.md).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from leftoff.errors import JournalBusy, JournalClosed, JournalError, JournalLost, OwnershipLost
from tests.contract import program
from tests.contract.drafts import done, started
from tests.contract.stores import Kind, which


@which("P7")
def test_p7_a_second_owner_is_refused_and_told_who_the_first_is(kind: Kind, tmp_path: Path) -> None:
    """The refusal names host, pid and start; when the first is gone the next may come."""
    first = kind.open(tmp_path)
    first.own("r").commit([done("a")])
    second = kind.open(tmp_path)
    before = sorted((p.name, p.stat().st_size) for p in tmp_path.iterdir())
    with pytest.raises(JournalBusy, match=rf"process {os.getpid()} on {os.uname().nodename} since 20\d\d-\d\d-\d\dT"):
        second.own("r")
    assert sorted((p.name, p.stat().st_size) for p in tmp_path.iterdir()) == before
    assert list(second.keys("r", "done")) == ["a"], "who reads never locks"
    first.close()
    second.own("r").commit([done("b")])
    second.close()


@which("P7")
def test_p7_a_dead_owners_hold_is_gone_though_its_forked_child_lives(kind: Kind, tmp_path: Path) -> None:
    """A child that outlives its killed parent holds nothing of the parent's."""
    text = f"""
        import os, signal, sys
        from pathlib import Path
        from leftoff.journal.entry import Draft
        from {kind.make.__module__} import {kind.make.__name__} as Store
        owner = {kind.code}.own("r")
        owner.commit([Draft("done", "a")])
        if os.fork() == 0:
            print("child", flush=True)
            sys.stdin.readline()
            os._exit(0)
        signal.pause()
        """
    with program.started(program.write(tmp_path, text)) as parent:
        program.until(parent, "child")
        store = kind.open(tmp_path)
        with pytest.raises(JournalBusy):
            store.own("r")
        os.kill(parent.pid, signal.SIGKILL)
        os.waitpid(parent.pid, 0)
        store.own("r").commit([done("b")])
        assert list(store.keys("r", "done")) == ["a", "b"]
        store.close()


@which("P7")
def test_p7_each_owner_has_a_greater_epoch_and_its_name_is_kept(kind: Kind, tmp_path: Path) -> None:
    """Every takeover is an entry that tells who; every entry carries the epoch of its owner."""
    epochs = []
    for number in range(3):
        store = kind.open(tmp_path)
        owner = store.own("r")
        owner.commit([done(f"k{number}")])
        epochs.append(owner.epoch)
        newest = store.latest("r", "owner")
        assert newest is not None
        assert newest.value["pid"] == os.getpid()
        assert newest.value["durability"] == kind.durability
        assert {e.key: e.epoch for e in store.entries("r") if e.kind == "done"}[f"k{number}"] == owner.epoch
        store.close()
    assert epochs == [1, 2, 3]


@which("P7")
def test_p7_a_run_that_was_given_up_can_be_taken_again(kind: Kind, tmp_path: Path) -> None:
    """By the same handle, at once; giving it up twice is giving it up, and takes nothing from who has it then."""
    store = kind.open(tmp_path)
    first = store.own("r")
    first.commit([done("a")])
    first.release()
    first.release()
    second = store.own("r")
    first.release()
    second.commit([done("b")])
    assert (list(store.keys("r", "done")), second.epoch) == (["a", "b"], first.epoch + 1)
    store.close()
    store = kind.open(tmp_path)
    assert store.counts("r") == (2, 0)
    store.close()


@which("P7", embedded=True)
def test_p7_an_owner_whose_lock_was_swapped_away_writes_nothing_over_its_successor(kind: Kind, tmp_path: Path) -> None:
    """With the lock file deleted a second owner can come; then the first is refused and the second goes on."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    owner.commit([done("a")])
    (tmp_path / f"{kind.file}.lock").unlink()
    successor = kind.open(tmp_path)
    new = successor.own("r")
    new.commit([done("b")])
    with pytest.raises((OwnershipLost, JournalLost)):
        owner.commit([done("stale")])
    new.commit([done("c")])
    assert list(successor.keys("r", "done")) == ["a", "b", "c"]
    successor.close()
    store.close()


@which("P7")
def test_p7_a_forked_child_cannot_write_and_harms_nothing(kind: Kind, tmp_path: Path) -> None:
    """In a forked child the handle refuses; the parent goes on as if nothing had been."""
    text = f"""
        import os
        from pathlib import Path
        from leftoff.errors import ForkedHandle
        from leftoff.journal.entry import Draft
        from {kind.make.__module__} import {kind.make.__name__} as Store
        store = {kind.code}
        owner = store.own("r")
        owner.commit([Draft("done", "a")])
        if os.fork() == 0:
            try:
                owner.commit([Draft("done", "child")])
            except ForkedHandle as error:
                print("refused", flush=True)
                store.close()
            os._exit(0)
        os.wait()
        owner.commit([Draft("done", "b")])
        store.close()
        print("parent", flush=True)
        """
    assert program.run(program.write(tmp_path, text)).stdout.split() == ["refused", "parent"]
    store = kind.open(tmp_path)
    assert list(store.keys("r", "done")) == ["a", "b"]
    assert list(store.verify()) == []
    store.close()


@which("P7", embedded=True)
def test_p7_a_journal_replaced_underneath_is_noticed_before_the_next_commit(kind: Kind, tmp_path: Path) -> None:
    """Nothing is acknowledged into a file that has lost its name."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    owner.commit([done("a"), started("b")])
    (tmp_path / kind.file).rename(tmp_path / "moved")
    (tmp_path / "moved").unlink()
    with pytest.raises((JournalLost, OwnershipLost)):
        owner.commit([done("b")])  # which asks the journal nothing
    with pytest.raises(JournalError):
        owner.commit([done("c")])
    store.close()


@which("P9")
def test_p9_a_closed_store_refuses(kind: Kind, tmp_path: Path) -> None:
    """After close nothing is written, and that is said."""
    store = kind.open(tmp_path)
    owner = store.own("r")
    owner.commit([done("a")])
    store.close()
    with pytest.raises(JournalClosed):
        owner.commit([done("b")])
    with pytest.raises(JournalClosed):
        store.own("r")
    store.close()
