"""P1, P2 and P5 under SIGKILL: what was acknowledged is found, and rows are whole and only of done items."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leftoff.journal.sqlite import SqliteStore
from tests.journal.sqlite_files import raw

_PROGRAM = """
import sys
from pathlib import Path
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]), sys.argv[2])
owner = store.own("loop")
owner.connection.execute("CREATE TABLE IF NOT EXISTS part (item TEXT, half INTEGER)")
print("ready", flush=True)
previous = None
for number in range(100_000):
    key = f"k{number}"
    if owner.mark(key):
        continue
    if previous is None:
        owner.commit([Draft("started", key)])
    else:
        owner.commit([Draft("done", previous), Draft("started", key)])
        print(previous, flush=True)
    owner.begin()
    for half in (0, 1):
        owner.connection.execute("INSERT INTO part VALUES (?, ?)", (key, half))
    previous = key
"""


def _run_and_kill(path: Path, durability: str, lines: int) -> set[str]:
    """Start the program, kill it once it has said so many lines; return the items it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, path, durability], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    return {line.strip() for line in said if line.endswith("\n") and line.startswith("k")}


def _check(path: Path, acknowledged: set[str]) -> None:
    store = SqliteStore(path)
    done = set(store.keys("loop", "done"))
    assert acknowledged <= done
    assert len(done - acknowledged) <= 1 or not acknowledged
    assert list(store.verify()) == []
    store.close()
    rows = raw(path, "SELECT item, count(*), sum(half) FROM part GROUP BY item")
    assert {item for item, _, _ in rows} == done
    assert all(row[1:] == (2, 1) for row in rows)


@pytest.mark.parametrize("durability", ["power", "process"])
def test_nothing_acknowledged_is_lost_in_kills(tmp_path: Path, durability: str) -> None:
    """After each of 12 kills at random places, every acknowledged item is done, with just its two rows."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chosen = random.Random(seed)
    acknowledged: set[str] = set()
    for _ in range(12):
        before = len(acknowledged)
        acknowledged |= _run_and_kill(tmp_path / "a.db", durability, chosen.randrange(1, 60))
        store = SqliteStore(tmp_path / "a.db")
        assert len(set(store.keys("loop", "done")) - acknowledged) <= 1
        acknowledged |= set(store.keys("loop", "done"))  # at most one a kill was done and not yet said
        store.close()
        _check(tmp_path / "a.db", acknowledged)
        assert len(acknowledged) >= before
