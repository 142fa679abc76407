"""What a journal in PostgreSQL costs: leftoff as a user writes it, beside the raw cost of the same work.

``python benchmarks/postgres.py URL [--items N] [--rounds N] [--done N]``: URL names a database to be used for nothing
else; its schemas ``leftoff`` and ``bare`` are dropped. Figures are medians over interleaved rounds, with [min..max].
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

import leftoff

sys.path.insert(0, str(Path(__file__).parent))
from item import group_commit

WORKERS = 8
CHUNK = 500


def clean(url: str) -> None:
    """Begin with empty schemas."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute("DROP SCHEMA IF EXISTS leftoff CASCADE; DROP SCHEMA IF EXISTS bare CASCADE")
        connection.execute("CREATE SCHEMA bare; CREATE TABLE bare.done (key text PRIMARY KEY)")


def bare(url: str, count: int) -> None:
    """Commit a one-row transaction an item."""
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(count):
            connection.execute("BEGIN")
            connection.execute("INSERT INTO bare.done VALUES (%s)", (str(number),))
            connection.execute("COMMIT")


def each(url: str, count: int) -> None:
    """The same as a loop over items."""
    for _ in leftoff.each(map(str, range(count)), url, run="each", progress=False):
        pass


def bare_threads(url: str, count: int) -> None:
    """A hand-written group commit with threads."""
    with psycopg.connect(url, autocommit=True) as connection:

        def commit(numbers: list[int]) -> None:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO bare.done SELECT unnest(%s::text[])", ([str(n) for n in numbers],))
            connection.execute("COMMIT")

        group_commit(WORKERS, commit, count)


def threads(url: str, count: int) -> None:
    """The same as a map with threads."""
    for _ in leftoff.map(lambda _: None, map(str, range(count)), url, run="map", workers=WORKERS, progress=False):
        pass


def compare(url: str, name: str, parts: tuple[Callable[[str, int], None], ...], count: int, rounds: int) -> None:
    """Measure the parts in turns; the first is the raw cost."""
    took: dict[str, list[float]] = {part.__name__: [] for part in parts}
    for _ in range(rounds):
        for part in parts:
            clean(url)
            start = time.perf_counter()
            part(url, count)
            took[part.__name__].append((time.perf_counter() - start) / count * 1e6)
    for part, times in took.items():
        print(f"{name:10} {part:14} {statistics.median(times):8.0f} us an item [{min(times):.0f}..{max(times):.0f}]")
    medians = [statistics.median(times) for times in took.values()]
    print(f"{name:10} {medians[0] / medians[1]:.2f} of the speed of the raw cost")


def resume(url: str, count: int) -> None:
    """Resume behind so many done items: when the first new one comes, what memory it takes, and when the last."""
    clean(url)
    with leftoff.open(url) as journal:
        for _ in journal.run("long").batches(map(str, range(count)), size=5000, progress=False):
            pass
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO bare.done SELECT n::text FROM generate_series(0, %s - 1) AS n", (count,))
        start = time.perf_counter()
        for begin in range(0, count, CHUNK):
            keys = [str(n) for n in range(begin, begin + CHUNK)]
            connection.execute("SELECT key FROM bare.done WHERE key = ANY(%s)", (keys,)).fetchall()
        looked_up = time.perf_counter() - start
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def items(first: str) -> Iterator[str]:
        yield first
        yield from map(str, range(count))
        yield "last"

    start = time.perf_counter()
    moments = {
        key: time.perf_counter() - start for key in leftoff.each(items("first"), url, run="long", progress=False)
    }
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"resume at {count:,}: first new item {moments['first']:.2f} s, last {moments['last']:.2f} s")
    ratio = moments["last"] / looked_up
    print(f"  = {ratio:.2f} of bare chunked look-ups ({looked_up:.2f} s), {memory / 1024:.0f} MB more")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--done", type=int, default=1_000_000)
    given = parser.parse_args()
    compare(given.url, "one by one", (bare, each), given.items, given.rounds)
    compare(given.url, f"{WORKERS} threads", (bare_threads, threads), given.items * 4, given.rounds)
    resume(given.url, given.done)


if __name__ == "__main__":
    main()
