"""Each call on a journal's files fails once, and once for good: the error is ours, and nothing acknowledged is lost."""

import itertools
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from leftoff.testing.faults import Fault, fault_server
from leftoff.testing.kills import read_ledger
from tests.crash import faulted
from tests.crash.campaign import IN_FLIGHT

EXPECTED = {}

every_store = pytest.mark.parametrize("suffix", ["jsonl", "db"])
every_durability = pytest.mark.parametrize("durability", ["power", "process"])


@pytest.fixture(scope="module")
def server():
    with fault_server(Path(faulted.__file__)) as server:
        yield server


class Sweep:
    def __init__(self, server, folder, use, suffix, durability, items):
        self.server, self.folder = server, folder
        self.plan = {"use": use, "durability": durability, "items": items, "seconds": 0.0, "in_flight": IN_FLIGHT.get(use, 1)}
        self.suffix = suffix
        self.points = Counter()
        self.told = Counter()

    def at(self, name):
        folder = self.folder / name
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "result.txt").write_text(faulted.OLD)
        return folder, {**self.plan, "place": str(folder / "files" / f"work.{self.suffix}"), "ledger": str(folder / "ledger")}

    def sweep(self, error, lasting):
        for call in itertools.count(1):
            folder, plan = self.at(f"{error}-{lasting}-{call}")
            end = self.server.run("work", plan, fault=Fault(error, call, folder / "files", lasting), limit=20)
            where = f"{error} at call {call}{' and all later' if lasting else ''}: {end.fault}"
            lines = read_ledger(plan["ledger"])
            if end.code:
                self.bad(where, end.output)
            again = self.server.run("resume", plan, limit=20)
            if again.code:
                self.bad(where + " THEN", again.output)
            kinds = tuple(dict.fromkeys(line.key.split()[0] for line in lines if line.word == "refused")) or ("own" if any(l.word == "own" for l in lines) else "nothing",)
            if not end.fault:
                break
            self.told[error, lasting, end.fault, kinds] += 1
            self.points[error] += 1
            shutil.rmtree(folder)
    def bad(self, where, output):
        print("BAD", self.plan["use"], self.suffix, self.plan["durability"], where)
        print("    ", "\n     ".join(output.strip().splitlines()[-int(__import__("os").environ.get("TAIL", "3")):]))
