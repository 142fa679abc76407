"""leftoff beside seven libraries that promise to go on: the same loop, the same kills, edits and lists; one table.

``python benchmarks/peers/compare.py [--items N] [--rounds N] [--seed S] [--only PROGRAM …] [--folder DIR]``, with the
dependency group ``peers`` installed. Each program of this folder is run in folders of its own:

    speed          items a second between its first and its last item, no work in them, in turns with the others
    syncs          fsync and fdatasync calls an item, counted by strace: what it does for durability
    kills          20 times SIGKILL, each a few items and a random part of one after the start, then to the end
    comment        killed half-way, a comment is added to its functions, then to the end
    list           killed half-way, an item is put in front of the list and one taken out, then to the end
    two            two processes at once

Lost are items that the program ended without a result for; wrong are results of another item; repeated are items begun
more than once, counted from outside. ``hangs`` did not end within the limit, ``exit N`` refused or failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PROGRAMS = {
    "bare": "append and sync, no library",
    "leftoff_jsonl": "leftoff, JSON Lines",
    "leftoff_sqlite": "leftoff, SQLite",
    "dbos_workflow": "DBOS (SQLite)",
    "joblib_memory": "joblib.Memory",
    "diskcache_cache": "diskcache, FULL",
    "sqlitedict_dict": "sqlitedict",
    "persistqueue_ack": "persist-queue",
    "huey_queue": "huey (SQLite)",
    "scrapy_jobdir": "Scrapy JOBDIR",
}
KILLS = 20
LIMIT = 60.0  # seconds until a program is called hanging
PAUSE = "0.01"  # seconds of work on an item, where kills must hit it


class Line(NamedTuple):
    """Be one execution: when, and of which item."""

    at: float
    item: str


class Place:
    """One folder in which a program is run again and again."""

    def __init__(self, folder: Path, program: str, items: Sequence[str]) -> None:
        """Make the folder, with the program and the items in it."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.program = folder / "program.py"
        shutil.copy(HERE / f"{program}.py", self.program)
        self.give(items)

    def give(self, items: Sequence[str]) -> None:
        """Change the list of items."""
        self.items = list(items)
        (self.folder / "items.json").write_text(json.dumps(self.items))

    def edit(self) -> None:
        """Add a comment to the module and to each of its functions."""
        text = self.program.read_text()
        self.program.write_text(re.sub(r'^( *)""".*"""\n', r"\g<0>\1# a comment\n", text, flags=re.MULTILINE))

    def start(self, pause: str = PAUSE, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start the program in a session of its own, so that all of it can be killed."""
        environment = {**os.environ, "PYTHONPATH": str(HERE), "PAUSE": pause}
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [*before, sys.executable, str(self.program), str(self.folder)],
                cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def lines(self) -> list[Line]:
        """Return what was executed so far."""
        ledger = self.folder / "executed.txt"
        found = (line.split(" ", 1) for line in (ledger.read_text().splitlines() if ledger.exists() else ()))
        return [Line(float(at), item) for at, item in found]

    def live(self, items: int, part: float) -> bool:
        """Let it begin so many items more, kill it a part of one later; return False if it ended before."""
        process, before = self.start(), len(self.lines())
        end = time.monotonic() + LIMIT
        while process.poll() is None and time.monotonic() < end:
            if len(self.lines()) - before >= items:
                time.sleep(part * float(PAUSE))
                break
            time.sleep(0.001)
        ended = process.poll() is not None
        kill(process)
        return not ended

    def finish(self) -> str:
        """Run it to its end; return "" or how it failed."""
        return ended(self.start())

    def verdict(self, failed: str) -> str:
        """Return what was lost, wrong and repeated."""
        executed = [line.item for line in self.lines()]
        repeated = len(executed) - len(set(executed))
        results = self.folder / "results.json"
        if failed or not results.exists():
            return f"{failed or 'no results'}; {repeated} repeated"
        found = json.loads(results.read_text())
        lost = sum(found.get(item) is None for item in self.items)
        wrong = sum(found.get(item) not in (None, int(item.rpartition("-")[2]) ** 2) for item in self.items)
        return f"{lost} lost, {wrong} wrong, {repeated} repeated"


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all it started."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
    process.wait()


def ended(process: subprocess.Popen[bytes]) -> str:
    """Wait for a program's end; return "" or how it failed."""
    try:
        code = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        kill(process)
        return "hangs"
    return f"exit {code}" if code else ""


def numbered(count: int) -> list[str]:
    """Return the items."""
    return [f"item-{number}" for number in range(count)]


def speed(place: Place) -> float:
    """Return items a second, from the first to the last."""
    process = place.start("0")
    if process.wait(LIMIT * 5):
        raise RuntimeError((place.folder / "output").read_text())
    lines = place.lines()
    return (len(lines) - 1) / (lines[-1].at - lines[0].at)


def syncs(folder: Path, program: str, _rng: random.Random) -> str:
    """Return the syncs an item: of 60 items more than 20, so that a start counts for nothing."""
    counts = []
    for number in (20, 60):
        place = Place(folder / f"syncs-{number}", program, numbered(number))
        trace = place.folder / "trace"
        traced = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=fsync,fdatasync", "-e", "signal=none"]
        place.start("0", traced).wait(LIMIT * 5)
        counts.append(sum("sync(" in line for line in trace.read_text(errors="replace").splitlines()))
    return f"{(counts[1] - counts[0]) / 40:.1f}"


def kills(folder: Path, program: str, rng: random.Random) -> str:
    """Kill it 20 times."""
    place = Place(folder / "kills", program, numbered(5 * (KILLS + 1)))
    for _ in range(KILLS):
        if not place.live(5, rng.random()):
            break
    return place.verdict(place.finish())


def comment(folder: Path, program: str, rng: random.Random) -> str:
    """Edit a comment half-way."""
    place = Place(folder / "comment", program, numbered(60))
    place.live(30, rng.random())
    place.edit()
    return place.verdict(place.finish())


def changed_list(folder: Path, program: str, rng: random.Random) -> str:
    """Change the list half-way: one item comes, one goes."""
    place = Place(folder / "list", program, numbered(60))
    place.live(30, rng.random())
    place.give(["item-1000", *(item for item in numbered(60) if item != "item-50")])
    return place.verdict(place.finish())


def two(folder: Path, program: str, _rng: random.Random) -> str:
    """Run two processes at once; the first result counts, and how each ended."""
    place = Place(folder / "two", program, numbered(60))
    running = [place.start() for _ in range(2)]
    codes = [ended(process) for process in running]
    failed = sum(code != "" for code in codes)
    return place.verdict("both failed" if failed == 2 else "") + (", one ended with an error" if failed == 1 else "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="peers-") as name:
        base, rates = Path(name), dict[str, list[float]]()
        for turn in range(given.rounds):
            for program in given.only:
                place = Place(base / program / f"speed-{turn}", program, numbered(given.items))
                rates.setdefault(program, []).append(speed(place))
        print("| program | items/s | syncs an item | 20 kills | a comment | a changed list | two processes |")
        print("|---|---|---|---|---|---|---|")
        for program in given.only:
            found = rates[program]
            shown = f"{statistics.median(found):,.0f} [{min(found):,.0f}..{max(found):,.0f}]"
            cells = [
                scenario(base / program, program, random.Random(f"{given.seed} {scenario.__name__}"))
                for scenario in (syncs, kills, comment, changed_list, two)
            ]
            print(f"| {PROGRAMS[program]} | {shown} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
