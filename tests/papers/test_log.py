"""The progress log of papers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.errors import JournalDamaged
from leftoff.papers import doi, log, tables
from leftoff.papers.log import ProgressLog

DAY = "2026-01-02T03:04:05Z"


@pytest.fixture
def five() -> Iterator[sqlite3.Connection]:
    """A database with five events."""
    connection = sqlite3.connect(":memory:")
    tables.create(connection)
    for pmid in range(1, 6):
        log.note(connection, [log.Event(DAY, "pubmed", pmid, "10.1000/é" if pmid == 2 else None, "stored")])
    connection.commit()
    yield connection
    connection.close()


def lines(path: Path) -> list[dict[str, object]]:
    """Return the lines of a log; each must be whole."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_line_says_what_happened_to_a_paper(five: sqlite3.Connection, tmp_path: Path) -> None:
    """A line has key, PMID, DOI, hash of the DOI, what happened and when; the file is its owner's alone."""
    path = tmp_path / "log.jsonl"
    with ProgressLog(path, five):
        pass
    assert lines(path)[1] == {
        "seq": 2,
        "key": "pmid:2",
        "source": "pubmed",
        "pmid": 2,
        "doi": "10.1000/é",
        "doi_hash": doi.digest("10.1000/é"),
        "what": "stored",
        "at": DAY,
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_follows_the_database(five: sqlite3.Connection, tmp_path: Path) -> None:
    """What is committed later is appended by the next call, once."""
    path = tmp_path / "log.jsonl"
    with ProgressLog(path, five) as progress:
        log.note(five, [log.Event(DAY, "pubmed", 6, None, "absent")])
        progress.follow()
        progress.follow()
    assert [line["pmid"] for line in lines(path)] == [1, 2, 3, 4, 5, 6]


def test_a_log_cut_at_any_byte_is_completed(five: sqlite3.Connection, tmp_path: Path) -> None:
    """Whatever a kill left of the log, the next opening makes it what it would have been."""
    path = tmp_path / "log.jsonl"
    with ProgressLog(path, five):
        pass
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with ProgressLog(path, five):
            pass
        assert path.read_bytes() == whole, f"cut at {cut}"


def test_a_log_that_knows_more_than_the_database_is_kept(five: sqlite3.Connection, tmp_path: Path) -> None:
    """The log of a lost database keeps its lines, and gets those that it lacks of the new one."""
    path = tmp_path / "log.jsonl"
    with ProgressLog(path, five):
        pass
    before = path.read_bytes()
    other = sqlite3.connect(":memory:")
    tables.create(other)
    log.note(other, [log.Event("2026-03-01T00:00:00Z", "pubmed", 3, None, "stored")])
    log.note(other, [log.Event(DAY, "pubmed", 1, None, "stored")])
    with ProgressLog(path, other) as progress:
        log.note(other, [log.Event(DAY, "pubmed", 9, None, "stored")])
        progress.follow()
    other.close()
    assert path.read_bytes().startswith(before)
    assert [line["pmid"] for line in lines(path)[5:]] == [3, 9]


@pytest.mark.parametrize("content", [b"hello\n", b"hello", b'{"title": "x"}\n', b"\0" * 100, b"x" * 200_000])
def test_another_file_is_refused_untouched(five: sqlite3.Connection, tmp_path: Path, content: bytes) -> None:
    """A file that is no such log is named and not written to."""
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(JournalDamaged, match="other"):
        ProgressLog(path, five)
    assert path.read_bytes() == content


def test_reading_passes_over_a_torn_last_line(five: sqlite3.Connection, tmp_path: Path) -> None:
    """The whole lines are read; a bad line before the last is named by its number."""
    path = tmp_path / "log.jsonl"
    with ProgressLog(path, five):
        pass
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert [line["pmid"] for line in log.read(path)] == [1, 2, 3, 4]
    path.write_bytes(whole.replace(b'"pmid": 2', b'"pmid: 2'))
    with pytest.raises(JournalDamaged, match="line 2"):
        list(log.read(path))
