"""What several processes gain from a directory of segments: items a second, beside one SQLite file and the raw cost.

``python benchmarks/segments.py [--items N] [--rounds N] [--writers N] [--folder DIR]``. Every way is measured with one
process and with several, in turns; figures are medians with [min..max]. Processes have started and imported everything
before the clock does. The peer is diskcache, one ``set`` an item, all processes on one cache.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import diskcache

import leftoff
import leftoff.journal.segments
import leftoff.journal.sqlite

LINE = b"x" * 149 + b"\n"
Work = Callable[[Path, int, int, int], None]


def bare(folder: Path, count: int, number: int, writers: int) -> None:
    """Append a line an item to a file of its own, and sync it."""
    fd = os.open(folder / f"{number}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(number, count, writers):
        os.write(fd, LINE)
        os.fdatasync(fd)
    os.close(fd)


def segments(folder: Path, count: int, number: int, writers: int) -> None:
    """Share the items by key; each process writes its own file."""
    place = f"{folder / 'progress'}/"
    for _ in leftoff.each(range(count), place, run="r", shard=(number, writers), progress=False):
        pass


def sqlite(folder: Path, count: int, number: int, writers: int) -> None:
    """Give each process a run of its own in one SQLite file."""
    items = range(number, count, writers)
    for _ in leftoff.each(items, folder / "one.db", run=f"r{number}", progress=False):
        pass


def cache(folder: Path, count: int, number: int, writers: int) -> None:
    """Let all processes set their items in one cache of the peer, synced as we sync."""
    with diskcache.Cache(folder / "cache", sqlite_synchronous=2, timeout=60) as held:
        for item in range(number, count, writers):
            held.set(item, True)


WAYS: dict[str, Work] = {
    "append and sync, a file each": bare,
    "leftoff, a directory": segments,
    "leftoff, one SQLite file": sqlite,
    "diskcache, synchronous=FULL": cache,
}


def attend(work: Work, folder: Path, count: int, number: int, writers: int, ready: Barrier) -> None:
    """Be one of the processes: wait for the others, then work."""
    ready.wait()
    work(folder, count, number, writers)


def measure(work: Work, place: Path, count: int, writers: int) -> float:
    """Return items a second."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        ready = context.Barrier(writers + 1)
        given = (work, Path(folder), count)
        processes = [context.Process(target=attend, args=(*given, n, writers, ready)) for n in range(writers)]
        for process in processes:
            process.start()
        ready.wait()
        begin = time.perf_counter()
        for process in processes:
            process.join()
        seconds = time.perf_counter() - begin
        assert [process.exitcode for process in processes] == [0] * writers
    return count / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(given.rounds):
        for name, work in WAYS.items():
            for writers in (1, given.writers):
                rates.setdefault((name, writers), []).append(measure(work, given.folder, given.items, writers))
    shown = partial("{:,.0f} [{:,.0f}..{:,.0f}]".format)
    print(f"items a second, {given.items:,} items, {os.cpu_count()} cores, {given.rounds} rounds")
    for name in WAYS:
        one, many = rates[name, 1], rates[name, given.writers]
        ratios = sorted(several / single for single, several in zip(one, many, strict=True))
        print(
            f"{name:30} one {shown(statistics.median(one), min(one), max(one)):>26}"
            f"   {given.writers} {shown(statistics.median(many), min(many), max(many)):>26}"
            f"   {statistics.median(ratios):.2f} [{ratios[0]:.2f}..{ratios[-1]:.2f}]"
        )


if __name__ == "__main__":
    main()
