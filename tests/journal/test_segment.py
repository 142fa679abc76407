"""What is known of one writer's file: from look to look, in whatever pieces it is read."""

from __future__ import annotations

import os
import re
import socket
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalDamaged, JournalLost
from leftoff.journal import segment
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.segment import Segment
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.shard import Shard
from tests.contract.drafts import dead, done, started
from tests.journal.segments_files import files, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "progress"


def of_three(folder: Path) -> Path:
    """Let one writer own three runs, one of them twice; return its file."""
    store = SegmentsStore(folder)
    store.own("a").commit([started("k"), done("k", 1)])
    store.own("b", shard=Shard(1, 3)).commit([dead("k"), started(',"created":"",')])
    store.own("c").commit([done("k", '"owner":"",')])
    store.own("a").commit([done("l")])
    store.close()
    (name,) = files(folder)
    return folder / name


def looked_at(path: Path) -> Segment:
    found = Segment(path)
    assert found.look()
    return found


def test_a_file_is_known_by_what_its_writer_claimed(folder: Path) -> None:
    """Each run's header and newest claim are found among its items, with who wrote them and whose keys they are."""
    path = of_three(folder)
    found = looked_at(path)
    assert {run: (entry.seq, entry.kind) for run, entry in found.created.items()} == {
        "a": (1, "created"), "b": (5, "created"), "c": (9, "created")
    }  # fmt: skip
    assert {run: (entry.seq, entry.kind, entry.epoch) for run, entry in found.owners.items()} == {
        "a": (12, "owner", 2), "b": (6, "owner", 1), "c": (10, "owner", 1)
    }  # fmt: skip
    assert [found.shard(run) for run in "abc"] == [Shard(0, 1), Shard(1, 3), Shard(0, 1)]
    who = found.who("a")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", who.pop("start"))
    assert who == {"host": socket.gethostname(), "pid": os.getpid()}
    assert not found.is_live()
    (journal_id,) = re.findall(rb'"id":"([0-9a-f]{16})"', path.read_bytes()[:HEADER_LENGTH])
    assert found.id == journal_id.decode()
    entries = list(found.entries(HEADER_LENGTH, path.stat().st_size))
    assert found.first == (entries[0].at.timestamp(), 1, path.name)
    assert found.newest == entries[-1].at.timestamp()
    assert entries[0].at.tzinfo is timezone.utc


def test_a_look_takes_in_what_is_new(folder: Path) -> None:
    """Whether something came is told; what was known of the file's beginning stays, and its end moves on."""
    path = of_three(folder)
    whole = path.read_bytes()
    ends = [match.end() for match in re.finditer(rb"\n", whole)]
    path.write_bytes(whole[: ends[4]])
    found = looked_at(path)
    first, newest = found.first, found.newest
    assert (list(found.created), found.torn, found.end and found.end.offset) == (["a"], 0, ends[4])
    assert not found.look()
    path.write_bytes(whole[: ends[4] + 7])
    assert found.look()
    assert (list(found.created), found.torn, found.end and found.end.offset) == (["a"], 7, ends[4])
    path.write_bytes(whole[: ends[4]])
    assert found.look(), "a torn tail may go: nothing was ever read of it"
    assert (found.torn, found.end and found.end.offset) == (0, ends[4])
    path.write_bytes(whole)
    assert found.look()
    assert (found.first, list(found.created), found.torn) == (first, ["a", "b", "c"], 0)
    assert found.newest >= newest
    assert found.end == looked_at(path).end
    assert found.owners == looked_at(path).owners
    path.write_bytes(whole[: ends[4]])
    with pytest.raises(JournalDamaged) as caught:
        found.look()
    assert str(caught.value) == f"{path} is shorter than it was; restore a copy of the file"
    path.unlink()
    with pytest.raises(JournalLost) as lost:
        found.look()
    assert str(lost.value) == f"{path} was deleted or moved away; put it back"


@pytest.mark.parametrize("length", [0, 1, HEADER_LENGTH - 1])
def test_a_file_whose_creation_is_not_complete_says_nothing(folder: Path, length: int) -> None:
    """It has no id and no end, comes behind all others, and is read as soon as its header is whole."""
    path = of_three(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    found = looked_at(path)
    assert (found.id, found.end, found.torn, found.newest) == ("", None, 0, 0.0)
    assert found.first == (float("inf"), 0, path.name)
    assert not found.look()
    assert (found.index("a").fates, found.created, found.owners) == ({}, {}, {})
    path.write_bytes(whole[:HEADER_LENGTH])
    assert found.look()
    assert (found.end and found.end.offset, found.newest) == (HEADER_LENGTH, 0.0)
    path.write_bytes(whole)
    assert found.look()
    assert list(found.created) == ["a", "b", "c"]
    assert found.first[1:] == (1, path.name)


@pytest.mark.parametrize("size", [HEADER_LENGTH, 150, 997, 1 << 18])
def test_a_file_is_the_same_in_whatever_pieces_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Lines longer than a piece, and pieces that end in a line, change nothing; only what was asked for is told."""
    path = of_three(folder)
    whole = path.read_bytes()
    expected = looked_at(path)
    told = list(expected.entries(HEADER_LENGTH, len(whole)))
    assert [entry.seq for entry in told] == list(range(1, 14))
    monkeypatch.setattr(segment, "BLOCK", size)
    monkeypatch.setattr(segment, "_PIECE", size)
    found = looked_at(path)
    for name in ("id", "end", "torn", "first", "newest", "created", "owners"):
        assert getattr(found, name) == getattr(expected, name)
    assert list(found.entries(HEADER_LENGTH, len(whole))) == told
    ends = [match.end() for match in re.finditer(rb"\n", whole)]
    some = list(found.entries(ends[3], ends[6]))
    assert some == list(expected.entries(ends[3], ends[6]))
    assert [entry.seq for entry in some] == [entry.seq for entry in told if some[0].seq <= entry.seq <= some[-1].seq]
    assert whole[ends[3] :].startswith(b'{"seq":%d,' % some[0].seq)
    assert whole[ends[6] :].startswith(b'{"seq":%d,' % (some[-1].seq + 1))


def test_an_index_knows_one_run_of_its_file(folder: Path) -> None:
    """Fates and items are those of the run that was asked for; of a run that the file does not tell of, nothing is."""
    found = looked_at(of_three(folder))
    assert (found.index("a").fates, found.index("c").fates) == ({"k": 1, "l": 2}, {"k": 1})
    assert (found.index("b").fates, set(found.index("b").open_items)) == ({"k": -1}, {',"created":"",'})
    assert found.index("absent").fates == {}


def test_what_takes_something_back_of_others_says_of_whom(folder: Path) -> None:
    """A `forgotten` names each segment whose word it takes back, and up to which entry; it is told without that."""
    first = looked_at(write(folder, done("a"), done("b")))
    assert first.end is not None
    path = write(folder, Draft("forgotten", "a"), Draft("retried", "b"), Draft("forgotten", "c"), done("d", {"of": 1}))
    found = looked_at(path)
    assert found.index("r").voids == [("a", {first.id: first.end.seq}), ("b", {first.id: first.end.seq})]
    assert b'"value":{"of":{"%s":%d}}' % (first.id.encode(), first.end.seq) in path.read_bytes()
    told: dict[str, Any] = {
        entry.key: (entry.kind, entry.value) for entry in found.entries(HEADER_LENGTH, path.stat().st_size) if entry.key
    }
    assert told == {
        "a": ("forgotten", None), "b": ("retried", None), "c": ("forgotten", None), "d": ("done", {"of": 1})
    }  # fmt: skip
