"""What several writers' files tell together: entries in order, newest values, counts, and notes to the user."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from leftoff.journal.entry import Draft, Tries
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.shard import Shard
from leftoff.journal.store import values_of
from tests.contract.drafts import dead, done, started
from tests.journal.segments_files import files, lock_nobody_out, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "progress"


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    lock_nobody_out(monkeypatch)


def both(folder: Path, *keys: str) -> None:
    """Let two writers that do not see each other do the same items."""
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    for name, owner in [("one", one.own("r")), ("two", two.own("r"))]:
        for key in keys:
            owner.commit([done(key, name)])
    one.close()
    two.close()


# -- entries ---------------------------------------------------------------------------------------------------------


def test_entries_are_numbered_from_look_to_look(folder: Path) -> None:
    """Each look's entries follow those of the looks before, without a gap, from any number on, and of any run."""
    reader = SegmentsStore(folder)
    assert list(reader.entries()) == []
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    first, second = one.own("a"), two.own("b")
    told = []
    for number in range(4):
        first.commit([started(f"k{number}"), done(f"k{number}", number)])
        second.commit([dead(f"k{number}")])
        told += list(reader.entries(after=len(told)))
        assert [entry.seq for entry in told] == list(range(1, 4 + 3 * (number + 1) + 1))
    assert list(reader.entries()) == told
    for after in range(len(told) + 1):
        assert list(reader.entries(after=after)) == told[after:]
        assert list(reader.entries("b", after)) == [entry for entry in told[after:] if entry.run == "b"]
    assert [entry.value for entry in told if entry.kind == "done"] == [0, 1, 2, 3]
    assert reader.runs() == ["a", "b"]
    for store in (reader, one, two):
        store.close()


def test_a_later_writers_times_are_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the clock stands still, what a writer does lies behind all that it had read."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    for key in ("a", "b", "c"):
        write(folder, done(key), Draft("cursor", "at", f'"{key}"'))
    reader = SegmentsStore(folder)
    times = [[entry.at for entry in reader.entries("r") if entry.epoch == epoch] for epoch in (1, 2, 3)]
    assert max(times[0]) < min(times[1])
    assert max(times[1]) < min(times[2])
    assert [entry.key for entry in reader.entries("r") if entry.kind == "done"] == ["a", "b", "c"]
    latest = reader.latest("r", "cursor", "at")
    assert latest is not None
    assert (latest.value, latest.epoch) == ("c", 3)
    reader.close()


def test_the_newest_entry_is_of_its_run_and_its_last(folder: Path) -> None:
    """Whoever asks, reader or owner, is told the last entry of the last commit of that run alone."""
    write(folder, done("old"))
    store, reader = SegmentsStore(folder), SegmentsStore(folder)
    owner = store.own("r")
    owner.commit([started("a"), done("a"), started("b")])
    store.own("s").commit([done("z")])
    for asked in (store, reader):
        found = [asked.newest(run) for run in ("r", "s")]
        assert [(entry.run, entry.kind, entry.key) for entry in found if entry] == [
            ("r", "started", "b"), ("s", "done", "z")
        ]  # fmt: skip
        assert asked.newest("absent") is None
        assert asked.latest("r", "cursor", "since") is None
    owner.commit([Draft("forgotten", "old")])
    for asked in (store, reader):
        last = asked.newest("r")
        assert last is not None
        assert (last.kind, last.key, last.value) == ("forgotten", "old", None)
    reader.close()
    store.close()


def test_named_entries_come_from_whichever_file_has_the_newest(folder: Path) -> None:
    """An owner finds what earlier writers kept until it keeps something under that name itself."""
    write(folder, Draft("cursor", "since", '"first"'), Draft("step", "build", "[1]"))
    write(folder, Draft("cursor", "since", '"second"'))
    store = SegmentsStore(folder)
    owner = store.own("r")

    def kept() -> list[object]:
        found = [store.latest("r", "cursor", "since"), store.latest("r", "step", "build")]
        return [entry and entry.value for entry in found]

    assert kept() == ["second", [1]]
    owner.commit([Draft("cursor", "since", '"third"')])
    assert kept() == ["third", [1]]
    store.close()


# -- fates -----------------------------------------------------------------------------------------------------------


def test_values_are_found_in_the_file_that_holds_them(folder: Path) -> None:
    """Of two files read and of the owner's own, each value is that of its key, and of the newest conclusion."""
    write(folder, done("a", 1), done("b", 2), dead("c"))
    write(folder, dead("d"), done("e", 5), done("f", 6))
    store = SegmentsStore(folder)
    owner = store.own("r")
    marks = [owner.commit([done(key, value)])[0] for key, value in (("g", 7), ("h", 8))]
    keys = list("abcdefghx")
    assert values_of(store, "r", keys) == values_of(SegmentsStore(folder), "r", keys)
    values = values_of(store, "r", keys)
    assert [value for value in values if isinstance(value, int)] == [1, 2, 5, 6, 7, 8]
    assert [value is None for value in values] == [False] * 8 + [True]
    assert values[2]["error"] == values[3]["error"] == {"type": "E", "message": "m"}
    assert owner.marks(keys) == [1, 2, -3, -4, 5, 6, 7, 8, 0]
    assert marks == [7, 8]
    assert (store.counts("r"), list(store.keys("r", "done")), list(store.keys("r", "dead"))) == (
        (6, 2), ["a", "b", "e", "f", "g", "h"], ["c", "d"]
    )  # fmt: skip
    assert (store.counts("absent"), values_of(store, "absent", ["a"]), list(store.keys("absent", "dead"))) == (
        (0, 0), [None], []
    )  # fmt: skip
    store.close()


@pytest.mark.parametrize("kind", ["forgotten", "retried"])
def test_what_is_taken_back_is_taken_back_in_every_file(folder: Path, no_locks: None, kind: str) -> None:
    """A conclusion in the first file, in the last, in both, and an item still open: each is named where it stands."""
    both(folder, "first", "both")
    write(folder, done("last"), started("open", '{"errors":1}'))
    first, second, third = sorted(files(folder))
    store = SegmentsStore(folder)
    owner = store.own("r")
    owner.commit([done("mine")])
    owner.commit([Draft(kind, key) for key in ("first", "last", "open", "mine", "new")])
    assert owner.marks(["first", "both", "last", "open", "mine"])[1] > 0
    assert [mark for mark in owner.marks(["first", "last", "open", "mine"]) if mark] == []
    store.close()
    reader = SegmentsStore(folder)
    assert list(reader.keys("r", "done")) == ["both"]
    assert reader.open_items("r") == {}
    by_key = {
        key: [name for name, _ in sorted(names.items())]
        for segment in reader._list()
        for key, names in segment.index("r").voids
    }
    ids = {name: reader._segments[name].id for name in (first, second, third)}
    assert by_key == {"first": sorted([ids[first], ids[second]]), "last": [ids[third]], "open": [ids[third]]}
    reader.close()


def test_what_a_writer_says_of_another_run_keeps_nothing_alive(folder: Path, no_locks: None) -> None:
    """A conclusion that was taken back does not hold again as the same key is worked on in another run of its file."""
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    one.own("r").commit([done("a")])
    two.own("r").commit([Draft("forgotten", "a")])
    one.own("s").commit([done("a")])
    reader = SegmentsStore(folder)
    assert (list(reader.keys("r", "done")), list(reader.keys("s", "done"))) == ([], ["a"])
    for store in (one, two, reader):
        store.close()


def test_an_item_counts_a_crash_only_where_its_writer_died_with_it(folder: Path) -> None:
    """What failed or was given back keeps its tries; a reader sees them as they were written."""
    write(folder, started("begun"), started("failed"), Draft("failed", "failed", '{"tries":{"errors":2}}'))
    reader = SegmentsStore(folder)
    assert reader.open_items("r") == {"begun": Tries(0, 0, True), "failed": Tries(2, 0, False)}
    reader.close()
    store = SegmentsStore(folder)
    assert store.own("r").open_items == {"begun": Tries(0, 1, False), "failed": Tries(2, 0, False)}
    store.close()


# -- notes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "more"), [(1, ""), (2, ""), (5, ""), (6, " and 1 more"), (8, " and 3 more")])
def test_what_was_done_twice_is_told_by_five_names(folder: Path, no_locks: None, count: int, more: str) -> None:
    """Who goes on is told at most five of the keys, and how many more there are; the later writer's values count."""
    keys = [f"k{number}" for number in range(count)]
    both(folder, *keys)
    store = SegmentsStore(folder)
    assert store.doubles("r") == sorted(keys)
    assert values_of(store, "r", keys) == ["two"] * count
    store.own("r")
    told = [repr(key) for key in store.doubles("r")[:5]]
    assert store.notes[-1] == f"{folder}/: two writers both did {', '.join(told)}{more} of the run 'r'"
    store.close()


def test_what_was_torn_is_told_by_file_and_bytes(folder: Path) -> None:
    """Of several dead writers all are named; of one that lives nothing is said, for it is not at its end yet."""
    paths = [write(folder, done(key)) for key in ("a", "b")]
    store = SegmentsStore(folder)
    store.own("r")
    assert store.notes == []
    store.close()
    for number, path in enumerate(paths):
        with path.open("ab") as file:
            file.write(b'{"seq":4'[: 3 + number])
    living = SegmentsStore(folder)
    living.own("other")
    assert living.notes == [
        f"{folder}/: the last commit of {paths[0].name}, {paths[1].name} was torn; these 7 bytes are left out"
    ]
    (name,) = [name for name in files(folder) if b'"run":"other"' in files(folder)[name]]
    with (folder / name).open("ab") as file:
        file.write(b'{"seq":4')
    store = SegmentsStore(folder)
    store.own("r", shard=Shard(0, 2))
    assert store.notes == living.notes
    living.close()
    store.close()
