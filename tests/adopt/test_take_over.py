from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

import leftoff
from leftoff.adopt import Done, Doubt, NotDone, adopt, keys_of_lines
from tests.adopt.conftest import done_entries
from tests.contract.stores import FILES


@pytest.fixture(params=[*FILES, "work/", "postgresql:///"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_is_adopted_is_passed_over_by_the_loop(place: str) -> None:
    """A loop works on just the items that the other tool has not done, and its accounts are whole."""
    adopted = adopt(place, [Done("a", {"n": 1}), Done(7), NotDone("c", "exit code 1")], run="ingest")
    assert (adopted.run, adopted.new, adopted.adopted, adopted.known, adopted.not_done) == ("ingest", True, 2, 0, 1)
    with leftoff.open(place) as journal:
        run = journal.run("ingest")
        outcomes = {each.key: (each.value, each.resumed) for each in run.map(str.upper, ["a", "7", "c"], key=str)}
        assert outcomes == {"a": ({"n": 1}, True), "7": (None, True), "c": ("C", False)}
        assert run.report().missing == 0


def test_known_keys_are_passed_over(place: str) -> None:
    """Done and dead items, and keys that come twice, are counted and get no second entry; a dead one stays dead."""

    def fail(item: str) -> None:
        raise ValueError(item)

    with leftoff.open(place) as journal:
        list(journal.run("ingest").each("a", progress=False))
        list(journal.run("ingest").map(fail, "b", attempts=1, progress=False))
    source = [Done(key) for key in ["a", "b", "c", "c", "d"] * 300]
    adopted = adopt(place, source)
    assert (adopted.new, adopted.adopted, adopted.known) == (False, 2, len(source) - 2)
    assert done_entries(place, "ingest") == ["a", "c", "d"]
    with leftoff.open(place) as journal:
        assert list(journal.run("ingest").keys("dead")) == ["b"]


def test_what_cannot_be_kept_is_doubted(place: str) -> None:
    """An empty key, a lone surrogate or a result that is too large is named, and the others are adopted."""
    source = [Done(""), Done("\udcff"), Done("a", "x" * (1 << 21)), Doubt("there", "torn"), Done("b")]
    adopted = adopt(place, source, run="ingest")
    assert (adopted.adopted, adopted.doubts, len(adopted.doubted)) == (1, 4, 4)
    assert adopted.doubted[3] == Doubt("there", "torn")
    assert done_entries(place, "ingest") == ["b"]


def test_a_dry_run_changes_nothing(place: str) -> None:
    """The same is told, key by key, and neither a journal is made nor an existing one changed."""
    told: list[Done] = []
    source = [Done("a"), Done("b"), Done("a")]
    adopted = adopt(place, source, run="ingest", dry_run=True, tell=told.append)
    assert (adopted.adopted, adopted.known, told) == (2, 1, source[:2])
    assert not Path(place).exists()
    adopt(place, [Done("a")], run="ingest")
    told.clear()
    assert adopt(place, source, run="ingest", dry_run=True, tell=told.append).adopted == 1
    assert (told, done_entries(place, "ingest")) == ([Done("b")], ["a"])


def test_the_run_has_to_be_clear(place: str) -> None:
    """Without a name the journal must hold one run; else nothing is written, and the error names what there is."""
    with pytest.raises(leftoff.UsageError, match="holds no run yet: name the loop"):
        adopt(place, [Done("a")])
    assert not Path(place).exists()
    for name in ("one", "two"):
        adopt(place, [Done("a")], run=name)
    with pytest.raises(leftoff.UsageError, match="holds the runs one, two"):
        adopt(place, [Done("b")])


def test_a_source_that_is_refused_leaves_no_journal(place: str) -> None:
    """What a source raises before its first item comes before the journal is made."""
    with pytest.raises(leftoff.UsageError):
        adopt(place, keys_of_lines("none.txt"), run="ingest")
    assert not Path(place).exists()


def test_a_run_that_is_being_worked_on_is_refused() -> None:
    """Another handle's loop owns the run: adopting beside it would be a second writer."""
    with leftoff.open("work.db") as journal:
        for _ in journal.run("ingest").each("ab", progress=False):
            with pytest.raises(leftoff.JournalBusy):
                adopt("work.db", [Done("c")], run="ingest")


def test_ctrl_c_stops_between_two_commits() -> None:
    """What was committed stays, the journal is whole, and the same call does the rest."""

    def interrupted():
        for number in range(5000):
            if number == 1700:
                os.kill(os.getpid(), signal.SIGINT)
            yield Done(f"key {number}")

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(leftoff.Stopped):
        adopt("work.jsonl", interrupted(), run="ingest", progress=False)
    assert len(done_entries("work.jsonl", "ingest")) == 1500
    adopted = adopt("work.jsonl", (Done(f"key {number}") for number in range(5000)), run="ingest", progress=False)
    assert (adopted.adopted, adopted.known) == (3500, 1500)
    assert len(done_entries("work.jsonl", "ingest")) == 5000
