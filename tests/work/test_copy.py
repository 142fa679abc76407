"""A copy is what the journal held at one instant, and a move is never two journals that go on, nor none."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import JournalDamaged, JournalError, JournalFull, JournalMissing, JournalMoved, JournalReadOnly
from leftoff.journal import copying, jsonl_write
from leftoff.journal.store import values_of
from leftoff.testing.kills import ForkServer
from leftoff.work.copy import move
from tests.contract.drafts import mark_every
from tests.work import copied

PROGRAM = Path(copied.__file__)
PAIRS = [(source, target) for source in ("a.jsonl", "a.db") for target in ("b.jsonl", "b.db")]
PAIRS += [("postgresql:///", "b.jsonl"), ("postgresql:///", "b.db")]
PAIRS += [("a/", "b.jsonl"), ("a/", "b.db"), ("a.jsonl", "b/"), ("a.db", "b/"), ("a/", "b/"), ("postgresql:///", "b/")]
pairs = pytest.mark.parametrize(("source", "target"), PAIRS)
on_files = pytest.mark.parametrize(
    ("source", "target"), [*PAIRS[:4], ("a/", "b.jsonl"), ("a.jsonl", "b/"), ("a/", "b/")]
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(place: str) -> dict[str, Any]:
    """Everything that a journal answers about the runs of `copied`, whatever its format."""
    with leftoff.open(place, create=False) as journal:
        assert journal.verify() == []
        store = journal.store
        return {
            name: (
                list(store.keys(name, "done")),
                list(store.keys(name, "dead")),
                values_of(store, name, copied.ITEMS),
                store.counts(name),
                store.open_items(name),
                store.latest(name, "created").value,
                store.latest(name, "step", "index").value,
                store.latest(name, "cursor", "since").value,
                [(e.kind, e.key, e.value, e.at.timestamp(), e.epoch) for e in store.entries(name) if not is_move(e)],
            )
            for name in store.runs()
        }


def content(place: str) -> dict[str, bytes]:
    files = Path(place).iterdir() if place.endswith("/") else [Path(place)]
    return {file.name: file.read_bytes() for file in files}


def is_move(entry: leftoff.Entry) -> bool:
    return entry.kind == "owner"


@pairs
def test_a_copy_answers_as_the_original(source: str, target: str) -> None:
    """Fates, values, tries, steps, cursors, times and ids are the same in each format; the user's tables come along."""
    copied.make(source)
    before = answers(source)
    with leftoff.open(source) as journal:
        done = journal.copy(target)
    name = target.rstrip("/")
    assert sorted(path.name for path in Path().glob("b*")) == [name, f"{name}.lock"]
    assert answers(target) == before == answers(source)
    assert done.runs == list(copied.RUNS)
    assert done.entries == len(list(leftoff.open(source).entries()))
    assert done.tables == (target == "b.db" and source == "a.db")
    if done.tables:
        with closing(sqlite3.connect(target)) as connection:
            assert connection.execute("SELECT key FROM made").fetchall() == [("with-a-row",)] * len(copied.RUNS)
    assert Path(target).stat().st_mode & 0o777 == (0o700 if target.endswith("/") else 0o600)


@on_files
def test_a_copy_of_many_pages_and_marks_answers_as_the_original(
    source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many writes a copy takes, and however its open items are to be found, nothing of it changes."""
    mark_every(monkeypatch, 5)
    monkeypatch.setattr(jsonl_write, "_BLOCK", 300)
    monkeypatch.setattr(copying, "_PAGE", 7)
    copied.make(source)
    before = answers(source)
    with leftoff.open(source) as journal:
        assert any(entry.kind == "open" for entry in journal.entries())
        journal.copy(target)
    assert answers(target) == before


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), JournalFull),
        (JournalReadOnly("of ours"), JournalReadOnly),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize(("source", "target"), PAIRS[:4])  # a directory takes its place in another way
def test_a_copy_that_fails_leaves_nothing_behind(
    source: str, target: str, error: BaseException, expected: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it at the last moment, the original is as it was and the next copy is made."""
    copied.make(source)

    def fail(*_: object) -> None:
        raise error

    with leftoff.open(source) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(copying, "put_in_place_by_name", fail)
            with pytest.raises(expected):
                journal.copy(target)
        assert [path.name for path in Path().glob("b.*")] == [f"{target}.lock"]
        journal.copy(target)
    assert answers(target) == answers(source)


@pairs
def test_work_on_a_copy_repeats_nothing(source: str, target: str) -> None:
    """Whoever goes on with a copy works on what was not done, and on nothing else."""
    copied.make(source, upto=6)
    with leftoff.open(source) as journal:
        journal.copy(target)
    worked = []
    with leftoff.open(target) as journal:
        for key in journal.run("first").each(copied.ITEMS, progress=False):
            worked.append(key)
    assert worked == ["item-1", "item-6", "item-7", "item-8"]
    assert leftoff.open(target).verify() == []


@on_files
def test_a_journal_is_copied_while_it_is_written(source: str, target: str) -> None:
    """Each copy of a live journal is sound, and begins with what was told to be done before it began."""
    script = "import sys; from tests.work.copied import go_on; go_on(*sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-c", script, source, "told"]) as writer:
        try:
            for number in range(5):
                told = _wait_for_more(number * 20)
                with leftoff.open(source, create=False) as journal:
                    journal.copy(f"{number}-{target}")
                with leftoff.open(f"{number}-{target}", create=False) as journal:
                    assert journal.verify() == []
                    done = list(journal.run("live").keys("done"))
                assert done == [str(n) for n in range(len(done))]
                assert len(done) >= told - 1  # the newest was told while it was in hand
        finally:
            writer.kill()


def _wait_for_more(count: int) -> int:
    """Wait until the writer has told more than ``count`` items; return how many."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = Path("told").read_bytes().count(b"\n") if Path("told").exists() else 0
        if told > count:
            return told
        time.sleep(0.005)
    pytest.fail(f"the writer told no more than {count} items in a minute")


def test_what_cannot_be_copied_is_refused_untouched() -> None:
    """A target that is there, a folder that is not, no format, no run, no journal: each is its own error."""
    copied.make("a.jsonl")
    Path("there.db").write_text("mine")
    Path("stale.db-wal").write_text("mine")
    with leftoff.open("a.jsonl") as journal:
        for target, error in [
            ("there.db", leftoff.UsageError),
            ("a.jsonl", leftoff.UsageError),
            ("stale.db", leftoff.UsageError),
            ("progress.txt", leftoff.UsageError),
            ("memory:", leftoff.UsageError),
            ("there.db/", leftoff.UsageError),
            ("nowhere/b/", JournalMissing),
            ("nowhere/b.db", JournalMissing),
        ]:
            with pytest.raises(error, match=target.partition(":")[0].rstrip("/")):
                journal.copy(target)
    assert Path("there.db").read_text() == "mine"
    assert sorted(path.name for path in Path().iterdir()) == ["a.jsonl", "a.jsonl.lock", "stale.db-wal", "there.db"]
    with pytest.raises(leftoff.UsageError, match="nothing to copy"):
        leftoff.open("empty.jsonl").copy("b.db")
    with pytest.raises(JournalMissing):
        move("none.jsonl", "b.db")


def test_what_a_killed_copy_left_is_removed_and_nothing_else() -> None:
    """Somebody else's files under the name that a copy is built under are told, and each of them stays."""
    copied.make("a.jsonl")
    left, theirs = Path("b.copying"), Path("c.copying")
    for folder in (left, theirs):
        folder.mkdir()
        (folder / ".journal.json.0123456789abcdef").write_text("{")
        (folder / "20260101T000000000Z-host-1-00000000.jsonl").touch()
    (theirs / "notes.txt").write_text("mine")
    Path("d.jsonl.copying").mkdir()
    with leftoff.open("a.jsonl") as journal:
        journal.copy("b/")
        with pytest.raises(leftoff.UsageError, match=r"c\.copying holds 'notes\.txt', which no copy left there; move"):
            journal.copy("c/")
        with pytest.raises(JournalError, match=r"d\.jsonl\.copying cannot be used \(Is a directory\)"):
            journal.copy("d.jsonl")
    assert answers("b/") == answers("a.jsonl")
    assert not left.exists()
    assert len(list(theirs.iterdir())) == 3
    assert not any(Path(name).exists() for name in ("c", "d.jsonl"))


def test_damage_is_not_copied() -> None:
    """A bit that flipped in an old row of a large database is found by the copy, which then does not appear."""
    copied.make("a.db")
    with closing(sqlite3.connect("a.db")) as connection:
        connection.execute(
            "UPDATE leftoff_entry SET value = '{\"of\":\"other\"}' WHERE kind = 'done' AND key = 'item-0'"
        )
        connection.execute("CREATE TABLE large (data BLOB)")
        connection.execute("INSERT INTO large VALUES (zeroblob(2000000))")  # so that opening does not check it whole
        connection.commit()
    for target in ("b.db", "b.jsonl"):
        with leftoff.open("a.db") as journal, pytest.raises(JournalDamaged, match="entry"):
            journal.copy(target)
        assert not Path(target).exists()
        assert not Path(f"{target}.copying").exists()


@pairs
def test_a_moved_journal_goes_on_at_one_place(source: str, target: str) -> None:
    """After a move the source refuses and names the target, which goes on; moving again changes nothing."""
    copied.make(source, upto=6)
    before = answers(source)
    assert move(source, target).entries > 0
    with leftoff.open(source) as journal, pytest.raises(JournalMoved, match=target):
        list(journal.run("first").each(copied.ITEMS, progress=False))
    with leftoff.open(source) as journal, pytest.raises(JournalMoved, match=target):
        journal.run("first").forget()
    assert answers(target) == before
    with leftoff.open(target) as journal:
        assert list(journal.run("first").each(copied.ITEMS, progress=False)) == ["item-1", "item-6", "item-7", "item-8"]
    moved_once = content(target)
    assert move(source, target).entries == 0
    assert content(target) == moved_once
    with pytest.raises(JournalMoved, match=target):
        move(source, "elsewhere.jsonl")


@pytest.mark.parametrize("speed", [0, 1])
@pytest.mark.parametrize("source", ["a.jsonl", "a.db"])
def test_a_clock_that_was_set_back_does_not_put_new_owners_before_old_ones(
    source: str, speed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory entries are ordered by their times; those of a journal that is moved to it may run back."""
    copied.make(source)
    clock, now = time.time, time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600 + speed * (clock() - now))
    for _ in range(5):  # a run whose owners' numbers are higher than those of the others
        with leftoff.open(source) as journal:
            list(journal.run("often owned").each([], progress=False))
    copied.make(source)
    move(source, "b/")
    copied.make("b/")
    with leftoff.open("b/") as journal:
        store = journal.store
        for name in copied.RUNS:
            epochs = [entry.epoch for entry in store.entries(name)]
            assert epochs == sorted(epochs)
            assert store.newest(name).epoch == epochs[-1]
        times = [entry.at for entry in store.entries()]
        assert times == sorted(times)


@on_files
def test_a_move_between_a_look_and_the_take_over_is_not_undone(source: str, target: str) -> None:
    """Whoever finds, once it owns the run, that it was moved meanwhile gives it up: no two journals go on."""
    copied.make(source)
    with leftoff.open(source) as journal:
        own = journal.store.own

        def own_late(*given: Any, **options: Any) -> Any:
            del journal.store.own
            move(source, target)
            return own(*given, **options)

        journal.store.own = own_late
        with pytest.raises(JournalMoved, match=target):
            list(journal.run("first").each(["new"], progress=False))
    assert refuses(source)
    assert not refuses(target)


def test_a_run_that_is_owned_is_not_moved() -> None:
    """While another process owns a run its journal stays where it is, and can still be copied."""
    copied.make("a.db")
    script = (
        "import leftoff, sys\n"
        "for _ in leftoff.open('a.db').run('first').each('x', progress=False):\n"
        "    print('in hand', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"in hand\n"
        with pytest.raises(leftoff.JournalBusy, match=str(owner.pid)):
            move("a.db", "b.db")
        assert not Path("b.db").exists()
        with leftoff.open("a.db") as journal:
            journal.copy("c.db")
        owner.kill()
    assert move("a.db", "b.db").entries > 0


@pytest.mark.parametrize("function", ["copy", "move"])
@on_files
def test_killed_at_every_boundary(function: str, source: str, target: str) -> None:
    """Killed before and behind each call that changes the disk: one journal goes on, and the same call finishes it."""
    with ForkServer(PROGRAM) as server:
        server.run("make", "whole-" + source)
        calls = server.run(function, "whole-" + source, "whole-" + target).calls
        expected = answers("whole-" + target)
        killed = 0
        for boundary in range(2 * calls):
            here, there = f"{boundary}-{source}", f"{boundary}-{target}"
            server.run("make", here)
            end = server.run(function, here, there, boundary=boundary)
            killed += end.killed
            assert end.killed or end.code == 0, (boundary, end)
            if function == "move" and Path(there).exists():
                assert refuses(here), boundary
            if Path(there).exists():
                assert same(answers(there), expected), boundary
            if function == "move" or not Path(there).exists():
                assert server.run(function, here, there).code == 0, boundary
            assert same(answers(there), expected), boundary
            assert refuses(here) == (function == "move"), boundary
            assert not refuses(there), boundary
            assert not list(Path().glob(f"{there.rstrip('/')}.copying*")), boundary
        assert killed >= calls  # a call that raises, such as a lock that is asked for, has no instant behind it


def refuses(place: str) -> bool:
    with leftoff.open(place, create=False) as journal:
        try:
            journal.run("first").step("probe", lambda: None)
        except JournalMoved:
            return True
        return False


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether two journals of the same work answer the same, times, ids and the test's own probe apart."""

    def essence(run: tuple[Any, ...]) -> Any:
        kinds = [entry[:3] for entry in run[-1] if entry[:2] != ("step", "probe") and entry[0] != "created"]
        return [*run[:5], run[6], run[7], [(kind, key) for kind, key, _ in kinds]]

    return {name: essence(run) for name, run in found.items()} == {n: essence(run) for n, run in expected.items()}
