"""What a journal in PostgreSQL costs: leftoff as a user writes it, beside the raw cost of the same work.

``python benchmarks/postgres.py URL [--items N] [--rounds N]``: URL names a database to be used for nothing else; its
schemas ``leftoff`` and ``bare`` are dropped. Figures are medians over interleaved rounds, with [min..max]. Resuming is
measured by ``resume.py``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

import leftoff

sys.path.insert(0, str(Path(__file__).parent))
from item import group_commit

WORKERS = 8


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
    """The same as a loop over a range, whose next item is at hand: one commit an item."""
    for _ in leftoff.each(range(count), url, run="each", progress=False):
        pass


def each_lazy(url: str, count: int) -> None:
    """The same as a loop over a generator, which may make us wait: two commits an item."""
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
    """The same as a map over a range."""
    for _ in leftoff.map(lambda _: None, range(count), url, run="map", workers=WORKERS, progress=False):
        pass


def threads_lazy(url: str, count: int) -> None:
    """The same as a map over a generator."""
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
    raw = statistics.median(next(iter(took.values())))
    for part, times in took.items():
        median = statistics.median(times)
        spread = f"[{min(times):.0f}..{max(times):.0f}]"
        print(f"{name:10} {part:14} {median:8.0f} us an item {spread:16} {raw / median:.2f} of the raw speed")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    compare(given.url, "one by one", (bare, each, each_lazy), given.items, given.rounds)
    compare(given.url, f"{WORKERS} threads", (bare_threads, threads, threads_lazy), given.items * 4, given.rounds)


if __name__ == "__main__":
    main()
