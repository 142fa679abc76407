"""Resume behind millions of done items: when the first new item comes, how long all the old ones take, what memory.

``python benchmarks/resume.py PLACE [--done N] [--rounds N]``: PLACE is a new ``*.db``, or the ``postgresql://`` URL of
a database to be used for nothing else; its schemas ``leftoff`` and ``bare`` are dropped. The journal is built as a copy
is. Each figure is that of a fresh process, its start included; the bare cost is that of looking the same keys up in
chunks in a table of keys, in the same round. The bounds: the first new item within a second, all old ones within three
times the bare cost, less than 200 MB.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import leftoff
from leftoff.journal.copying import appearing, write_sqlite
from leftoff.journal.entry import MARK_EVERY, to_datetime

RESUME = """
import sys, time
begun = float(sys.argv[1])
import leftoff
def peak():  # of this program alone: ru_maxrss begins at what the process that started it had
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
place, count, name = sys.argv[2], int(sys.argv[3]), sys.argv[4]
def items():
    yield "first" + name
    yield from map(str, range(count))
    yield "last" + name
for _ in leftoff.each(items(), place, run="long", progress=False):
    print(time.time() - begun, peak(), flush=True)
"""
BARE = """
import sys, time
begun = float(sys.argv[1])
place, count, found = sys.argv[2], int(sys.argv[3]), 0
if "://" in place:
    import psycopg
    connection = psycopg.connect(place, autocommit=True)
    def ask(keys):
        return connection.execute("SELECT key FROM bare.done WHERE key = ANY(%s)", (keys,)).fetchall()
else:
    import sqlite3
    connection = sqlite3.connect(place)
    def ask(keys):
        return connection.execute(f"SELECT key FROM bare WHERE key IN ({','.join('?' * len(keys))})", keys).fetchall()
ask(["first"])
print(time.time() - begun)
for begin in range(0, count, 500):
    found += len(ask([str(n) for n in range(begin, min(begin + 500, count))]))
assert found == count, found
print(time.time() - begun)
"""


def entries(count: int) -> Iterator[leftoff.Entry]:
    """Make the entries of a loop over so many items."""
    at = to_datetime(0)
    for seq, (kind, key, value) in enumerate(lines(count), 1):
        yield leftoff.Entry(seq, "long", kind, key, value, at, 1)


def lines(count: int) -> Iterator[tuple[str, str, object]]:
    """Make the kinds, keys and values of these entries."""
    yield "created", "", {"id": "0123456789abcdef", "program": None, "parent": None}
    yield "owner", "", {"host": "here", "pid": 1, "start": "", "durability": "power"}
    for number in range(count):
        yield "started", str(number), None
        yield "done", str(number), None
        if number % (MARK_EVERY // 2) == 0:
            yield "open", "", {}


def build(place: str, count: int) -> None:
    """Build the journal, and beside it the bare table of the same keys."""
    if "://" not in place:
        with appearing(Path(place)) as temporary:
            write_sqlite(temporary, entries(count))
        with closing(sqlite3.connect(place, isolation_level=None)) as bare:
            bare.execute("CREATE TABLE bare (key TEXT PRIMARY KEY)")
            bare.execute("BEGIN")
            bare.executemany("INSERT INTO bare VALUES (?)", ((str(number),) for number in range(count)))
            bare.execute("COMMIT")
        return
    import psycopg

    from leftoff.journal.postgres_copying import appearing_in

    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS leftoff CASCADE; DROP SCHEMA IF EXISTS bare CASCADE")
        connection.execute("CREATE SCHEMA bare; CREATE TABLE bare.done (key text PRIMARY KEY)")
        connection.execute("INSERT INTO bare.done SELECT n::text FROM generate_series(0, %s - 1) AS n", (count,))
    with appearing_in(place, "process") as making:
        making.write(entries(count))


def forget_statistics(place: str) -> None:
    """Leave the planner of a PostgreSQL server as it is before anybody has looked at the table."""
    import psycopg

    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute("DELETE FROM pg_statistic WHERE starelid = 'leftoff.entry'::regclass")
        connection.execute("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'leftoff.entry'::regclass")


def measured(program: str, *arguments: object) -> list[list[float]]:
    """Run a program in a process of its own; return the numbers of each line that it printed."""
    command = [sys.executable, "-c", program, str(time.time()), *map(str, arguments)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [[float(number) for number in line.split()] for line in lines]


def main() -> None:
    """Build, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place")
    parser.add_argument("--done", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-statistics", action="store_true", help="PostgreSQL, as a superuser")
    given = parser.parse_args()
    begun = time.perf_counter()
    build(given.place, given.done)
    print(f"{given.done:,} done items, built in {time.perf_counter() - begun:.0f} s", flush=True)
    if given.without_statistics:
        forget_statistics(given.place)
    firsts, starts, ratios = [], [], []
    for number in range(given.rounds):
        (start,), (bare,) = measured(BARE, given.place, given.done)
        (first, _), (last, memory) = measured(RESUME, given.place, given.done, number)
        firsts.append(first)
        starts.append(start)
        ratios.append(last / bare)
        print(
            f"first new item {first:.2f} s (bare: its first answer {start:.2f} s), all old ones skipped {last:.1f} s ="
            f" {last / bare:.2f} of bare chunked look-ups ({bare:.1f} s), peak {memory:.0f} MB",
            flush=True,
        )
    first, start, ratio = map(statistics.median, (firsts, starts, ratios))
    print(f"medians: first new item {first:.2f} s (bare: {start:.2f} s), all old ones {ratio:.2f} of bare")


if __name__ == "__main__":
    main()
