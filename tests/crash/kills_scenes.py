"""What is killed at every line, each scene with what must hold after any end of it."""

import shutil
from contextlib import closing

import psycopg

import leftoff
from leftoff.testing.kills import read_ledger
from tests.crash.campaign import Campaign

ITEMS = 4


class Loop(Campaign):
    """Walk items into a journal that is not there yet."""

    def begin(self, items):
        """Bring about what is there before the kill."""


class Steps(Loop):
    """Run steps, and walk items that move a cursor."""

    def done(self):
        steps = [entry.key for entry in self.entries() if entry.kind == "step"]
        assert len(set(steps)) == len(steps), "a step ran again"
        return steps + super().done()

    def check(self):
        super().check()
        entries = self.entries()
        items = [entry.key for entry in entries if entry.kind == "done"]
        moves = [entry.value for entry in entries if entry.kind == "cursor"]
        assert moves[1:] == items, "the cursor is not where the items are"
        if any(line.word == "moved" for line in read_ledger(self.ledger)):
            assert moves[:1] == ["start"], "lost: the cursor's first move"


class Decisions(Loop):
    """Walk items, forget one, retry a dead one, walk them again."""

    def check(self):
        told = {(line.word, line.key) for line in read_ledger(self.ledger)}
        done, dead = set(self.done()), set(self.dead())
        forgetting = {entry.key for entry in self.entries() if entry.kind == "forgotten"}
        retrying = {entry.key for entry in self.entries() if entry.kind == "retried"}
        for word, name in told:
            phase, _, key = name.partition(".")
            if word == "acknowledged":
                assert key in done or (phase == "0" and key in forgetting), f"lost: {name}"
            elif word == "buried":
                assert key in dead or key in retrying, f"lost: the dead letter {name}"
            elif word == "retried":
                assert name not in dead, f"lost: the retry of {name}"
            elif word == "forgot":
                assert name not in done or ("executed", f"2.{name}") in told, f"lost: that {name} was forgotten"
            elif phase == "2":
                assert key in forgetting | retrying, f"{key} was worked on again"
        counted = self.count()
        assert counted.redone == [], "worked on again though acknowledged"
        assert counted.repeats <= self.kills, f"{counted.repeats} repeats, {self.kills} kills"

    def result(self):
        return sorted(self.done()), self.dead(), self.count().acknowledged


class Opening(Loop):
    """Go on where a process was killed, and, in JSON Lines, its last line torn."""

    def begin(self, items):
        template = self.folder.with_name("opening")
        if not template.exists():
            killed = Loop(self.server, template, "each", self.suffix, self.durability)
            assert killed.run(items, fates={items[-1]: "poison"}).killed
            for lines in template.rglob("*.jsonl"):
                with lines.open("ab") as file:
                    file.write(b'{"seq":99,"commit":')
        shutil.copytree(template, self.folder, dirs_exist_ok=True)
        self.kills += 1


class Copies(Loop):
    """Copy or move a whole journal into the other format; both are sound after any kill, the copy whole or absent."""

    def begin(self, items):
        template = self.folder.with_name("source")
        if not template.exists():
            Loop(self.server, template, "each", self.suffix, self.durability).finish(items)
        shutil.copytree(template, self.folder, dirs_exist_ok=True)
        self.ledger.unlink()

    @property
    def target(self):
        return self.folder / {"db": "copy.jsonl"}.get(self.suffix, "copy.db")

    def plan(self, items, **more):
        return super().plan(items, target=str(self.target), **more)

    def run(self, items, **more):
        return super().run(items, program="copying", **more)

    def finish(self, items):
        if self.loop == "copy" and self.target.exists():
            return None
        return super().finish(items)

    def check(self):
        theirs = [self.story(self.place), self.story(self.target) if self.target.exists() else None]
        items = [f"item-{number}" for number in range(ITEMS)]
        assert self.done() == items, "lost: items of the source"
        assert theirs[1] in (None, theirs[0]), "the copy is not what the source is"
        if self.count().acknowledged:
            assert theirs[1], "lost: the copy"

    def story(self, place):
        with leftoff.open(place) as journal:
            assert journal.verify() == []
            return [(e.kind, e.key, e.value) for e in journal.entries("work") if e.kind not in ("owner", "open")]

    def result(self):
        return self.story(self.target)


class InPostgres(Loop):
    """Walk items into a journal in PostgreSQL: a run of its own for each kill."""

    def __init__(self, server, folder, loop, url, durability):
        super().__init__(server, folder, loop, "url", durability)
        self.place, self.name = url, folder.name

    @property
    def tables(self):
        return True

    def rows(self):
        with closing(psycopg.connect(self.place)) as connection:
            query = "SELECT key, half, value FROM made WHERE split_part(key, '-', 1) = %s"
            rows = connection.execute(query, [self.name]).fetchall()
        assert len({row[:2] for row in rows}) == len(rows), "rows came twice"
        return {row[:2]: row[2] for row in rows}

    def result(self):
        """Return what a completed run leaves behind, without the name that its keys begin with."""
        return sorted(key.partition("-")[2] for key in self.done()), self.dead(), len(self.rows())


SCENES = {
    "each": Loop, "batches": Loop, "map": Loop, "threads": Loop, "steps": Steps, "decisions": Decisions,
    "opening": Opening, "copy": Copies, "move": Copies,
}  # fmt: skip
"""Each loop of `programs.py`, and what walks it and checks it."""
