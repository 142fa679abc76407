"""An SQLite journal with an owner whose connection has a table of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_owner import SqliteOwner


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
