"""A directory of segments: what each writer leaves, what is read of all, and who is kept out."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import (
    JournalBusy,
    JournalDamaged,
    JournalError,
    JournalLost,
    JournalTooNew,
    LocksUnavailable,
    NotAJournal,
)
from leftoff.journal import lock
from leftoff.journal.entry import Tries
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.shard import Shard
from leftoff.journal.sqlite import SqliteStore
from tests.contract.drafts import done, started
from tests.journal.segments_files import files, lock_nobody_out, write


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    lock_nobody_out(monkeypatch)


def test_a_writer_writes_its_own_file_and_changes_no_other(tmp_path: Path) -> None:
    """Each process that owns something begins a file; what others wrote stays as it is, byte for byte."""
    folder = tmp_path / "progress"
    first = write(folder, started("a"), done("a"))
    before = first.read_bytes()
    second = write(folder, started("b"), done("b"))
    assert first.read_bytes() == before
    assert first != second
    assert {first.name, second.name} == set(files(folder))
    store = SegmentsStore(folder)
    assert list(store.keys("r", "done")) == ["a", "b"]
    assert [(entry.seq, entry.kind, entry.key) for entry in store.entries("r") if entry.key] == [
        (3, "started", "a"), (4, "done", "a"), (6, "started", "b"), (7, "done", "b")
    ]  # fmt: skip
    store.close()


def test_each_file_is_a_journal_of_its_own(tmp_path: Path) -> None:
    """A segment can be read and checked like any JSON Lines journal."""
    path = write(tmp_path / "progress", started("a"), done("a", {"v": 1}))
    store = JsonlStore(path)
    assert list(store.keys("r", "done")) == ["a"]
    assert list(store.verify()) == []
    store.close()


def test_its_files_are_private(tmp_path: Path) -> None:
    """Directory and files are made for their user alone, whatever the umask."""
    before = os.umask(0)
    try:
        write(tmp_path / "progress", done("a"))
    finally:
        os.umask(before)
    assert (tmp_path / "progress").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "progress").iterdir()} == {0o600}


@pytest.mark.parametrize("left", ["nothing", "temporary", "empty segment", "zeros", "half a header"])
def test_a_creation_that_was_interrupted_is_completed(tmp_path: Path, left: str) -> None:
    """Whatever a death at the beginning leaves, the next writer goes on, and nobody calls it damage."""
    folder = tmp_path / "progress"
    folder.mkdir()
    if left == "temporary":
        (folder / ".journal.json.0123456789abcdef").write_text('{"leftoff":"seg')
    elif left != "nothing":
        whole = write(folder, done("z")).read_bytes()
        torn = {"empty segment": b"", "zeros": bytes(90), "half a header": whole[:60]}[left]
        (folder / "20260101T000000000Z-host-1-00000000.jsonl").write_bytes(torn)
    store = SegmentsStore(folder)
    store.own("r").commit([done("a")])
    assert "a" in store.keys("r", "done")
    assert list(store.verify()) == []
    store.close()


def test_what_a_death_left_torn_is_left_out_and_told(tmp_path: Path) -> None:
    """A segment cut at any byte costs the commit that was cut; nothing is written to it, and the next owner tells."""
    folder = tmp_path / "progress"
    path = write(folder, started("a"), done("a"), started("b"), done("b", "x" * 40))
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == 10]
    for cut in range(ends[0], len(whole)):
        path.write_bytes(whole[:cut])
        store = SegmentsStore(folder)
        expected = ["a"] if cut >= ends[4] else []
        assert list(store.keys("r", "done")) == expected, cut
        store.close()
    store = SegmentsStore(folder)
    owner = store.own("r")
    assert owner.open_items == {"b": Tries(0, 1)}
    (note,) = store.notes
    assert path.name in note
    assert "left out" in note
    assert path.read_bytes() == whole[:-1]
    store.close()


def test_damage_in_one_file_is_refused_by_its_name(tmp_path: Path) -> None:
    """A bit that flipped in the middle of one segment keeps the whole journal from being opened (failure mode 5)."""
    folder = tmp_path / "progress"
    path = write(folder, started("a"), done("a"), started("b"), done("b"))
    write(folder, done("c"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(JournalDamaged, match=path.name):
        SegmentsStore(folder)


def test_a_file_of_another_journal_is_refused(tmp_path: Path) -> None:
    """A segment that was brought in from elsewhere, sound in itself, does not count."""
    write(tmp_path / "here", done("a"))
    stranger = write(tmp_path / "there", done("b"))
    (tmp_path / "here" / stranger.name).write_bytes(stranger.read_bytes())
    with pytest.raises(JournalDamaged, match="another journal"):
        SegmentsStore(tmp_path / "here")


def test_what_is_no_journal_is_refused_untouched(tmp_path: Path) -> None:
    """A directory of somebody else's, or a file, is never written to."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "results.jsonl").write_text("{}\n")
    with pytest.raises(NotAJournal, match=r"results\.jsonl"):
        SegmentsStore(folder)
    (tmp_path / "file").write_text("text")
    with pytest.raises(NotAJournal, match="no directory"):
        SegmentsStore(tmp_path / "file")
    assert [path.name for path in folder.iterdir()] == ["results.jsonl"]


def test_a_lost_header_and_a_newer_one_are_refused(tmp_path: Path) -> None:
    """Without journal.json, with one that changed and with one of a later format nothing is opened."""
    folder = tmp_path / "progress"
    write(folder, done("a"))
    header = folder / "journal.json"
    whole = header.read_bytes()
    header.write_bytes(whole.replace(b'"format":1', b'"format":2'))
    with pytest.raises(JournalTooNew, match="upgrade"):
        SegmentsStore(folder)
    header.write_bytes(whole.replace(b'"id":"', b'"id":"0')[:-1])
    with pytest.raises(JournalDamaged, match=r"journal\.json"):
        SegmentsStore(folder)
    header.unlink()
    with pytest.raises(NotAJournal, match=r"journal\.json back"):
        SegmentsStore(folder)


@pytest.mark.parametrize(
    ("mine", "theirs", "refused"),
    [
        ((0, 1), (0, 1), True), ((0, 1), (3, 4), True), ((1, 2), (3, 4), True), ((0, 2), (0, 2), True),
        ((0, 2), (1, 2), False), ((0, 2), (3, 4), False), ((1, 3), (0, 2), True), ((2, 6), (1, 4), False),
    ],
)  # fmt: skip
def test_a_share_has_one_living_owner(tmp_path: Path, mine: Any, theirs: Any, refused: bool) -> None:
    """Who could meet a key of a living owner's is refused and told whose it is; who cannot is welcome (P7)."""
    folder = tmp_path / "progress"
    first, second = SegmentsStore(folder), SegmentsStore(folder)
    first.own("r", shard=Shard(*theirs)).commit([done("a")])
    if refused:
        before = files(folder)
        with pytest.raises(JournalBusy, match=rf"process {os.getpid()} on .* since 20"):
            second.own("r", shard=Shard(*mine))
        assert files(folder) == before
        first.close()
    second.own("r", shard=Shard(*mine)).commit([done("b")])
    assert {"a", "b"} == set(second.keys("r", "done"))
    second.close()
    first.close()


def test_shares_are_disjoint_and_whole() -> None:
    """Each key is in one share of each number of shares, and two shares overlap if and only if a key is in both."""
    keys = [f"key-{number}" for number in range(2000)]
    for total in (1, 2, 3, 7):
        shares = [{key for key in keys if Shard(number, total).has(key)} for number in range(total)]
        assert sum(map(len, shares)) == len(keys)
        assert len(set[str]().union(*shares)) == len(keys)
        assert min(map(len, shares)) > len(keys) / total * 0.8
    for one in [Shard(n, t) for t in (2, 3, 4) for n in range(t)]:
        for other in [Shard(n, t) for t in (2, 4, 6) for n in range(t)]:
            assert one.overlaps(other) == any(one.has(key) and other.has(key) for key in keys)


def test_shares_do_not_change_with_the_release() -> None:
    """Which share a key is in is part of the format."""
    homes = {key: next(n for n in range(4) if Shard(n, 4).has(key)) for key in ("a", "b", "c", "é")}
    assert homes == {"a": 3, "b": 1, "c": 3, "é": 3}


def test_writers_that_never_met_agree_on_the_runs_id(tmp_path: Path, no_locks: None) -> None:
    """Two that both begin a run give its items the same tokens."""
    folder = tmp_path / "progress"
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    one.own("other")  # makes the directory
    first, second = one.own("r"), two.own("r")
    first.commit([done("a")])
    second.commit([done("b")])
    ids = {json.loads(line)["value"]["id"] for data in files(folder).values() for line in data.splitlines()
           if b'"run":"r"' in line and b'"created"' in line}  # fmt: skip
    assert len(ids) == 1
    assert len([data for data in files(folder).values() if b'"run":"r"' in data]) == 2
    one.close()
    two.close()


def test_thousands_of_writers_need_no_open_files(tmp_path: Path) -> None:
    """More segments than the process may have files open can be read, merged and added to (failure mode 15)."""
    folder = tmp_path / "progress"
    for number in range(120):
        write(folder, done(f"k{number}"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 12, hard))
    try:
        store = SegmentsStore(folder)
        owner = store.own("r")
        owner.commit([done("last")])
        assert store.counts("r") == (121, 0)
        assert len(list(store.entries("r"))) == 2 * 121 + 1  # the run's header is told once
        store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """Nothing is acknowledged into a file that was deleted, and a reader says what is missing (failure mode 26)."""
    folder = tmp_path / "progress"
    other = write(folder, done("z"))
    store = SegmentsStore(folder)
    owner = store.own("r")
    owner.commit([done("a")])
    (own,) = set(files(folder)) - {other.name}
    (folder / own).unlink()
    with pytest.raises(JournalLost):
        owner.commit([done("b")])
    with pytest.raises(JournalError):
        owner.commit([done("c")])
    store.close()
    reader = SegmentsStore(folder)
    other.unlink()
    with pytest.raises(JournalLost, match=other.name):
        reader.counts("r")
    reader.close()


def test_a_reader_follows_all_writers(tmp_path: Path) -> None:
    """Entries get a number once, when they are first read, whichever file they come to."""
    folder = tmp_path / "progress"
    reader = SegmentsStore(folder)
    one, two = SegmentsStore(folder), SegmentsStore(folder)
    first, second = one.own("r", shard=Shard(0, 2)), two.own("r", shard=Shard(1, 2))
    seen: list[tuple[int, str]] = []
    for number in range(6):
        (first if number % 2 else second).commit([done(f"k{number}")])
        seen += [(entry.seq, entry.key) for entry in reader.entries("r", seen[-1][0] if seen else 0)]
    assert [key for _, key in seen if key] == [f"k{number}" for number in range(6)]
    assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen})
    assert [(entry.seq, entry.key) for entry in reader.entries("r")] == seen
    newest = reader.newest("r")
    assert newest is not None
    assert newest.key in ("k4", "k5")  # two of one millisecond have no order between writers
    for store in (one, two, reader):
        store.close()


@pytest.mark.parametrize(("make", "name"), [(JsonlStore, "a.jsonl"), (SqliteStore, "a.db")])
def test_a_lock_that_keeps_nobody_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, name: str
) -> None:
    """Where everybody gets the lock, or nobody can, a journal with one owner is refused (failure mode 21)."""
    with monkeypatch.context() as patch:
        patch.setattr(lock, "_lock", lambda fd, start, path: None)
        with pytest.raises(LocksUnavailable, match=r"two holders got one lock.*progress/"):
            make(tmp_path / name).own("r")

    def no_locks(fd: int, start: int, path: Path) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock, "_lock", no_locks)
    with pytest.raises(LocksUnavailable, match=r"No locks available.*progress/"):
        make(tmp_path / name).own("r")


def test_many_that_begin_at_once_make_one_journal(tmp_path: Path) -> None:
    """Eight processes that find no directory begin one journal together, each with its share, and all is done once."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, leftoff\n"
        "for item in leftoff.each(range(200), 'progress/', run='r', shard=(int(sys.argv[1]), 8), progress=False):\n"
        "    print(item)\n"
    )
    running = [
        subprocess.Popen([sys.executable, str(program), str(n)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for n in range(8)
    ]
    printed = [int(word) for process in running for word in process.communicate()[0].split()]
    assert [process.returncode for process in running] == [0] * 8
    assert sorted(printed) == list(range(200))
    store = SegmentsStore(tmp_path / "progress")
    assert store.counts("r") == (200, 0)
    assert store.doubles("r") == []
    assert len(files(tmp_path / "progress")) == 8
    store.close()
