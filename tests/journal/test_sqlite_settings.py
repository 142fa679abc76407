"""What an SQLite journal's durability rests on is asked for and read back, and its tables are exactly ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leftoff.errors import DurabilityUnavailable, JournalDamaged, JournalTooNew
from leftoff.journal import sqlite_file
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_file import set_durability
from tests.journal.sqlite_files import make, raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.db")
    return tmp_path / "a.db"


# -- durability ------------------------------------------------------------------------------------------------------

WANTED = {
    "journal_mode=WAL": "wal",
    "synchronous=FULL": 2,
    "synchronous=NORMAL": 1,
    "mmap_size=0": 0,
    "trusted_schema=OFF": 0,
    "fullfsync=ON": 1,
    "checkpoint_fullfsync=ON": 1,
}


class Sqlite:
    """Be an SQLite that answers as told, and where it is only told, when it is asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def __call__(self, sql: str, parameters: Any) -> list[tuple[Any, ...]]:
        assert parameters == ()
        words = sql.removeprefix("PRAGMA ")
        self.asked.append(words)
        name, is_set, _ = words.partition("=")
        if is_set:
            self._value = self._answers.get(name, WANTED.get(words))
        return [(self._value,)] if name in ("journal_mode", "mmap_size") or not is_set else []


@pytest.mark.parametrize(("power", "level"), [(True, "FULL"), (False, "NORMAL")])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_what_durability_rests_on_is_asked_for_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, power: bool, level: str
) -> None:
    """A setting that SQLite answers to is read there, any other asked; on macOS the drive's cache is emptied, too."""
    monkeypatch.setattr(sqlite_file, "sys", SimpleNamespace(platform=platform))
    fetch = Sqlite()
    set_durability(fetch, tmp_path, power=power)
    common = [
        "journal_mode=WAL", f"synchronous={level}", "synchronous", "mmap_size=0", "trusted_schema=OFF", "trusted_schema"
    ]  # fmt: skip
    more = ["fullfsync=ON", "fullfsync", "checkpoint_fullfsync=ON", "checkpoint_fullfsync"]
    assert fetch.asked == common + (more if platform == "darwin" else [])


@pytest.mark.parametrize(
    ("name", "asked", "answer"),
    [
        ("journal_mode", "journal_mode=WAL", "delete"),
        ("synchronous", "synchronous=FULL", 3),
        ("synchronous", "synchronous=FULL", 1),
        ("mmap_size", "mmap_size=0", 1),
        ("trusted_schema", "trusted_schema=OFF", 1),
    ],
)
def test_a_setting_that_did_not_come_about_is_refused(tmp_path: Path, name: str, asked: str, answer: Any) -> None:
    """What SQLite answered and what it had been asked are named."""
    with pytest.raises(DurabilityUnavailable) as caught:
        set_durability(Sqlite(**{name: answer}), tmp_path, power=True)
    assert str(caught.value) == (
        f"{tmp_path}: SQLite answered {answer!r} to PRAGMA {asked}, so what was asked cannot be kept; keep the journal"
        " on a local file system"
    )


def test_a_setting_that_an_sqlite_does_not_know_is_not_missed(tmp_path: Path) -> None:
    """To a pragma that it does not know SQLite answers nothing, and that is no refusal."""
    set_durability(lambda sql, parameters: [], tmp_path, power=True)


class Clock:
    """Be a clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds < 0.1
        self.now += seconds


@pytest.mark.parametrize(("text", "waited"), [("database is locked", 30.0), ("disk I/O error", 0.0)])
def test_a_change_to_wal_is_asked_for_as_long_as_a_lock_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, waited: float
) -> None:
    """Where a lock is in the way it is asked again for half a minute, and for any other reason not at all."""
    clock = Clock()
    monkeypatch.setattr(sqlite_file, "time", clock)

    def refuse(sql: str, parameters: Any) -> list[tuple[Any, ...]]:
        raise sqlite3.OperationalError(text)

    with pytest.raises(sqlite3.OperationalError, match=text):
        set_durability(refuse, tmp_path, power=True)
    assert waited <= clock.now < waited + 0.1


# -- tables ----------------------------------------------------------------------------------------------------------


def refused(path: Path, what: str) -> None:
    with pytest.raises(JournalDamaged) as caught:
        SqliteStore(path)
    assert str(caught.value) == (
        f"{path}: {what}; nothing was changed. Restore a copy, or look with: leftoff verify {path}"
    )


def test_a_newer_format_is_found_before_and_behind_the_log(path: Path) -> None:
    """It is refused by both numbers, where only the write-ahead log tells of it, too."""
    said = f"{path} was written in format 2; this release reads up to 1: upgrade leftoff. The file is untouched"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("UPDATE leftoff_journal SET format = 2")
    assert Path(f"{path}-wal").stat().st_size > 0
    with pytest.raises(JournalTooNew) as caught:
        SqliteStore(path)
    assert str(caught.value) == said
    other.close()
    with pytest.raises(JournalTooNew) as caught:
        SqliteStore(path)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("statement", "odd"),
    [
        ("DROP TABLE leftoff_entry", "leftoff_entry, leftoff_fate, leftoff_named"),
        ("CREATE INDEX mine ON leftoff_run (epoch)", "mine"),
        ("CREATE INDEX mine ON leftoff_journal (id)", "mine"),
        ("CREATE INDEX mine ON leftoff_entry (at)", "mine"),
    ],
)
def test_what_is_odd_in_the_schema_is_named(path: Path, statement: str, odd: str) -> None:
    """Each table or index that is not as leftoff made it is told, those of somebody else on our tables, too."""
    raw(path, statement)
    refused(path, f"the schema is not what leftoff created ({odd})")


@pytest.mark.parametrize("name", ["leftoff_fate", "Leftoff_Named", "leftoff_run", "LEFTOFF_ENTRY"])
def test_a_name_of_ours_that_somebody_else_took_is_refused(tmp_path: Path, name: str) -> None:
    """A user's database in which an index has one of our names, in whatever case, is told apart from a journal."""
    path = tmp_path / "a.db"
    raw(path, "CREATE TABLE paper (id)", f"CREATE INDEX {name} ON paper (id)")
    with pytest.raises(
        JournalDamaged, match=r"the schema is not what leftoff created \(leftoff_journal, leftoff_run, "
    ):
        SqliteStore(path)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM leftoff_journal",
        "INSERT INTO leftoff_journal SELECT * FROM leftoff_journal",
        "UPDATE leftoff_journal SET sum = sum + 1",
        "UPDATE leftoff_journal SET created = 'once'",
    ],
)
def test_a_header_that_is_not_the_one_that_was_written_is_refused(path: Path, statement: str) -> None:
    """None, two, or one that changed is damage, and nothing below it is read."""
    raw(path, statement)
    refused(path, "the journal's header is not what was written")
