"""What a map costs on each executor, beside the bare executor doing the same work with as much in flight.

``python benchmarks/executors.py [--items N] [--rounds N] [--folder DIR]``. The work is nothing (``int``): what is
measured is what an item costs beside its work. leftoff commits each result to a JSON Lines journal; beside its two
durabilities stand the executor alone, and the executor with a synced line for whatever has finished. Medians over
rounds that are interleaved, with [min..max]; Dask's workers are measured where Dask is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import leftoff

WORKERS = 2


async def soon(item: int) -> int:
    """Be the work of a task."""
    await asyncio.sleep(0)
    return item


class Log:
    """Keep a line for each result, synced."""

    def __init__(self, folder: Path) -> None:
        """Begin a file in a folder."""
        self._fd = os.open(folder / "bare.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def keep(self, results: list[int]) -> None:
        """Write and sync once for all of these."""
        os.write(self._fd, b"".join(b'{"done":"%d"}\n' % result for result in results))
        os.fdatasync(self._fd)


def bare(executor: Executor, log: Log | None, count: int) -> None:
    """Keep as many futures in flight as there are workers, as leftoff does."""
    flying: set[Any] = set()
    for item in range(count):
        flying.add(executor.submit(int, item))
        if len(flying) == WORKERS:
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            results = [future.result() for future in done]
            if log is not None:
                log.keep(results)
    wait(flying)


def ours(executor: Executor, folder: Path, durability: Any, count: int) -> None:
    """Map with results kept."""
    place = folder / f"{time.monotonic_ns()}.jsonl"
    items, name = range(count), "bench"
    for _ in leftoff.map(
        int, items, place, run=name, executor=executor, workers=WORKERS, durability=durability, progress=False
    ):
        pass


async def bare_tasks(log: Log | None, count: int) -> None:
    """Keep as many tasks in flight as there may be."""
    flying: set[asyncio.Task[int]] = set()
    for item in range(count):
        flying.add(asyncio.create_task(soon(item)))
        if len(flying) == WORKERS:
            done, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            if log is not None:
                log.keep([task.result() for task in done])
    await asyncio.gather(*flying)


async def our_tasks(folder: Path, durability: Any, count: int) -> None:
    """Map a coroutine function with results kept."""
    place = folder / f"{time.monotonic_ns()}.jsonl"
    async for _ in leftoff.amap(
        soon, range(count), place, run="bench", concurrency=WORKERS, durability=durability, progress=False
    ):
        pass


def probe(folder: Path) -> float:
    """Return the median seconds of appending and syncing a line there."""
    fd = os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    times = []
    for _ in range(200):
        begun = time.perf_counter()
        os.write(fd, b"x" * 149 + b"\n")
        os.fdatasync(fd)
        times.append(time.perf_counter() - begun)
    os.close(fd)
    return statistics.median(times)


def compare(name: str, count: int, rounds: int, ways: dict[str, Callable[[int], object]]) -> None:
    """Measure ways of doing the same in turns; print what an item costs in each."""
    spans: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways.values():
        way(50)  # start what has to be started
    for _ in range(rounds):
        for way, measure in ways.items():
            begun = time.perf_counter()
            measure(count)
            spans[way].append((time.perf_counter() - begun) / count * 1e6)
    first = statistics.median(spans[next(iter(spans))])
    for way, times in spans.items():
        middle = statistics.median(times)
        print(
            f"{name:18} {way:16} {middle:8.0f} us an item [{min(times):.0f}..{max(times):.0f}]"
            f"  {middle - first:+8.0f} us  {middle / first:6.2f} times",
            flush=True,
        )


def main() -> None:
    """Compare on each executor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="leftoff-bench-", dir=options.folder))
    try:
        print(f"append + fdatasync: {probe(folder) * 1e6:.0f} us")
        for name, make in (("threads", ThreadPoolExecutor), ("processes", ProcessPoolExecutor)):
            with make(WORKERS) as executor:
                compare(name, options.items, options.rounds, ways_of(executor, folder))
        compare("tasks", options.items, options.rounds, ways_of_tasks(folder))
        on_dask(folder, options.items // 8, options.rounds)
        print(f"append + fdatasync: {probe(folder) * 1e6:.0f} us")
    finally:
        shutil.rmtree(folder)


def ways_of(executor: Executor, folder: Path) -> dict[str, Callable[[int], object]]:
    """Return the ways to be compared on an executor."""
    return {
        "bare": partial(bare, executor, None),
        "bare + synced": partial(bare, executor, Log(folder)),
        "leftoff process": partial(ours, executor, folder, "process"),
        "leftoff power": partial(ours, executor, folder, "power"),
    }


def ways_of_tasks(folder: Path) -> dict[str, Callable[[int], object]]:
    """Return the ways to be compared in an event loop."""
    return {
        "bare": lambda count: asyncio.run(bare_tasks(None, count)),
        "bare + synced": lambda count: asyncio.run(bare_tasks(Log(folder), count)),
        "leftoff process": lambda count: asyncio.run(our_tasks(folder, "process", count)),
        "leftoff power": lambda count: asyncio.run(our_tasks(folder, "power", count)),
    }


def on_dask(folder: Path, count: int, rounds: int) -> None:
    """Compare on Dask's workers, if it is there."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("dask: not installed")
        return
    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        client.get_executor(pure=False) as executor,
    ):
        compare("dask", count, rounds, ways_of(executor, folder))


if __name__ == "__main__":
    main()
