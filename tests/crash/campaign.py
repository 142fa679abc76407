"""One journal that is killed again and again, with everything that is known of it from outside."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import leftoff
from leftoff.testing.kills import count, read_ledger
from tests.crash import programs

IN_FLIGHT = {
    "each": 1, "map": 1, "threads": programs.WORKERS, "tasks": programs.WORKERS, "processes": programs.WORKERS,
    "batches": programs.SIZE,
}  # fmt: skip
"""The loops, and how many items may be repeated for each kill (P2)."""

IN_ONE_PROCESS = [loop for loop in IN_FLIGHT if loop != "processes"]
"""Those whose items die with the process that owns the run."""


PLACES = {"jsonl": "work.jsonl", "db": "work.db", "segments": "work/"}
"""The stores that are files, and a place in each."""


class Campaign:
    """Run the program of `programs.py` on one journal, and check what holds after any end of it."""

    name = "work"  # of the run

    def __init__(self, server, folder, loop, suffix, durability, seconds=0.0):
        folder.mkdir()
        self.server, self.loop, self.durability, self.seconds = server, loop, durability, seconds
        self.folder, self.suffix, self.ledger, self.kills = folder, suffix, folder / "ledger", 0
        self.place = f"{folder}/{PLACES.get(suffix)}"

    def plan(self, items, **more):
        return {
            "loop": self.loop, "place": self.place, "ledger": str(self.ledger), "durability": self.durability,
            "items": items, "seconds": self.seconds, "run": self.name, **more,
        }  # fmt: skip

    def run(self, items, *, after=None, boundary=None, line=None, record=None, program="work", **more):
        """Run the program to its end or its death, and check."""
        end = self.server.run(
            program, self.plan(items, **more), after=after, boundary=boundary, line=line, record=record
        )
        assert end.code in (0, -signal.SIGKILL), end.output
        self.kills += end.killed
        self.check()
        return end

    @property
    def tables(self):
        """Whether the items write rows."""
        return self.suffix == "db" and self.loop in IN_FLIGHT

    def finish(self, items, **more):
        """Run the program to its end."""
        end = self.run(items, **more)
        assert end.code == 0, f"killed at its end: {end.output}"
        return end

    def count(self):
        return count(read_ledger(self.ledger))

    def check(self):
        """Hold the journal against the ledger: nothing lost, nothing more repeated than was in flight, rows whole."""
        counted, done = self.count(), set(self.done())
        assert counted.acknowledged <= done, f"lost: {counted.acknowledged - done}"
        assert counted.redone == [], "worked on again though acknowledged"
        assert done <= set(counted.executed), f"done without work: {done - set(counted.executed)}"
        allowed = self.kills * IN_FLIGHT.get(self.loop, 1)
        assert counted.repeats <= allowed, f"{counted.repeats} repeats, {self.kills} kills"
        if self.tables:
            whole = {(key, half): json.dumps(programs.product(key)) for key in done for half in (1, 2)}
            assert self.rows() == whole, "the rows are not those of the done items, each once"

    def done(self):
        with leftoff.open(self.place) as journal:
            damage = journal.verify()
            assert damage == [], damage
            return list(journal.run(self.name).keys("done"))

    def dead(self):
        with leftoff.open(self.place) as journal:
            return [letter.key for letter in journal.run(self.name).dead()]

    def entries(self):
        with leftoff.open(self.place) as journal:
            return list(journal.entries(self.name))

    def is_complete(self):
        """Return whether the newest commit says that an input was walked to its end."""
        return self.entries()[-1].kind == "pass"

    def rows(self):
        """Read what the items wrote, without leftoff."""
        if not Path(self.place).exists():
            return {}
        with closing(sqlite3.connect(self.place)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'made'").fetchone() is None:
                return {}
            rows = connection.execute("SELECT key, half, value FROM made").fetchall()
        assert len({row[:2] for row in rows}) == len(rows), "rows came twice"
        return {row[:2]: row[2] for row in rows}

    def result(self):
        """Return what a completed run leaves behind, as far as it depends on the input alone."""
        # `each` never comes back for an item that was done when it died; `map` yields an outcome for every item.
        outcomes = self.count().acknowledged if self.loop in ("map", "threads", "tasks", "processes") else None
        values = {entry.key: entry.value for entry in self.entries() if entry.kind == "done"}
        return sorted(self.done()), self.dead(), outcomes, values, self.rows() if self.tables else None


def uninterrupted(server, folder, loop, suffix, durability, items, seconds=0.0):
    """Run the same without a kill; return its end and its campaign."""
    campaign = Campaign(server, folder / "uninterrupted", loop, suffix, durability, seconds)
    end = campaign.finish(items)
    assert campaign.count().repeats == 0
    assert sorted(campaign.done()) == sorted(items)
    return end, campaign
