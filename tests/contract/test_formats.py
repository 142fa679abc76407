"""Journals of every format that was ever released, opened by this release; and those of releases to come."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

import leftoff
from leftoff.errors import JournalTooNew, LeftoffError
from tests.postgres import Server

DATA = Path(__file__).parent.parent / "data"
EMBEDDED = ["power.jsonl", "process.jsonl", "closed.db", "killed.db", "segments"]
KILLED = {"process.jsonl", "killed.db", "segments", "postgresql:///"}
VALUES = {"plain": None, "bytes": b"\x00\xff", "ünïcode 😀": {"$x": ["ü", 1.5]}, "more": {"key": "more"}}


def lay(name: str) -> str:
    """Put a journal of format 1 into the current folder; return its place."""
    for source in (DATA / "format-1").glob(f"{name}*"):
        (shutil.copytree if source.is_dir() else shutil.copy)(source, source.name)
    return f"{name}/" if Path(name).is_dir() else name


def check(place: str) -> None:
    """All that `tests/data/make.py` had this journal do must be read back, and be gone on with."""
    with leftoff.open(place, create=False) as journal:
        assert journal.runs() == ["papers", "batched ü"]
        assert journal.verify() == []
        run, batched = journal.run("papers"), journal.run("batched ü")
        killed = place.strip("/") in KILLED or place in KILLED
        done = {*VALUES, "line\nbreak", *(["x", "y"] if killed else [])}
        assert set(run.keys("done")) == done
        assert [(letter.key, str(letter.error)) for letter in run.dead()] == [
            ("always fails", "ValueError: no such paper")
        ]
        assert list(batched.keys("done")) == list(map(str, range(12)))
        assert run.cursor("since").value == "2026-02 forgotten"
        assert run.step("build-index", not_again, "v2") == {"version": "v2"}
        outcomes = {outcome.key: outcome.value for outcome in run.map(not_again, VALUES, progress=False)}
        assert outcomes == VALUES
        assert not set(run.keys("done")) - done
        assert sorted(run.each([*done, "forgotten", "given back", "z", "new"], progress=False)) == sorted(
            {"forgotten", "given back", "new", "z"}
        )
        assert journal.verify() == []


def not_again(_: Any) -> None:
    raise AssertionError("this was done before")


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_journal_of_format_1_is_read_and_gone_on_with(name: str) -> None:
    """Failure mode 29: what the first release wrote, closed or killed, is read whole and nothing is done again."""
    check(lay(name))


def test_a_journal_of_format_1_in_postgres_is_read_and_gone_on_with(postgres: Server) -> None:
    """Failure mode 29, in PostgreSQL."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute((DATA / "format-1" / "postgres.sql").read_text("utf-8"))
    check("postgresql:///")


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_journal_of_a_later_format_is_refused_untouched(name: str) -> None:
    """Failure mode 28: a journal with a higher format is refused by name, read or owned, and not a byte is written."""
    place = lay(name)
    for path in Path().rglob("*.json*"):
        path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2', 1))
    if name.endswith(".db"):
        Path(f"{name}-wal").unlink(missing_ok=True)
        connection = sqlite3.connect(name)
        connection.execute("UPDATE leftoff_journal SET format = 2")
        connection.execute("ALTER TABLE leftoff_run ADD COLUMN what_a_later_release_needs")
        connection.commit()
        connection.close()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    for _ in range(2):
        with pytest.raises(JournalTooNew, match=r"format 2; this release reads up to 1: upgrade leftoff"):
            list(leftoff.each("ab", place, run="papers"))
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["power.jsonl", "process.jsonl"])
def test_a_copy_of_the_beginning_is_found_or_a_beginning(name: str) -> None:
    """Failure mode 27: a file that was copied only in part holds a beginning of its commits, and no other answer.

    A copy that ends just behind a commit is a sound journal: that cannot be seen, and docs/promises.md says so.
    """
    place = lay(name)
    data = Path(place).read_bytes()
    with leftoff.open(place) as journal:
        whole = list(journal.entries())
    for size in range(0, len(data), 97):
        Path("part.jsonl").write_bytes(data[:size])
        with leftoff.open("part.jsonl") as journal:
            entries = list(journal.entries())
            assert entries == whole[: len(entries)]
            assert journal.store.torn() or size <= 112 or data[:size].endswith(b"\n")


def test_a_database_copied_without_its_log_is_as_it_was_before() -> None:
    """Failure mode 27: without its -wal a database lacks what the log held, all of it; docs/promises.md says so."""
    lay("killed.db")
    Path("killed.db-wal").unlink()
    with leftoff.open("killed.db") as journal:
        assert journal.verify() == []
        assert not {"x", "y"} & set(journal.run("papers").keys("done"))
        assert set(VALUES) < set(journal.run("papers").keys("done"))


def test_a_database_copied_in_part_is_refused() -> None:
    """Failure mode 27: pages that are missing at the end of a database are found when it is opened."""
    lay("closed.db")
    data = Path("closed.db").read_bytes()
    for size in range(4096, len(data), 2048):
        Path("part.db").write_bytes(data[:size])
        with pytest.raises(LeftoffError, match=r"part\.db"):
            leftoff.open("part.db")


@pytest.mark.parametrize("place", ["run.jsonl", "run.db", "run/"])
def test_steps_are_known_by_name_and_arguments_wherever_they_come(place: str) -> None:
    """Failure mode 30: a program whose steps were reordered, renamed, added or given other arguments redoes just those.

    What a step was called decides, never its number, so that no result is attached to another step.
    """
    calls: list[str] = []

    def make(text: str) -> str:
        calls.append(text)
        return f"made {text}"

    programs = [["a", "b", "c"], ["c", "a", "b"], ["b2", "a"], ["a", "new", "b", "c"]]
    for program in programs:
        with leftoff.open(place) as journal:
            run = journal.run("r")
            assert [run.step(name, make, name) for name in program] == [f"made {name}" for name in program]
            assert run.step("a", make, "other") == "made other"
    assert calls == ["a", "b", "c", "other", "b2", "new"]
