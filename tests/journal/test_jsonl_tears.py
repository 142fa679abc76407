"""Where a tear in a JSON Lines journal ends and damage begins, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl import JsonlStore
from tests.journal.jsonl_files import no_syncs, small_journal


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_syncs(monkeypatch)
    return tmp_path / "run.jsonl"


def test_a_flipped_bit_in_a_commit_that_was_cut_short_too_is_damage(path):
    """A power failure takes the end of a commit, or sectors of it; it does not turn one letter into another."""
    ends = small_journal(path, "power")
    whole = path.read_bytes()
    begin = ends[-2]
    cut = whole.rindex(b"\n", begin, len(whole) - 1) + 1  # all of the last commit but its last line
    key = whole.index(b'"m1"', begin, cut)
    path.write_bytes(whole[:cut])
    JsonlStore(path).close()
    path.write_bytes(whole[: key + 1] + b"M" + whole[key + 2 : cut])
    with pytest.raises(JournalDamaged):
        JsonlStore(path)


def test_a_lost_sector_that_begins_at_a_lines_very_end_is_a_tear(path):
    """The line end is lost with the sector, and of what was written behind it any sector may be there."""
    store = JsonlStore(path, "process")
    owner = store.own("r")
    owner.commit([Draft("done", "k")])
    first = path.stat().st_size
    length = first - path.read_bytes().rindex(b"\n", 0, first - 1) - 1
    digits = len(str(first)) - len(str(first - length))  # its own offset is told on the line
    missing = -(first + length + digits - 1) % 512
    owner.commit([Draft("done", "k" * (1 + missing))])
    owner.commit([Draft("done", "long", json.dumps("x" * 4000))])
    store.close()
    whole = path.read_bytes()
    end = whole.index(b"\n", first)
    assert end % 512 == 0
    path.write_bytes(whole[:end] + bytes(1024) + whole[end + 1024 : end + 2048] + bytes(100))
    store = JsonlStore(path)
    assert list(store.keys("r", "done")) == ["k"]
    assert store.torn() == end + 2148 - first
    store.close()
    path.write_bytes(whole[:end] + b"\t" + whole[end + 1 : end + 2048])
    with pytest.raises(JournalDamaged):
        JsonlStore(path)
