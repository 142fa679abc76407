"""A directory of segments appears whole under a new name, and nothing of somebody else's goes for it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from leftoff.errors import UsageError
from leftoff.journal.copying import built_aside
from leftoff.journal.entry import Entry
from leftoff.journal.segments_copying import appearing_directory, ascending
from leftoff.journal.segments_header import read_header

NOON = datetime(2026, 7, 2, 12, tzinfo=timezone.utc)


def entry(seq: int, seconds: int) -> Entry:
    return Entry(seq, "r", "done", f"k{seq}", {"n": seq}, NOON + timedelta(seconds=seconds), 1)


def test_times_never_go_back() -> None:
    """An entry that a clock put before an earlier one gets that one's time; nothing else of it changes."""
    told = [entry(1, 5), entry(2, 3), entry(3, 5), entry(4, 9), entry(5, 8)]
    assert list(ascending(iter(told))) == [entry(1, 5), entry(2, 5), entry(3, 5), entry(4, 9), entry(5, 9)]
    assert list(ascending([])) == []


def test_a_copy_appears_when_it_is_whole(tmp_path: Path) -> None:
    """While it is written there is nothing under its name; then the directory is there, private, with its one file."""
    path = tmp_path / "copy"
    with appearing_directory(path) as segment:
        segment.write_text("{}\n")
        assert not path.exists()
    assert {file.name for file in path.iterdir()} == {"journal.json", segment.name}
    assert path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o600}
    assert len(read_header(path / "journal.json")[0]) == 16
    assert segment.name.endswith(".jsonl")
    with pytest.raises(UsageError) as caught, appearing_directory(path):
        pass
    assert str(caught.value) == (f"{path} exists; a copy is made under a new name only: name another, or move it away")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Return the name under which a copy is built."""
    with built_aside(tmp_path / "copy", lambda path: None, lambda path: None) as temporary:
        return temporary


def test_what_a_dead_copy_left_is_removed(tmp_path: Path, temporary: Path) -> None:
    """Segments, a header and a header's temporary file are a copy's own."""
    temporary.mkdir()
    for name in ("journal.json", ".journal.json.0123456789abcdef", "a.jsonl", "b.jsonl"):
        (temporary / name).touch()
    with appearing_directory(tmp_path / "copy"):
        pass
    assert len(list((tmp_path / "copy").iterdir())) == 2
    assert not temporary.exists()


def test_what_no_copy_left_stays(tmp_path: Path, temporary: Path) -> None:
    """A directory that holds anything else is named, with the first such file, and all in it is kept."""
    temporary.mkdir()
    names = {"journal.json", "a.jsonl", "c.txt", "b.txt"}
    for name in names:
        (temporary / name).touch()
    with pytest.raises(UsageError) as caught, appearing_directory(tmp_path / "copy"):
        pass
    assert str(caught.value) == f"{temporary} holds 'b.txt', which no copy left there; move it away"
    assert {file.name for file in temporary.iterdir()} == names
