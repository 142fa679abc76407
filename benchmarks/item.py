"""What recording one item costs: leftoff as a user writes it, beside the raw cost of the same work and a peer.

``python benchmarks/item.py [--items N] [--rounds N] [--done N] [--only PART …] [--folder DIR]``. Every figure is the
median over rounds that are interleaved, with [min..max]; the disk is probed before and after. The peer is diskcache,
one ``set`` an item.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import leftoff
from leftoff.journal.rows import IS_FATE

LINE = b"x" * 149 + b"\n"
ROW = "r" * 200
Measure = Callable[[Path, int], None]


# -- the raw cost ------------------------------------------------------------------------------------------------


def bare_write(folder: Path, count: int) -> None:
    """Write a line an item, without a sync."""
    fd = os.open(folder / "bare.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(count):
        os.write(fd, LINE)
    os.close(fd)


def bare_sync(folder: Path, count: int) -> None:
    """Write a line an item and sync it."""
    fd = os.open(folder / "bare.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(count):
        os.write(fd, LINE)
        os.fdatasync(fd)
    os.close(fd)


def bare_sqlite(folder: Path, count: int, rows: bool = False) -> None:
    """Commit a one-row transaction an item, WAL and FULL; with a user's row of 200 bytes beside it."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE done (key TEXT PRIMARY KEY)")
    db.execute("CREATE TABLE user (key TEXT, text TEXT)")
    for n in range(count):
        db.execute("BEGIN IMMEDIATE")
        if rows:
            db.execute("INSERT INTO user VALUES (?, ?)", (str(n), ROW))
        db.execute("INSERT INTO done VALUES (?)", (str(n),))
        db.execute("COMMIT")
    db.close()


def bare_sqlite_rows(folder: Path, count: int) -> None:
    """The same with the user's row."""
    bare_sqlite(folder, count, rows=True)


def group_commit(workers: int, commit: Callable[[list[int]], None], count: int) -> None:
    """Let threads work and wait for their item's commit; one committer writes whatever waits. Nobody lingers."""
    waiting: queue.SimpleQueue[tuple[int, threading.Lock]] = queue.SimpleQueue()
    numbers = iter(range(count))
    taking = threading.Lock()

    def work() -> None:
        done = threading.Lock()
        done.acquire()
        while True:
            with taking:
                number = next(numbers, None)
            if number is None:
                return
            waiting.put((number, done))
            done.acquire()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    left = count
    while left:
        batch = [waiting.get()]
        while not waiting.empty():
            batch.append(waiting.get())
        commit([number for number, _ in batch])
        for _, done in batch:
            done.release()
        left -= len(batch)
    for thread in threads:
        thread.join()


def bare_group_log(workers: int) -> Measure:
    """A hand-written group commit to a log."""

    def measure(folder: Path, count: int) -> None:
        fd = os.open(folder / "group.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

        def commit(numbers: list[int]) -> None:
            os.write(fd, b"".join(b'{"done":"%d"}\n' % number for number in numbers))
            os.fdatasync(fd)

        group_commit(workers, commit, count)
        os.close(fd)

    return measure


def bare_group_sqlite(workers: int) -> Measure:
    """A hand-written group commit to SQLite."""

    def measure(folder: Path, count: int) -> None:
        db = sqlite3.connect(folder / "group.db", isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE done (key TEXT PRIMARY KEY)")

        def commit(numbers: list[int]) -> None:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO done VALUES (?)", [(str(number),) for number in numbers])
            db.execute("COMMIT")

        group_commit(workers, commit, count)
        db.close()

    return measure


def peer_diskcache(folder: Path, count: int) -> None:
    """The peer: a `set` an item, which survives the process but is not synced."""
    import diskcache

    with diskcache.Cache(str(folder / "cache"), eviction_policy="none") as cache:
        for n in range(count):
            if n not in cache:
                cache.set(n, True)


# -- leftoff, as a user writes it --------------------------------------------------------------------------------


def each(name: str, durability: str) -> Measure:
    """A loop over a range."""

    def measure(folder: Path, count: int) -> None:
        for _ in leftoff.each(range(count), folder / name, run="bench", durability=durability):  # type: ignore[arg-type]
            pass

    return measure


def each_with_row(folder: Path, count: int) -> None:
    """A loop that writes a row of its own an item."""
    with leftoff.open(folder / "rows.db") as journal:
        run = journal.run("bench")
        run.connection.execute("CREATE TABLE user (key TEXT, text TEXT)")
        for n in run.each(range(count)):
            run.connection.execute("INSERT INTO user VALUES (?, ?)", (str(n), ROW))


def mapped(name: str, workers: int | None) -> Measure:
    """A map with threads."""

    def measure(folder: Path, count: int) -> None:
        for _ in leftoff.map(int, range(count), folder / name, run="bench", workers=workers):
            pass

    return measure


# -- comparing ---------------------------------------------------------------------------------------------------

PARTS: dict[str, list[tuple[str, Measure]]] = {
    "jsonl-process": [
        ("bare write", bare_write),
        ("leftoff", each("p.jsonl", "process")),
        ("diskcache", peer_diskcache),
    ],
    "jsonl-power": [("bare write + fdatasync", bare_sync), ("leftoff", each("f.jsonl", "power"))],
    "sqlite-power": [("bare transaction", bare_sqlite), ("leftoff", each("f.db", "power"))],
    "sqlite-power-row": [("bare transaction with row", bare_sqlite_rows), ("leftoff", each_with_row)],
    "threads-8-jsonl": [
        ("hand-written", bare_group_log(8)),
        ("leftoff", mapped("t.jsonl", 8)),
        ("one by one", mapped("o.jsonl", None)),
    ],
    "threads-32-jsonl": [
        ("hand-written", bare_group_log(32)),
        ("leftoff", mapped("t.jsonl", 32)),
        ("one by one", mapped("o.jsonl", None)),
    ],
    "threads-8-sqlite": [
        ("hand-written", bare_group_sqlite(8)),
        ("leftoff", mapped("t.db", 8)),
        ("one by one", mapped("o.db", None)),
    ],
    "threads-32-sqlite": [
        ("hand-written", bare_group_sqlite(32)),
        ("leftoff", mapped("t.db", 32)),
        ("one by one", mapped("o.db", None)),
    ],
}


def probe(folder: Path) -> str:
    """Return how long an append and its sync take on this disk now."""
    fd = os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    times = []
    for _ in range(300):
        begin = time.perf_counter()
        os.write(fd, LINE)
        os.fdatasync(fd)
        times.append((time.perf_counter() - begin) * 1e6)
    os.close(fd)
    return f"probe: append + fdatasync {spread(times)} us"


def spread(values: list[float], digits: int = 1) -> str:
    """Return the median with the least and the greatest."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def compare(root: Path, part: str, items: int, rounds: int) -> None:
    """Run a part's measures in turn and print their costs an item, and the ratio of the raw cost to each."""
    costs: dict[str, list[float]] = {name: [] for name, _ in PARTS[part]}
    for _ in range(rounds):
        for name, measure in PARTS[part]:
            with tempfile.TemporaryDirectory(dir=root) as folder:
                begin = time.perf_counter()
                measure(Path(folder), items)
                costs[name].append((time.perf_counter() - begin) / items * 1e6)
    print(f"\n{part} ({items} items, {rounds} rounds)")
    raw = next(iter(costs))
    for name, values in costs.items():
        pairs = list(zip(costs[raw], values, strict=True))
        print(
            f"  {name:28} {spread(values):>28} us an item   above {spread([v - r for r, v in pairs]):>26} us"
            f"   rate ratio {spread([r / v for r, v in pairs], 2)}"
        )


# -- resuming ----------------------------------------------------------------------------------------------------

RESUME = """
import sys, time, leftoff
items = range(int(sys.argv[2]), int(sys.argv[3]))
for item in leftoff.each(items, sys.argv[1], run="bench", durability="process", progress=False):
    now = time.monotonic()  # and the peak of this program alone: ru_maxrss begins at what the one that started it had
    print(now, next(int(line.split()[1]) for line in open("/proc/self/status") if line[:5] == "VmHWM") // 1024)
    break
"""
START = "import time; print(time.monotonic(), 0)"
BARE_JSONL = """
import json, sys, time
done = set()
with open(sys.argv[1], encoding="utf-8") as file:
    for line in file:
        entry = json.loads(line)
        if "done" in entry:
            done.add(entry["done"])
print(time.monotonic(), len(done))
"""
BARE_SQLITE = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
count, found = int(sys.argv[3]), 0
for begin in range(0, count, 500):
    keys = [str(n) for n in range(begin, min(begin + 500, count))]
    marks = ",".join("?" * len(keys))
    found += len(db.execute(
        f"SELECT key FROM leftoff_entry INDEXED BY leftoff_fate WHERE run = 1 AND key IN ({marks}) AND FATE", keys
    ).fetchall())
assert found == count, found
print(time.monotonic(), found)
""".replace("FATE", IS_FATE.format(""))


def resume(root: Path, suffix: str, done: int, rounds: int) -> None:
    """Measure from a process's start to its first new item, with so many items done before."""
    journal = root / f"resume{suffix}"
    for _ in leftoff.batches(range(done), journal, size=2000, run="bench", durability="process", progress=False):
        pass
    cases = {
        "python starts": (START, 0, 0),
        "bare": (BARE_JSONL if suffix == ".jsonl" else BARE_SQLITE, 0, done),
        "new item first": (RESUME, done, done + rounds * 10),
        "new item last": (RESUME, 0, done + rounds * 10),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    memory: dict[str, int] = {}
    for _ in range(rounds):
        for name, (program, begin, end) in cases.items():
            started = time.monotonic()
            command = [sys.executable, "-c", program, str(journal), str(begin), str(end)]
            now, extra = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[:2]
            seconds[name].append(float(now) - started)
            memory[name] = int(extra)
    raw = "read, json.loads, set" if suffix == ".jsonl" else "chunked look-ups"
    print(f"\nresume{suffix} ({done} done, {rounds} rounds); bare = {raw}")
    start = statistics.median(seconds["python starts"])
    bare = statistics.median(seconds["bare"])
    for name, values in seconds.items():
        median = statistics.median(values)
        more = f"   {memory[name]} MB" if name.startswith("new") else ""
        ratios = f"after start {median - start:.3f} s   / bare {median / bare:.2f}{more}"
        print(f"  {name:20} {spread(values, 3):>24} s   {ratios}")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--done", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", default=[*PARTS, "resume.jsonl", "resume.db"])
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="on the disk to be measured")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="bench-") as name:
        root = Path(name)
        os.sync()
        print(json.dumps({"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, "cpus": os.cpu_count()}))
        print(probe(root))
        for part in chosen.only:
            if part.startswith("resume"):
                resume(root, part.removeprefix("resume"), chosen.done, min(chosen.rounds, 5))
            else:
                compare(root, part, chosen.items, chosen.rounds)
        print("\n" + probe(root))


if __name__ == "__main__":
    main()
