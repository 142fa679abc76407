"""JSON Lines journals: the lines themselves, and what happens when a write or a sync fails."""

from __future__ import annotations

import errno
import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

import leftoff
from leftoff.errors import JournalError, JournalFull, JournalInDoubt, OwnershipLost
from leftoff.journal import jsonl_owner
from leftoff.journal.entry import MARK_EVERY, Draft
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import BLOCK, HEADER_LENGTH, check, read_header
from leftoff.journal.store import values_of
from tests.journal.jsonl_files import small_journal

BOTH = pytest.mark.parametrize("durability", ["power", "process"])
FORMAT_PAGE = Path(__file__).parents[2] / "docs" / "format.md"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


@BOTH
def test_the_lines_are_those_of_the_format_page(path, durability):
    """Field order, offsets, seqs, `more` and sums are as docs/format.md has them, on every line of a journal."""
    ends = small_journal(path, durability)
    data = path.read_bytes()
    header, *entries = data.splitlines(keepends=True)
    assert list(json.loads(header)) == ["leftoff", "format", "id", "created", "sum"]
    offset, seq, commit, more = len(header), 0, len(header), False
    lead = (
        ["seq", "commit", "at", "run", "epoch"]
        if durability == "power"
        else ["seq", "commit", "synced", "at", "run", "epoch"]
    )
    for raw in entries:
        fields = json.loads(raw)
        names = list(fields)
        assert names[: len(lead)] == lead
        rest = names[len(lead) :]
        shapes = ([k, *v, *m, "sum"] for k in rest[:1] for v in ([], ["value"]) for m in ([], ["more"]))
        assert rest in shapes or (
            rest[0] == "done" and [n for n in rest if n not in ("value", "more")] == ["done", "started", "sum"]
        )
        commit = commit if more else offset
        more = fields.get("more") == 1
        assert (fields["seq"], fields["commit"]) == (seq + 1, commit)
        assert fields.get("synced", 0) <= commit
        assert fields["sum"] == f"{crc32(data[: offset + len(raw) - 11]):08x}"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields["at"])
        seq += 2 if "done" in rest and "started" in rest else 1
        offset += len(raw)
        assert more or offset in [HEADER_LENGTH, *ends, ends[0]]
    assert not more
    assert '"é\\n"' in data.decode(), "characters outside ASCII stand as themselves"


def test_the_format_page_shows_lines_as_they_are():
    """The example lines of docs/format.md have the very fields, in the very order, that are written."""
    blocks = re.findall(r"```json\n(.*?)```", FORMAT_PAGE.read_text("utf-8"), re.DOTALL)
    header, example = blocks[:2]  # the third is the header of a directory of segments
    assert len(header) == HEADER_LENGTH
    first, second = example.splitlines()
    assert list(json.loads(first)) == ["seq", "commit", "at", "run", "epoch", "started", "sum"]
    assert list(json.loads(second)) == ["seq", "commit", "at", "run", "epoch", "done", "value", "started", "sum"]
    for text in (header.rstrip(), first, second):
        assert json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False) == text


@BOTH
def test_a_commit_is_one_write_and_with_power_a_sync_before_it_returns(path, durability, monkeypatch):
    """However many entries a commit has, it is one call of write; power syncs behind it, process in its own time."""
    calls: list[str] = []
    write, sync = os.write, jsonl_owner.sync_file
    store = JsonlStore(path, durability)
    owner = store.own("r")
    monkeypatch.setattr(os, "write", lambda fd, data: (calls.append("write"), write(fd, data))[1])
    monkeypatch.setattr(jsonl_owner, "sync_file", lambda fd: (calls.append("sync"), sync(fd))[1])
    for number in range(3):
        owner.commit([Draft("started", f"{number}.{n}") for n in range(20)])
        assert calls.count("write") == number + 1
        if durability == "power":
            assert calls == ["write", "sync"] * (number + 1)
    store.close()
    assert calls[-1] == "sync", "closing leaves nothing unsynced"


@BOTH
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_write_that_failed_is_in_doubt_and_is_not_tried_again(path, durability, error, monkeypatch):
    """The commit raises, the handle refuses all that follows, and the next owner finds what was acknowledged."""
    store = JsonlStore(path, durability)
    owner = store.own("r")
    owner.commit([Draft("done", "a")])

    def fail(fd: int, data: bytes) -> int:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(JournalFull if error == errno.ENOSPC else JournalInDoubt, match="start again"):
            owner.commit([Draft("done", "b")])
    with pytest.raises(JournalError, match="start again"):
        owner.commit([Draft("done", "c")])
    store.close()
    again = JsonlStore(path, durability)
    assert list(again.keys("r", "done")) == ["a"]
    again.own("r").commit([Draft("done", "b")])
    again.close()


@BOTH
def test_a_write_cut_short_is_cut_off_by_the_next_owner(path, durability, monkeypatch):
    """A disk that takes half a line gives JournalFull; the half is kept aside and nothing acknowledged is lost."""
    store = JsonlStore(path, durability)
    owner = store.own("r")
    owner.commit([Draft("done", "a")])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:50]))
        with pytest.raises(JournalFull):
            owner.commit([Draft("done", "b")])
    store.close()
    again = JsonlStore(path, durability)
    again.own("r").commit([Draft("done", "b")])
    assert list(again.keys("r", "done")) == ["a", "b"]
    assert len((path.parent / "run.jsonl.torn-1").read_bytes()) == 50
    again.close()


def test_a_sync_that_failed_poisons_the_handle(path, monkeypatch):
    """With power nothing is acknowledged behind a failed sync, which is not retried; reopening tells what is there."""
    store = JsonlStore(path, "power")
    owner = store.own("r")
    calls = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(jsonl_owner, "sync_file", fail)
        for _ in range(3):
            with pytest.raises(JournalInDoubt, match="may or may not be durable"):
                owner.commit([Draft("done", "a")])
        store.close()
    assert len(calls) == 1, "a failed sync is never tried again"
    again = JsonlStore(path, "power")
    assert list(again.keys("r", "done")) == ["a"], "in doubt: here it was durable, and the key is found"
    again.close()


def test_with_process_a_failed_sync_stops_the_next_commit(path, monkeypatch):
    """The thread that syncs says so at the next commit at the latest, and is not asked twice."""
    calls = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(jsonl_owner, "sync_file", fail)
    store = JsonlStore(path, "process")
    owner = store.own("r")
    owner._appender._syncer.join(timeout=30)  # type: ignore[union-attr]
    with pytest.raises(JournalInDoubt, match="a sync failed"):
        owner.commit([Draft("done", "a")])
    store.close()
    assert len(calls) == 1


@BOTH
def test_a_file_that_somebody_else_wrote_to_is_left_alone(path, durability):
    """A byte more or less than we left there, and nothing more is written."""
    for more in (-1, 2):
        path.unlink(missing_ok=True)
        store = JsonlStore(path, durability)
        owner = store.own("r")
        owner.commit([Draft("done", "a")])
        os.truncate(path, path.stat().st_size + more)
        data = path.read_bytes()
        with pytest.raises(OwnershipLost, match="written by somebody else"):
            owner.commit([Draft("done", "b")])
        assert path.read_bytes() == data
        store.close()


def test_reading_begins_at_an_open_entry_of_the_last_few_thousand(path):
    """Every 4,096 entries an `open` entry lists what has no conclusion, so that old starts are not read again."""
    store = JsonlStore(path, "process")
    owner = store.own("r")
    owner.commit([Draft("started", "early"), Draft("failed", "retry me", '{"tries":{"errors":1}}')])
    for number in range(MARK_EVERY):
        owner.commit([Draft("started", f"k{number}"), Draft("done", f"k{number}")])
    store.close()
    marks = [fields for fields in lines(path) if "open" in fields]
    assert len(marks) == 2
    assert set(marks[-1]["value"]) == {"early", "retry me"}
    seqs = [0, *(fields["seq"] for fields in marks)]
    assert all(b - a <= MARK_EVERY + 3 for a, b in pairwise(seqs))
    again = JsonlStore(path, "process")
    items = again.own("r").open_items
    assert {key: (t.errors, t.crashes) for key, t in items.items()} == {"early": (0, 1), "retry me": (1, 0)}
    again.close()


def test_lines_longer_than_a_block_are_read(path, monkeypatch):
    """A journal is read in blocks; a line, or a commit, of several of them is whole all the same."""
    for module in ("jsonl_scan", "jsonl_index", "jsonl"):
        monkeypatch.setattr(f"leftoff.journal.{module}.BLOCK", 1000)
    store = JsonlStore(path, "process")
    owner = store.own("r")
    values = ["ü" * n for n in (10, 900, 2600, 5, 1500)]
    for number, value in enumerate(values):
        owner.commit(
            [Draft("started", f"k{number}"), Draft("done", f"k{number}", json.dumps(value, ensure_ascii=False))]
        )
    store.close()
    again = JsonlStore(path, "process")
    keys = [f"k{number}" for number in range(5)]
    assert values_of(again, "r", keys) == values
    assert list(again.keys("r", "done")) == keys
    assert [e.value for e in again.entries("r") if e.kind == "done"] == values
    assert list(again.verify()) == []
    again.close()


def test_a_reader_follows_a_writer(path):
    """A handle that only reads sees each commit of another handle, and a compacted or replaced file as what it is."""
    reader = JsonlStore(path)
    writer = JsonlStore(path)
    owner = writer.own("r")
    for number in range(3):
        owner.commit([Draft("done", f"k{number}")])
        assert list(reader.keys("r", "done")) == [f"k{n}" for n in range(number + 1)]
    writer.close()
    path.unlink()
    assert list(reader.keys("r", "done")) == []
    other = JsonlStore(path)
    other.own("r").commit([Draft("done", "new")])
    assert list(reader.keys("r", "done")) == ["new"]
    other.close()
    reader.close()


def test_keeping_aside_never_overwrites(path):
    """A second torn tail gets a second file."""
    for number in (1, 2, 3):
        store = JsonlStore(path)
        store.own("r")
        store.close()
        with path.open("ab") as file:
            file.write(b"torn %d" % number)
        store = JsonlStore(path)
        store.own("r")
        store.close()
        assert (path.parent / f"run.jsonl.torn-{number}").read_bytes() == b"torn %d" % number


@pytest.mark.parametrize("behind", range(1, 6))
def test_lines_appended_while_a_journal_is_read_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    """What another process appends between two reads does not make a torn tail of an unfinished write into damage."""
    path = tmp_path / "a.jsonl"
    with leftoff.open(path) as journal:
        list(journal.run("loop").each("abcdefgh", progress=False))
    data = path.read_bytes()
    cut = data.index(b'"done":"d"')
    path.write_bytes(data[:cut])
    fd = os.open(path, os.O_RDONLY)
    start = read_header(os.pread(fd, BLOCK, 0), "a.jsonl")
    read, calls = os.pread, []

    def appended_behind(fd: int, length: int, offset: int) -> bytes:
        found = read(fd, length, offset)
        calls.append(offset)
        if len(calls) == behind:
            with path.open("ab") as file:
                file.write(data[cut:])
        return found

    monkeypatch.setattr(os, "pread", appended_behind)
    assert start is not None
    position, tail = check(fd, start, "a.jsonl")
    os.close(fd)
    assert len(calls) >= behind
    assert data[: position.offset] + tail == data[:cut]
