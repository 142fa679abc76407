"""SQLite journals for tests: a small one with every kind of entry, and one whose owner was killed."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

from leftoff.journal.entry import Draft
from leftoff.journal.rows import RunRow
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.store import values_of

SIDES = ("", "-wal", "-shm")


def make(path: Path, items: int = 6) -> None:
    """Make a closed journal with a table of the user's, of which every fourth item is a dead letter."""
    store = SqliteStore(path)
    owner = store.own("loop", "program.py")
    owner.connection.execute("CREATE TABLE paper (id INTEGER PRIMARY KEY, title TEXT)")
    for number in range(items):
        owner.commit([Draft("started", f"k{number}")])
        owner.begin()
        owner.connection.execute("INSERT INTO paper VALUES (?, ?)", (number, f"title {number}"))
        owner.commit([Draft("done" if number % 4 else "dead", f"k{number}", f'{{"n":{number}}}')])
    owner.commit([Draft("cursor", "since", '"2026"'), Draft("started", "in hand", '{"errors":1}')])
    store.close()


def observe(path: Path) -> Any:
    """Return everything that the store tells of the run ``loop``."""
    store = SqliteStore(path)
    try:
        keys = [f"k{number}" for number in range(8)]
        return (
            store.runs(), list(store.entries()), list(store.keys("loop", "done")), list(store.keys("loop", "dead")),
            values_of(store, "loop", keys), store.counts("loop"), store.open_items("loop"),
            store.latest("loop", "cursor", "since"),
        )  # fmt: skip
    finally:
        store.close()


def raw(path: Path, *statements: str) -> list[Any]:
    """Run statements on the file as any other program may; return the rows of the last."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows
    finally:
        connection.close()


def forge_run(path: Path, **changes: Any) -> None:
    """Change the row of the run ``loop`` as somebody may who knows how its sum is made."""
    ((journal_id,),) = raw(path, "SELECT id FROM leftoff_journal")
    names = ", ".join(RunRow._fields)
    (row,) = raw(path, f"SELECT {names} FROM leftoff_run WHERE name = 'loop'")
    forged = RunRow(*row)._replace(**changes)
    values = ", ".join(f"{name} = {value}" for name, value in changes.items())
    total = forged.row_sum(crc32(journal_id.encode()))
    raw(path, f"UPDATE leftoff_run SET {values}, row_sum = {total} WHERE name = 'loop'")


def run_python(program: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, and return what it said."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


_KILLED = """
import os, signal, sys
from pathlib import Path
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
owner = SqliteStore(Path(sys.argv[1])).own("loop")
for number in range(int(sys.argv[2])):
    owner.commit([Draft("started", f"k{number}")])
    owner.commit([Draft("done", f"k{number}", str(number))])
os.kill(os.getpid(), signal.SIGKILL)
"""


def make_killed(path: Path, items: int = 4) -> None:
    """Make a journal whose owner was killed: everything is in the write-ahead log."""
    run_python(_KILLED, path, items)
    assert Path(f"{path}-wal").stat().st_size > 0


def copy(path: Path, target: Path) -> None:
    """Copy a journal that nobody has open, with its side files."""
    for side in SIDES:
        Path(f"{target}{side}").unlink(missing_ok=True)
        if Path(f"{path}{side}").exists() and side != "-shm":
            shutil.copyfile(f"{path}{side}", f"{target}{side}")
