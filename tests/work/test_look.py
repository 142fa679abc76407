from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import leftoff
from leftoff import Entry
from leftoff.errors import JournalMissing
from leftoff.journal.memory import MemoryStore
from leftoff.work.deciding import dead_letters
from leftoff.work.journal import Journal
from leftoff.work.look import before_last, follow, look, verify
from tests.contract.stores import FILES, PLACES


class Enough(Exception):
    """The test has seen enough."""


def steps(*actions: Callable[[], object]) -> Callable[[float], None]:
    """Do one thing at each pause, then end the loop."""
    left = list(actions)

    def pause(seconds: float) -> None:
        assert 0 < seconds <= 1
        if not left:
            raise Enough
        left.pop(0)()

    return pause


def collected(entries: Iterator[Entry]) -> list[Entry]:
    """Return what was yielded until the test had seen enough."""
    seen: list[Entry] = []
    with suppress(Enough):
        for entry in entries:
            seen.append(entry)  # what was yielded before the end counts
    return seen


def work(place: str, run: str, items: str) -> None:
    with leftoff.open(place) as journal:
        list(journal.run(run).each(items, progress=False))


@pytest.mark.parametrize("place", FILES)
def test_following_yields_each_entry_once(place: str) -> None:
    """What was there, then what is committed, in order, nothing twice and nothing left out."""
    work(place, "one", "ab")
    more = steps(lambda: work(place, "two", "c"), lambda: None, lambda: work(place, "one", "abd"))
    with leftoff.open(place, create=False) as journal:
        seen = collected(follow(journal, pause=more))
    with leftoff.open(place) as journal:
        assert seen == list(journal.entries())


@pytest.mark.parametrize("place", FILES)
def test_following_one_run_goes_on_behind_the_entries_of_others(place: str) -> None:
    """A run that is followed is found again behind what other runs committed meanwhile."""
    work(place, "one", "a")
    more = steps(lambda: work(place, "two", "c"), lambda: work(place, "one", "ab"))
    with leftoff.open(place, create=False) as journal:
        seen = collected(follow(journal, "one", after=before_last(journal, None, 0), pause=more))
    assert [(entry.run, entry.kind, entry.key) for entry in seen] == [
        ("one", "owner", ""), ("one", "started", "b"), ("one", "done", "b"), ("one", "pass", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("place", FILES)
def test_following_ends_when_the_journal_is_gone(place: str) -> None:
    """A deleted journal is an error, so that nobody waits for ever."""
    work(place, "one", "a")
    with leftoff.open(place, create=False) as journal, pytest.raises(JournalMissing, match="deleted or moved"):
        list(follow(journal, pause=steps(lambda: Path(place).unlink())))


def test_following_reads_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for more again and again does not read a long JSON Lines journal from its begin each time."""
    work("a.jsonl", "one", "abcdefgh")
    reads: list[int] = []
    pread = os.pread

    def counted(fd: int, count: int, offset: int) -> bytes:
        data = pread(fd, count, offset)
        reads.append(len(data))
        return data

    more = steps(lambda: monkeypatch.setattr(os, "pread", counted), *[lambda: None] * 5)
    with leftoff.open("a.jsonl", create=False) as journal:
        assert collected(follow(journal, pause=more))
    assert sum(reads) == 0


@pytest.mark.parametrize("place", PLACES)
def test_the_newest_entry_is_found_owned_or_not(place: str) -> None:
    """The newest entry of a run is the last that was committed to it, for its owner and for others alike."""
    journal = leftoff.open(place)
    assert look(journal).runs == []
    run = journal.run("one")
    for item in run.each("abc", progress=False):
        for seen in look(journal, "one").runs:
            assert seen.newest is not None
            assert (seen.newest.kind, seen.newest.key) == ("started", item)
    run.step("build", lambda: 1)
    list(journal.run("two").each("x", progress=False))
    assert [status.newest and status.newest.kind for status in look(journal).runs] == ["step", "pass"]
    if place != "memory:":
        journal.close()
        journal = leftoff.open(place)
        assert [status.newest and status.newest.kind for status in look(journal).runs] == ["step", "pass"]
    assert look(journal, "two").runs[0].newest == list(journal.entries())[-1]
    assert journal.store.newest("absent") is None
    journal.close()


@pytest.mark.parametrize("place", FILES)
def test_who_owns_a_run_is_known_while_it_does(place: str) -> None:
    """This process runs what it owns, and no more once the journal is closed; a lock file alone means nothing."""
    with leftoff.open(place) as journal:
        list(journal.run("one").each("a", progress=False))
        (seen,) = look(journal).runs
        assert seen.owner is not None
        assert (seen.owner.pid, seen.owner.runs, seen.owner.epoch) == (os.getpid(), True, 1)
    assert Path(f"{place}.lock").exists()
    with leftoff.open(place, create=False) as journal:
        (seen,) = look(journal).runs
        assert seen.owner is not None
        assert seen.owner.runs is False
        Path(f"{place}.lock").unlink()
        assert look(journal).runs == [seen]


@pytest.mark.parametrize("place", FILES)
def test_dead_letters_have_their_newest_error(place: str) -> None:
    """A dead letter that died twice is listed once, with what ended it last."""
    with leftoff.open(place) as journal:
        run = journal.run("one")
        list(run.map(int, ["x", "1", "y"], attempts=1, progress=False))
        run.retry(["x"])
        list(run.map(float, ["x", "1", "y"], attempts=2, progress=False, rate="1000/s"))
        letters = dead_letters(journal.store, "one")
        assert [(letter.key, letter.errors, letter.crashes) for letter in letters] == [("y", 1, 0), ("x", 2, 0)]
        assert "could not convert string to float" in letters[1].error.message
        assert letters[1].at >= letters[0].at
        assert dead_letters(journal.store, "absent") == []


@pytest.mark.parametrize("place", FILES)
def test_verify_tells_a_missing_journal_from_a_damaged_one(place: str) -> None:
    """What is not there raises; what is sound has no damaged place."""
    with pytest.raises(JournalMissing):
        verify(place)
    assert not Path(place).exists()
    work(place, "one", "a")
    assert verify(place) == []


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_nobody_began_has_no_owner(place: str) -> None:
    """Asked for by name it is looked at like others, and there is nothing to see."""
    journal = Journal(MemoryStore()) if place == "memory:" else leftoff.open(place)
    (status,) = look(journal, "nowhere").runs
    assert (status.owner, status.newest, status.report.done) == (None, None, 0)
    journal.close()


def test_a_journal_too_damaged_to_be_opened_is_verified_all_the_same() -> None:
    """What forbids to open it is the damage that is told."""
    work("run.jsonl", "r", "ab")
    data = Path("run.jsonl").read_bytes()
    Path("run.jsonl").write_bytes(data.replace(b'"a"', b'"b"', 1))
    (damage,) = verify("run.jsonl")
    assert "not what was written" in damage.what
