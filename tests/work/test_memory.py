"""An input of any length is streamed: memory does not grow with what has gone through."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import asyncio, resource, sys, leftoff
    kind, count, place = sys.argv[1], int(sys.argv[2]), sys.argv[3]

    async def awaited(item):
        return None

    async def asynchronous(run):
        async for _ in run.amap(awaited, (n for n in range(count)), concurrency=8, progress=False):
            pass

    def work(item):
        return None

    with leftoff.open(place, durability="process") as journal:
        run = journal.run("r")
        if kind == "each":
            for _ in run.each((n for n in range(count)), progress=False):
                pass
        elif kind == "batches":
            for _ in run.batches((n for n in range(count)), 1000, progress=False):
                pass
        elif kind == "amap":
            asyncio.run(asynchronous(run))
        else:
            workers = 4 if kind == "threads" else None
            for _ in run.map(work, (n for n in range(count)), workers=workers, progress=False):
                pass
        assert run.report().done == count
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """


def peak(kind: str, count: int, place: str) -> int:
    """Return the most memory, in MiB, that a loop over a generator of so many items needed."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), kind, str(count), place]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("kind", ["each", "threads", "amap"])
def test_a_long_generator_needs_no_more_memory_than_a_short_one(kind: str) -> None:
    """Ten times the items need at most a few MiB more, in an SQLite journal, whose index is on disk."""
    short, long = peak(kind, 3_000, "short.db"), peak(kind, 30_000, "long.db")
    assert long - short <= 6


@pytest.mark.prove
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("kind", "count"), [("batches", 10_000_000), ("each", 10_000_000), ("threads", 1_000_000)])
def test_ten_million_items_are_streamed(kind: str, count: int) -> None:
    """Promise P3 keeps one bit an item; all else is bounded."""
    assert peak(kind, count, "long.db") - peak(kind, 3_000, "short.db") <= 16
