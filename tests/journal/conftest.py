"""An SQLite journal with an owner whose connection has a table of the user's, and a clock that stands still."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_owner import SqliteOwner


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be 2026-07-02T12:03:04Z, so that whoever tells the time of a lock tells this one."""
    noon = time.struct_time((2026, 7, 2, 12, 3, 4, 3, 183, 0))
    monkeypatch.setattr(time, "gmtime", lambda *_: noon)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "a.db")
    yield store
    store.close()


@pytest.fixture
def owner(store: SqliteStore) -> SqliteOwner:
    owner = store.own("loop")
    owner.connection.execute("CREATE TABLE paper (id INTEGER PRIMARY KEY, title TEXT UNIQUE)")
    return owner
