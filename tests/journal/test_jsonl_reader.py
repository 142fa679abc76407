"""How a JSON Lines journal is read: what is looked at once only, and what must not be seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal import jsonl, jsonl_scan
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import Position
from leftoff.journal.store import values_of
from tests.contract.drafts import done
from tests.journal.jsonl_files import HEADER, built, line, seal
from tests.journal.test_jsonl_index import COMMITS, DATA, check_answers, small_blocks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


@pytest.mark.parametrize("block", [150, 600, 100_000])
@pytest.mark.parametrize("lines", [1, 2])
def test_lines_of_a_commit_that_is_not_whole_are_nowhere(
    path: Path, monkeypatch: pytest.MonkeyPatch, block: int, lines: int
) -> None:
    """A torn commit may hold whole lines; no answer knows of them, however big the blocks are."""
    small_blocks(monkeypatch, block)
    whole = built(*COMMITS, ['"done":"torn"', '"dead":"k"', '"started":"t"'])
    torn = b"".join(whole[len(DATA) :].splitlines(keepends=True)[:lines])
    path.write_bytes(DATA + torn)
    store = JsonlStore(path)
    check_answers(store, len(torn))
    assert [entry.seq for entry in store.entries()] == list(range(1, 39))
    store.close()


def test_a_file_is_opened_once_and_anew_when_another_takes_its_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file of the same length under the same name is another journal, with answers of its own."""
    opened: list[Path] = []
    open_readable = jsonl.open_readable
    monkeypatch.setattr(jsonl, "open_readable", lambda path, url: (opened.append(path), open_readable(path, url))[1])
    first, second = built(['"done":"one"']), built(['"done":"two"'])
    path.write_bytes(first)
    store = JsonlStore(path)
    for _ in range(3):
        assert list(store.keys("r", "done")) == ["one"]
    assert len(opened) == 1
    other = path.with_name("other.jsonl")
    other.write_bytes(second)
    other.replace(path)
    for _ in range(3):
        assert list(store.keys("r", "done")) == ["two"]
    assert len(opened) == 2
    store.close()


def test_a_journal_may_be_descriptor_0(path: Path) -> None:
    """A process without standard input reads, follows and closes a journal like any other."""
    path.write_bytes(DATA)
    stdin = os.dup(0)
    try:
        os.close(0)
        store = JsonlStore(path)
        assert store._fd == 0
        check_answers(store)
        assert store._fd == 0
        path.unlink()
        path.write_bytes(built(['"done":"another"']))
        assert list(store.keys("r", "done")) == ["another"]
        assert store._fd == 0
        store.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(0)
    finally:
        os.dup2(stdin, 0)
        os.close(stdin)


def test_who_asks_for_what_is_new_reads_only_that(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries behind the newest one that is known are looked for behind it."""
    path.write_bytes(DATA)
    store = JsonlStore(path)
    read: list[int] = []
    pread = os.pread
    more = built(*COMMITS, ['"done":"m"'])
    path.write_bytes(more)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, length, offset: (read.append(offset), pread(fd, length, offset))[1])
        assert [entry.key for entry in store.entries(after=38)] == ["m"]
        assert list(store.entries(after=39)) == []
    assert min(read) == len(DATA)
    assert [entry.seq for entry in store.entries(after=37)] == [38, 39]
    store.close()


def test_an_owner_checks_under_the_lock_what_was_not_checked_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a handle has checked stays checked; only what others wrote since then is looked at."""
    path.write_bytes(DATA)
    store = JsonlStore(path)
    path.write_bytes(built(*COMMITS, ['"done":"m"']))
    starts: list[int] = []
    check = jsonl.check

    def recorded(fd: int, start: Position, url: str) -> Any:
        starts.append(start.offset)
        return check(fd, start, url)

    monkeypatch.setattr(jsonl, "check", recorded)
    store.own("r").commit([done("new")])
    assert starts
    assert min(starts) == len(DATA)
    store.close()


def test_damage_is_looked_at_once_where_nobody_changes_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a file that got longer or shorter meanwhile is worth another look."""
    path.write_bytes(DATA.replace(b'"parent"', b'"PARENT"', 1))
    looks: list[int] = []
    check = jsonl_scan.check
    monkeypatch.setattr(jsonl, "check", lambda *given: (looks.append(1), check(*given))[1])
    with pytest.raises(JournalDamaged):
        JsonlStore(path)
    assert len(looks) == 1


def test_runs_are_found_whatever_the_other_lines_say(path: Path) -> None:
    """Only the first entry of a run is understood for its name."""
    created = line('"created":"","value":{"id":"0123456789abcdef","program":null,"parent":null}')
    path.write_bytes(seal(created, line('"done":7', 2, len(HEADER) + len(created) + 18)))
    store = JsonlStore(path)
    assert store.runs() == ["r"]
    with pytest.raises(JournalDamaged):
        list(store.entries())
    store.close()


def test_a_reader_that_was_asked_for_values_knows_those_that_come_later(path: Path) -> None:
    """Where conclusions stand is read once, and then for each look what is new."""
    writer = JsonlStore(path)
    owner = writer.own("r")
    owner.commit([done("a", 1)])
    reader = JsonlStore(path)
    assert values_of(reader, "r", ["a"]) == [1]
    for number in range(3):
        owner.commit([done(f"b{number}", number), done("a", 10 + number)])
        assert values_of(reader, "r", ["a", f"b{number}", "c"]) == [10 + number, number, None]
    reader.close()
    writer.close()


@pytest.mark.parametrize("length", [50, 500])
def test_a_number_is_given_once_behind_a_long_line_and_a_torn_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """The last whole line is longer than what is read at a time, and behind it a commit of two lines is torn."""
    store = JsonlStore(path)
    owner = store.own("r")
    owner.commit([done("long", "x" * length)])
    whole = path.stat().st_size
    last = list(store.entries())[-1].seq
    owner.commit([done("a", 1), done("b", 2)])
    store.close()
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\n", whole) + 1])
    monkeypatch.setattr(jsonl_scan, "BLOCK", 120)
    store = JsonlStore(path)
    store.own("r").commit([done("next", 3)])
    assert [entry.seq for entry in store.entries()] == list(range(1, last + 3))
    store.close()
