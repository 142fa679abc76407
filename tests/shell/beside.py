"""GNU parallel and leftoff on the same lists through the same accidents; what is counted is what the commands kept.

``python -m tests.shell.beside [--seed S] [--lists N]`` prints what became of the work, for docs/commands.md.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.shell.lists import LISTS, Listed, environment, leftoff_words, parallel_words, prepare, split, worked

Words = list[bytes | str]


@dataclass
class Found:
    """Be what became of a list: items that were never worked on, how many times too often others were, exit codes."""

    lost: int = 0
    repeated: int = 0
    kills: int = 0
    codes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tool:
    """Be a way to work through a list that goes on where it was."""

    name: str
    words: Callable[[Listed], Words]
    log: str


LEFTOFF = Tool("leftoff", leftoff_words, "leftoff.jsonl")
PARALLEL = Tool("parallel", lambda listed: parallel_words(listed, "--joblog", "log", "--resume"), "log")


class Place:
    """Be a folder in which one tool works through one list."""

    def __init__(self, folder: Path, tool: Tool, listed: Listed, pause: float = 0.0) -> None:
        prepare(folder, listed)
        self.folder, self.tool, self.listed = folder, tool, listed
        self.environment = environment(PAUSE=str(pause) if pause else "")
        self.kills = 0

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.tool.words(self.listed),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self) -> int:
        return self.start().wait(timeout=120)

    def run_killed(self, begun: int, after: float) -> int:
        """Run, and kill the tool alone some seconds after so many commands have begun in all."""
        process = self.start()
        while process.poll() is None and len(self.begun()) < begun:
            time.sleep(0.0005)
        time.sleep(after)
        if process.poll() is None:
            process.kill()
            self.kills += 1
        return process.wait()

    def begun(self) -> list[Path]:
        return list((self.folder / "ledger").iterdir())

    def settle(self) -> None:
        """Wait until commands that outlived their tool have ended, too."""
        time.sleep(2 * float(self.environment["PAUSE"] or 0) + 0.05)

    def change(self, listed: Listed) -> None:
        self.listed = listed
        (self.folder / "list").write_bytes(listed.data)

    def found(self, wanted: set[bytes], *codes: int) -> Found:
        counts = worked(self.folder)
        repeated = sum(count - 1 for count in counts.values())
        return Found(len(wanted - counts.keys()), repeated, self.kills, codes)


def wanted_of(folder: Path, listed: Listed) -> set[bytes]:
    """Return the arguments of all its commands, as an uninterrupted run has them."""
    place = Place(folder / "wanted", LEFTOFF, listed)
    place.run()
    return set(worked(place.folder))


def kills(folder: Path, tool: Tool, listed: Listed, chance: random.Random) -> Found:
    """Kill it twice on its way, and let it come to its end."""
    place = Place(folder / tool.name, tool, listed, pause=0.0 if listed.items > 100 else 0.02)
    for _ in range(2):
        place.run_killed(chance.randint(1, listed.items), chance.random() * 0.02)
        place.settle()
    return place.found(wanted_of(folder, listed), place.run())


def changed(folder: Path, tool: Tool, listed: Listed, chance: random.Random) -> Found:
    """Kill it on its way; go on with a list that has a new first item, lacks one, and is in another order."""
    place = Place(folder / tool.name, tool, listed, pause=0.0 if listed.items > 100 else 0.02)
    place.run_killed(chance.randint(1, listed.items), 0.0)
    place.settle()
    head, items = split(listed)
    items.pop(chance.randrange(len(items)))
    chance.shuffle(items)
    new = {"csv": b"99,new\n", "null": b"new\0"}.get(listed.way, b"7\n")
    after = replace(listed, data=head + new + b"".join(items))
    place.change(after)
    return place.found(wanted_of(folder, after), place.run())


def two(folder: Path, tool: Tool, listed: Listed, chance: random.Random) -> Found:
    """Start it twice at once."""
    place = Place(folder / tool.name, tool, listed, pause=0.0 if listed.items > 100 else 0.02)
    first = place.start()
    time.sleep(chance.random() * 0.3)
    second = place.start()
    return place.found(wanted_of(folder, listed), first.wait(), second.wait())


def torn(folder: Path, tool: Tool, listed: Listed, chance: random.Random) -> Found:
    """Let it end, cut its log somewhere in the last quarter, as a power failure may, and run it again.

    What it has to repeat is what the cut took; the rest of its repeats is told apart by nothing, so they are counted
    as far as they go beyond one for each line that was cut.
    """
    place = Place(folder / tool.name, tool, listed)
    place.run()
    log = place.folder / tool.log
    data = log.read_bytes()
    cut = chance.randint(len(data) * 3 // 4, len(data))
    log.write_bytes(data[:cut])
    found = place.found(wanted_of(folder, listed), place.run())
    return replace(found, repeated=max(0, found.repeated - data[cut:].count(b"\n")))


SCENARIOS = {"kills": kills, "changed": changed, "two": two, "torn": torn}
NOT_FOR_ALL = ("no items", "words")  # nothing to interrupt; a list that is no file


def main() -> None:
    """Print how both fared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--lists", type=int, default=len(LISTS))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    # Those of which parallel works on other items by intention would blur its counts.
    lists = [listed for listed in LISTS if listed.name not in NOT_FOR_ALL and not listed.differs][: options.lists]
    for name, scenario in SCENARIOS.items():
        for tool in (LEFTOFF, PARALLEL):
            lost = repeated = killed = 0
            for listed in lists:
                with tempfile.TemporaryDirectory() as folder:
                    found = scenario(Path(folder), tool, listed, random.Random(f"{options.seed}{name}{listed.name}"))
                lost, repeated, killed = lost + found.lost, repeated + found.repeated, killed + found.kills
            items = sum(listed.items for listed in lists)
            print(f"{name:8} {tool.name:8} {len(lists)} lists, {items} items, {killed} kills:", end=" ")
            print(f"{lost} lost, {repeated} repeated", flush=True)


if __name__ == "__main__":
    main()
