"""How a directory of segments is begun, and what its header, its files and its claims are called and hold."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import pytest

from leftoff.errors import JournalBusy, JournalClosed, JournalDamaged, JournalTooNew, LocksUnavailable, NotAJournal
from leftoff.journal import segments, segments_header
from leftoff.journal.lock import Hold
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.segments_header import make_header, new_name, read_header
from leftoff.journal.shard import Shard
from tests.contract.drafts import dead, done, started
from tests.journal.segments_files import files, lock_nobody_out, write

MARCH = 1772323198.25  # 2026-02-28T23:59:58.250Z


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "progress"


def said(kind: type[BaseException], call: Any, *arguments: Any, **options: Any) -> str:
    """Return the whole message of the error that a call must end with."""
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    assert type(caught.value) is kind
    return str(caught.value)


# -- names and header ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "shown"),
    [("node-7.Lab", "node-7.Lab"), ("a_b c/dé", "a-b-c-d-"), ("x" * 61, "x" * 60), ("Az09.-", "Az09.-")],
)
def test_a_segments_name_tells_when_where_and_by_whom(monkeypatch: pytest.MonkeyPatch, host: str, shown: str) -> None:
    """Time in UTC, host and process, and what makes it the only one; no character that a file system may refuse."""
    monkeypatch.setattr(segments_header, "time", SimpleNamespace(time=lambda: MARCH))
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    names = {new_name() for _ in range(10)}
    assert len(names) == 10
    for name in names:
        assert re.fullmatch(rf"20260228T235958250Z-{re.escape(shown)}-{os.getpid()}-[0-9a-f]{{8}}\.jsonl", name)


def test_a_header_says_what_it_is_and_is_believed_whole_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with format, id and time; a byte of it that changed is damage, and a later format is refused."""
    monkeypatch.setattr(segments_header, "time", SimpleNamespace(time=lambda: MARCH))
    make_header(tmp_path)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    assert path.name == "journal.json"
    assert path.stat().st_mode & 0o777 == 0o600
    found = re.fullmatch(
        rb'\{"leftoff":"segments","format":1,"id":"([0-9a-f]{16})","created":"2026-02-28T23:59:58.250Z",'
        rb'"sum":"([0-9a-f]{8})"\}\n',
        data,
    )
    assert found is not None
    assert read_header(path)[0] == found[1].decode()
    assert int(found[2], 16) == crc32(data[: data.index(b'"sum":"') + 7])
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        if data[at : at + 1] != b"1" or at != data.index(b'"format":') + 9:
            assert (
                said(JournalDamaged, read_header, path) == f"{path} is not what was written; restore a copy of the file"
            )
    for cut in (0, len(data) - 1):
        path.write_bytes(data[:cut])
        assert said(JournalDamaged, read_header, path) == f"{path} is not what was written; restore a copy of the file"
    path.write_bytes(data.replace(b'"format":1', b'"format":12'))
    assert said(JournalTooNew, read_header, path) == (
        f"{path} was written in format 12; this release reads up to 1: upgrade leftoff. The directory is untouched"
    )
    path.write_bytes(data)
    with pytest.raises(FileExistsError):
        make_header(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["journal.json"]
    assert path.read_bytes() == data


def test_every_file_is_made_and_never_taken_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Header and segment are created exclusively, so that nobody's file is written over where names should collide."""
    made: list[tuple[str, int]] = []
    given = os.open

    def watch(name: Any, flags: int, *mode: int, **options: Any) -> int:
        if flags & os.O_CREAT:
            made.append((Path(name).name, flags))
        return given(name, flags, *mode, **options)

    monkeypatch.setattr(os, "open", watch)
    path = write(folder, done("a"))
    exclusive = [name for name, flags in made if flags & os.O_EXCL]
    assert [re.sub("[0-9a-f]{16}", "", name) for name in exclusive] == [".journal.json.", path.name]
    assert len(exclusive[0]) == len(".journal.json.") + 16


# -- what is a journal, and what is not ------------------------------------------------------------------------------


def test_what_is_no_journal_says_why(folder: Path) -> None:
    """What was found in the header's place is named, and what to do about it."""
    rest = "name a new or empty directory, or put journal.json back"
    folder.mkdir()
    (folder / "b.txt").touch()
    (folder / "a.txt").touch()
    assert said(NotAJournal, SegmentsStore, folder) == (
        f"{folder}/ is no journal: it holds 'a.txt', but no journal.json; {rest}"
    )
    (folder / "b.txt").unlink()
    assert said(NotAJournal, SegmentsStore, folder / "a.txt") == (
        f"{folder}/a.txt/ is no directory; name a journal's file without the slash"
    )
    (folder / "a.txt").unlink()
    (folder / ".hidden").touch()
    store = SegmentsStore(folder)
    assert (store.runs(), store.exists(), store.size(), store.torn()) == ([], False, 0, 0)
    store.own("r")
    assert store.exists()
    assert store.size() == sum(file.stat().st_size for file in folder.iterdir()) > 0
    for file in folder.iterdir():
        file.unlink()
    assert said(NotAJournal, store.runs) == f"{folder}/ is no journal: its journal.json is gone; {rest}"
    store.close()
    assert said(JournalClosed, store.runs) == f"{folder}/ was closed; open it again"
    assert said(JournalClosed, store.own, "r") == f"{folder}/ was closed; open it again"


@pytest.mark.parametrize("name", [".20260101T000000000Z-host-1-00000000.jsonl", "notes.txt", "a.jsonl.bak", "a.JSONL"])
def test_what_is_no_segment_by_its_name_is_not_read(folder: Path, name: str) -> None:
    """Hidden files and files of another kind in the directory are somebody's own."""
    write(folder, done("a"))
    (folder / name).write_text("no journal\n")
    store = SegmentsStore(folder)
    assert store.counts("r") == (1, 0)
    assert list(store.verify()) == []
    store.close()


def test_a_file_of_another_journal_is_named(folder: Path) -> None:
    """The run whose id differs is told, and what to do with the file that came later."""
    write(folder, done("a"))
    stranger = write(folder.with_name("there"), done("b"))
    path = folder / stranger.name
    path.write_bytes(stranger.read_bytes())
    assert said(JournalDamaged, SegmentsStore, folder) == (
        f"{path} belongs to another journal: its run 'r' has another id than here; move it away"
    )


# -- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("durability", "shard", "more"),
    [
        pytest.param("power", Shard(0, 1), {}, id="synced"),
        pytest.param("process", Shard(1, 2), {"shard": [1, 2]}, id="unsynced"),
    ],
)
def test_a_claim_says_whose_the_keys_are(folder: Path, durability: Any, shard: Shard, more: dict[str, Any]) -> None:
    """The first commit holds the run's header, with an id that follows from the journal's, and who claims what."""
    store = SegmentsStore(folder, durability)
    assert store.own("r", "program.py", shard).epoch == 1
    created, owner = store.entries("r")
    journal_id = read_header(folder / "journal.json")[0]
    assert (created.kind, created.key, created.value) == (
        "created", "", {"id": f"{journal_id}{crc32(b'r'):08x}", "program": "program.py", "parent": None}
    )  # fmt: skip
    value = {
        "host": socket.gethostname(), "pid": os.getpid(), "start": "2026-07-02T12:03:04Z", "durability": durability,
        **more,
    }  # fmt: skip
    assert (owner.kind, owner.key, owner.value) == ("owner", "", value)
    (data,) = files(folder).values()
    assert b',"owner":"","value":%s,"sum":' % json.dumps(value, separators=(",", ":")).encode() in data
    assert store.holder("r") == {name: value[name] for name in ("host", "pid", "start")}
    store.close()


def test_a_run_has_one_header_and_one_id_whoever_goes_on(folder: Path) -> None:
    """Each new file tells of the run once, with its first id, however often it is claimed from there."""
    store = SegmentsStore(folder)
    assert [store.own(run, "one.py").epoch for run in ("r", "r", "s")] == [1, 2, 1]
    store.close()
    again = SegmentsStore(folder)
    assert [again.own(run, "two.py").epoch for run in ("s", "r", "r")] == [2, 3, 4]
    again.close()
    lines = [json.loads(line) for data in files(folder).values() for line in data.splitlines()[1:]]
    headers = [(line["run"], line["value"]["program"]) for line in lines if "created" in line]
    assert sorted(headers) == [("r", "one.py"), ("r", "two.py"), ("s", "one.py"), ("s", "two.py")]
    ids = {(line["run"], line["value"]["id"]) for line in lines if "created" in line}
    assert len(ids) == 2
    reader = SegmentsStore(folder)
    assert reader.runs() == ["r", "s"]
    assert [entry.kind for entry in reader.entries("r")] == ["created", *["owner"] * 4]
    reader.close()


def test_the_living_owner_of_a_share_is_named_whatever_else_is_there(folder: Path) -> None:
    """Files of this process, of others' runs and of the dead before it in the directory hide nobody."""
    write(folder, done("old"))
    one, two, three = SegmentsStore(folder), SegmentsStore(folder), SegmentsStore(folder)
    one.own("other")
    three.own("third")
    owner = two.own("r", shard=Shard(1, 2))
    living = two.living("r")
    assert len(living) == 1
    who = living[0].who("r")
    assert said(JournalBusy, one.own, "r") == (
        f"the run 'r' of {folder}/ (shard 1 of 2) is owned by process {os.getpid()} on {socket.gethostname()} since"
        f" {who['start']}; wait for it to end or stop it, or share the keys: shard=(0, 2) here, shard=(1, 2) there"
    )
    assert one.own("r", shard=Shard(0, 2)).epoch == owner.epoch + 1
    assert [segment.owners["r"].epoch for segment in one.living("r")] == [owner.epoch, owner.epoch + 1]
    assert one.holder("absent") is None
    for store in (one, two, three):
        store.close()
    reader = SegmentsStore(folder)
    assert (reader.living("r"), reader.holder("r")) == ([], None)
    reader.close()


def test_a_claim_waits_for_the_one_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again and again for ten seconds, and goes on as soon as the other claim is made."""
    write(folder, done("a"))
    now = 0.0
    others = [Hold(folder / "journal.json", 0, "it")]

    def sleep(seconds: float) -> None:
        nonlocal now
        assert 0 < seconds < 0.1
        now += seconds
        if now > 9.9 and others:
            others.pop().release()

    monkeypatch.setattr(segments, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    store = SegmentsStore(folder)
    store.own("r").commit([started("b"), dead("b")])
    assert others == []
    store.close()


def test_a_file_system_without_locks_is_told_once_a_claim(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot be kept out is told to take a share, where a lock cannot be had or keeps nobody out."""
    lock_nobody_out(monkeypatch)
    with pytest.raises(LocksUnavailable):
        Hold(folder.parent / "a", 0, "it")
    store = SegmentsStore(folder)
    store.own("r").commit([done("a")])
    (note,) = store.notes
    assert note == (
        f"{folder}/: this file system has no working locks, so a second writer of the same keys cannot be kept out;"
        " give each a shard of its own. What two writers both did is told"
    )
    store.close()
