"""What `leftoff verify` costs beside a bare scan of the same data.

``python benchmarks/verify.py [--entries N] [--rounds N] [--postgres URL]``: a bare scan reads and sums all bytes of a
JSON Lines file, or selects all columns of all entries. URL names a database whose schema ``leftoff`` is dropped.
Figures are medians over interleaved rounds, with [min..max], and the most memory that the process had.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import leftoff
from leftoff.work.mend import examine


def scan_bytes(place: str) -> None:
    """Read and sum all bytes."""
    total = 0
    with Path(place).open("rb", buffering=0) as file:
        while block := file.read(4 << 20):
            total = crc32(block, total)


def scan_sqlite(place: str) -> None:
    """Select all columns of all entries."""
    connection = sqlite3.connect(f"file:{place}?mode=ro", uri=True)
    for _ in connection.execute("SELECT * FROM leftoff_entry"):
        pass
    connection.close()


def scan_postgres(place: str) -> None:
    """Select all columns of all entries, a page of memory at a time."""
    import psycopg

    with psycopg.connect(place) as connection, connection.cursor("scan") as cursor:
        cursor.itersize = 2000
        for _ in cursor.execute("SELECT * FROM leftoff.entry"):
            pass


def verify(place: str) -> None:
    """Check every byte."""
    assert examine(place).damage == []


def fill(place: str, entries: int) -> None:
    """Make a journal of so many entries: half of them begin an item, half conclude it."""
    with leftoff.open(place, durability="process") as journal:
        for _ in journal.run("ingest").batches(map(str, range(entries // 2)), size=5000, progress=False):
            pass


def compare(place: str, scan: Callable[[str], None], rounds: int) -> None:
    """Measure both in turns."""
    took: dict[str, list[float]] = {"bare": [], "verify": []}
    for _ in range(rounds):
        for name, call in (("bare", scan), ("verify", verify)):
            start = time.perf_counter()
            call(place)
            took[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in took.items()}
    shown = ", ".join(f"{name} {medians[name]:.2f} s [{min(t):.2f}..{max(t):.2f}]" for name, t in took.items())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{scan.__name__:14} {shown}: {medians['verify'] / medians['bare']:.2f} times, {memory:.0f} MB at most")


def main() -> None:
    """Measure and print; each journal is filled by a process of its own, so that memory is that of the checks."""
    from multiprocessing import get_context

    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--postgres")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = [(str(Path(folder, "a.jsonl")), scan_bytes), (str(Path(folder, "a.db")), scan_sqlite)]
        if given.postgres:
            import psycopg

            with psycopg.connect(given.postgres, autocommit=True) as connection:
                connection.execute("DROP SCHEMA IF EXISTS leftoff CASCADE")
            places.append((given.postgres, scan_postgres))
        for place, scan in places:
            filling = get_context("spawn").Process(target=fill, args=(place, given.entries))
            filling.start()
            filling.join()
            compare(place, scan, given.rounds)


if __name__ == "__main__":
    main()
