"""What an owner writes into a JSON Lines journal, when it is synced, and what is said when it cannot go on."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import (
    ForkedHandle,
    JournalClosed,
    JournalError,
    JournalFull,
    JournalInDoubt,
    JournalLost,
    OwnershipLost,
)
from leftoff.journal import jsonl_owner
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_owner import Appender
from leftoff.journal.lock import whoami
from leftoff.journal.store import values_of
from tests.contract.drafts import dead, done, mark_every, started

BOTH = pytest.mark.parametrize("durability", ["power", "process"])
PAUSE = jsonl_owner._SYNC_PAUSE
FULL = "no space left; everything committed before is intact. Free some space and start again"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def rests(path: Path) -> list[str]:
    """Return what stands on each line behind the header, from the epoch on, without the sum."""
    lines = path.read_text("utf-8").split("\n")[1:-1]
    return [line[line.index('"epoch"') : line.index(',"sum":"')] for line in lines]


@pytest.mark.usefixtures("noon")
@BOTH
def test_an_owner_begins_with_who_it_is_and_what_it_asked_for(path: Path, durability: Any) -> None:
    """A new run has its header first, with the program; each owner's entry has host, pid, start and durability."""
    for epoch in (1, 2, 3):
        store = JsonlStore(path, durability)
        owner = store.own("r", f"program {epoch}")
        assert owner.epoch == epoch
        store.close()
    entries = list(JsonlStore(path).entries())
    assert [(e.seq, e.run, e.kind, e.key, e.epoch) for e in entries] == [
        (1, "r", "created", "", 1), (2, "r", "owner", "", 1), (3, "r", "owner", "", 2), (4, "r", "owner", "", 3),
    ]  # fmt: skip
    assert (entries[0].value["program"], entries[0].value["parent"]) == ("program 1", None)
    assert [entry.value for entry in entries[1:]] == [{**whoami(), "durability": durability}] * 3


def test_lines_are_those_of_the_drafts_and_a_plain_start_shares_the_line_of_the_done_before_it(path: Path) -> None:
    """Only a start without a value joins, and only a `done`: a line has two entries at most."""
    store = JsonlStore(path)
    owner = store.own("r")
    marks = owner.commit(
        [
            started("a"), started("b"), done("a"), started("c"), started("d"), done("b", 1), started("e"),
            done("c"), started("f", '{"errors":1}'), dead("d"), started("g"), done("e"), done("h"), started('"h\n'),
        ]
    )  # fmt: skip
    assert marks == [1, 2, 3, -4, 5, 6]
    assert owner.marks(["a", "b", "c", "d", "e", "f", "h", "nowhere"]) == [1, 2, 3, -4, 5, 0, 6, 0]
    assert [owner.mark(key) for key in ("a", "d", "nowhere")] == [1, -4, 0]
    assert (list(owner.concluded()), owner.pending()) == ([], False)
    assert owner.open_items == {"f": Tries(1, 0, begun=True), "g": Tries(begun=True), '"h\n': Tries(begun=True)}
    owner.commit([done("g")])
    assert rests(path)[2:] == [
        '"epoch":1,"started":"a","more":1',
        '"epoch":1,"started":"b","more":1',
        '"epoch":1,"done":"a","started":"c","more":1',
        '"epoch":1,"started":"d","more":1',
        '"epoch":1,"done":"b","value":1,"started":"e","more":1',
        '"epoch":1,"done":"c","more":1',
        '"epoch":1,"started":"f","value":{"errors":1},"more":1',
        '"epoch":1,"dead":"d","value":{"tries":{"errors":3},"error":{"type":"E","message":"m"}},"more":1',
        '"epoch":1,"started":"g","more":1',
        '"epoch":1,"done":"e","more":1',
        '"epoch":1,"done":"h","started":"\\"h\\n"',
        '"epoch":1,"done":"g"',
    ]
    assert [entry.seq for entry in store.entries()] == list(range(1, 18))
    store.close()


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (1795472401.9876, "2026-11-23T22:20:01.987Z"),
        (1795472402.0, "2026-11-23T22:20:02.000Z"),
        (1.5, "1970-01-01T00:00:01.500Z"),
    ],
)
def test_an_entry_has_the_time_of_its_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch, now: float, text: str
) -> None:
    """All lines of a commit have one time, in UTC, to the millisecond that was begun; the next has its own."""
    store = JsonlStore(path)
    owner = store.own("r")
    for clock in (now, now + 0.25, now + 61):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        owner.commit([started("a"), started("b")])
    times = [json.loads(line)["at"] for line in path.read_bytes().splitlines()[3:]]
    assert times[:2] == [text] * 2
    assert times[2] == times[3] > text
    assert times[4] == times[5] == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + 61)) + text[19:]
    store.close()


def test_a_mark_comes_with_the_commit_that_finds_it_due(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is due behind as many entries, and says what is open once its own commit is done."""
    mark_every(monkeypatch, 5)
    store = JsonlStore(path)
    owner = store.own("r")
    for commit in (
        [started("a"), started("b")],
        [done("a")],
        [started("c", '{"crashes":1}'), Draft("failed", "b", '{"tries":{"errors":2}}'), started("d")],  # due
        [done("x")],
        [done("d"), started("e")],
        [done("y")],
        [done("z")],
        [Draft("failed", "e", '{"tries":{"errors":1}}'), done("c")],  # due
    ):
        owner.commit(commit)
    table = {name: {"errors": 0, "crashes": 0, "begun": 0} for name in "bcde"}
    table["b"]["errors"] = table["e"]["errors"] = table["c"]["crashes"] = table["c"]["begun"] = table["d"]["begun"] = 1
    table["b"]["errors"] = 2
    assert [(entry.seq, entry.value) for entry in store.entries() if entry.kind == "open"] == [
        (9, {name: table[name] for name in "bcd"}),
        (17, {name: table[name] for name in "be"}),
    ]
    store.close()


def test_a_mark_is_due_whoever_wrote_the_entries_before_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next owner counts on from the last mark, over its own entries and those of the others."""
    mark_every(monkeypatch, 4)
    for number in range(6):
        store = JsonlStore(path)
        store.own("r").commit([done(f"{number}a")])
        store.own("r").commit([done(f"{number}b"), started(f"{number}c")])
        store.close()
    store = JsonlStore(path)
    marks = [entry.seq for entry in store.entries() if entry.kind == "open"]
    assert marks == [7, 14, 20, 26, 32]
    store.close()


def test_what_was_asked_for_stays_current(path: Path) -> None:
    """Values, names and fates that were looked up once know of each later commit, whatever stands before them in it."""
    store = JsonlStore(path)
    owner = store.own("r")
    owner.commit([done("a", 1)])
    assert values_of(store, "r", ["a", "b", "c"]) == [1, None, None]
    owner.commit([done("b", 2), Draft("step", "s", "3"), dead("c"), Draft("cursor", "k", "4"), done("d", 5)])
    assert values_of(store, "r", ["d", "c", "b", "a"])[::2] == [5, 2]
    assert values_of(store, "r", ["c"])[0]["tries"] == {"errors": 3}
    assert [store.latest("r", "step", "s").value, store.latest("r", "cursor", "k").value] == [3, 4]  # type: ignore[union-attr]
    owner.commit([Draft("forgotten", "a"), Draft("retried", "c"), Draft("forgotten", "nowhere")])
    owner.commit([done("a", 6)])
    assert values_of(store, "r", ["a", "b", "c"]) == [6, 2, None]
    assert (list(store.keys("r", "done")), list(store.keys("r", "dead")), store.counts("r")) == (
        ["b", "d", "a"],
        [],
        (3, 0),
    )
    assert store.newest("other") is None
    store.own("other")
    newest = [store.newest(run) for run in ("r", "other")]
    assert [(one.seq, one.kind, one.key) for one in newest if one] == [(12, "done", "a"), (14, "owner", "")]
    store.close()


class Steps:
    """Stand in for the event that stops the thread that syncs: do one thing at each wait, then stop."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps = list(steps)
        self.pauses: list[float | None] = []

    def wait(self, pause: float | None = None) -> bool:
        self.pauses.append(pause)
        if not self.steps:
            return True
        self.steps.pop(0)()
        return False

    def set(self) -> None:
        self.steps = []


def test_with_process_what_was_written_is_synced_soon_and_nothing_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While something waits, the pause is short; while nothing does it is ten times as long, and nothing is synced."""
    synced: list[int] = []
    expected: list[int] = []

    def commit(key: str) -> None:
        owner.commit([done(key)])
        expected.append(path.stat().st_size)

    def sync(fd: int) -> None:
        synced.append(os.fstat(fd).st_size)
        if len(synced) == 2:
            commit("meanwhile")

    monkeypatch.setattr(Appender, "_start_syncing", lambda appender: None)
    monkeypatch.setattr(jsonl_owner, "sync_file", sync)
    store = JsonlStore(path, "process")
    owner = store.own("r")
    expected.append(path.stat().st_size)

    def nothing() -> None: ...

    steps = Steps(nothing, nothing, nothing, lambda: commit("a"), nothing, lambda: commit("b"), lambda: commit("c"))
    owner._appender._stop = steps  # type: ignore[assignment]
    owner._appender._sync_on()
    assert synced == expected
    assert steps.pauses == [PAUSE, 10 * PAUSE, 10 * PAUSE, 10 * PAUSE, PAUSE, 10 * PAUSE, 10 * PAUSE, 10 * PAUSE]
    told = [json.loads(line)["synced"] for line in path.read_bytes().splitlines()[3:]]
    assert told == [synced[0], synced[0], synced[2], synced[3]], "what stood on the disk when the line was made"
    store.close()
    assert synced == expected, "nothing is left to sync"


@pytest.mark.parametrize(
    ("durability", "written", "failed", "syncs"),
    [("power", True, False, 0), ("process", True, False, 1), ("process", False, False, 0), ("process", True, True, 0)],
)
def test_closing_syncs_what_is_left_and_only_that(
    path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any, written: bool, failed: bool, syncs: int
) -> None:
    """With power all is synced already, and behind an error nothing is; afterwards the owner says that it is closed."""
    monkeypatch.setattr(Appender, "_start_syncing", lambda appender: None)
    store = JsonlStore(path, durability)
    owner = store.own("r")
    appender = owner._appender
    if not written:
        appender._synced = appender.offset
    if failed:
        appender.fail("a sync", OSError(errno.EIO, "I/O error"))
    synced: list[int] = []
    monkeypatch.setattr(jsonl_owner, "sync_file", synced.append)
    store.close()
    assert len(synced) == syncs
    with pytest.raises(JournalError) as raised:
        owner.commit([done("a")])
    if failed:
        said = f"{path}: a sync failed (I/O error) and may or may not be durable; start again to find out"
        assert (type(raised.value), str(raised.value)) == (JournalInDoubt, said)
    else:
        assert (type(raised.value), str(raised.value)) == (JournalClosed, f"{path} was closed; open it again")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            OSError(errno.EIO, "I/O error"),
            JournalInDoubt,
            "%s: a commit failed (I/O error) and may or may not be durable; start again to find out",
        ),
        (OSError(errno.ENOSPC, "No space left"), JournalFull, f"%s: {FULL}"),
        (OSError(errno.EDQUOT, "Quota"), JournalFull, f"%s: {FULL}"),
        (None, JournalFull, f"%s: {FULL}"),  # a write that was cut short
    ],
)
def test_a_commit_that_failed_is_told_word_for_word_again_and_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None, kind: type[JournalError], said: str
) -> None:
    """The error is the same for each commit that follows, and nothing more is written."""
    store = JsonlStore(path)
    owner = store.own("r")
    calls = []

    def fail(fd: int, data: bytes) -> int:
        calls.append(data)
        if error is not None:
            raise error
        return len(data) - 1

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        for _ in range(2):
            with pytest.raises(JournalError) as raised:
                owner.commit([done("a")])
            assert (type(raised.value), str(raised.value)) == (kind, said % path)
    assert len(calls) == 1
    store.close()


def test_a_commit_that_ran_out_of_memory_is_told_word_for_word(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed and why stand in the error, as for an error of the disk."""
    store = JsonlStore(path)
    owner = store.own("r")

    def fail(drafts: object) -> None:
        raise MemoryError

    monkeypatch.setattr(owner, "_lines", fail)
    with pytest.raises(JournalInDoubt) as raised:
        owner.commit([done("a")])
    assert str(raised.value) == (
        f"{path}: a commit failed (out of memory) and may or may not be durable; start again to find out"
    )
    store.close()


@BOTH
@pytest.mark.parametrize("how", ["forked", "deleted", "longer", "shorter"])
def test_what_makes_the_next_commit_unsafe_is_told_word_for_word(
    path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any, how: str
) -> None:
    """A fork, a file that has no name any more, and a file of another length: nothing is written to it."""
    store = JsonlStore(path, durability)
    owner = store.own("r")
    fd = owner._appender.fd
    if how == "deleted":
        path.unlink()
    elif how != "forked":
        os.truncate(path, path.stat().st_size + (1 if how == "longer" else -1))
    size, pid, sound = os.fstat(fd).st_size, os.getpid(), owner._appender.offset
    kind, said = {
        "forked": (ForkedHandle, "was opened before a fork; open it again in this process"),
        "deleted": (JournalLost, "was deleted or replaced while it was open; put it back or start again"),
    }.get(how, (OwnershipLost, "was written by somebody else while it was open; nothing more is written to it"))
    with monkeypatch.context() as patch:
        if how == "forked":
            patch.setattr(os, "getpid", lambda: pid + 1)
        for _ in range(2):
            with pytest.raises(JournalError) as raised:
                owner.commit([done("a")])
            assert (type(raised.value), str(raised.value)) == (kind, f"{path} {said}")
            if how in ("longer", "shorter"):
                os.truncate(path, size := sound)  # what somebody else did and undid is not to be trusted either
        if how == "forked":
            owner._appender.close()  # a child's: it must not take anything from its parent
    assert os.fstat(fd).st_size == size
    if how == "forked":
        owner.commit([done("a")])
    store.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_with_process_a_lost_name_is_told_word_for_word_by_the_thread_that_syncs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sync looks at the path; the thread ends there, and the next commit says why."""
    monkeypatch.setattr(Appender, "_start_syncing", lambda appender: None)
    store = JsonlStore(path, "process")
    owner = store.own("r")
    path.rename(path.with_name("elsewhere"))
    steps = Steps(lambda: None, lambda: None)
    owner._appender._stop = steps  # type: ignore[assignment]
    owner._appender._sync_on()
    assert len(steps.steps) == 1
    with pytest.raises(JournalLost) as raised:
        owner.commit([done("a")])
    assert str(raised.value) == f"{path} was deleted or replaced while it was open; put it back or start again"
    store.close()


@BOTH
def test_only_with_process_a_thread_syncs(path: Path, durability: Any) -> None:
    """It has a name of its own, does not keep the process alive, and ends with the journal."""
    store = JsonlStore(path, durability)
    store.own("r")
    found = [thread for thread in threading.enumerate() if thread.name == "leftoff-sync"]
    assert [thread.daemon for thread in found] == ([True] if durability == "process" else [])
    store.close()
    assert not any(thread.is_alive() for thread in found)


def test_an_owner_appends_and_lets_nobody_inherit(path: Path) -> None:
    """Whatever else writes to the file, a commit goes to its end; a program that is started does not get the file."""
    store = JsonlStore(path)
    fd = store.own("r")._appender.fd
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
    assert not os.get_inheritable(fd)
    assert not os.get_inheritable(store._fd)
    store.close()
