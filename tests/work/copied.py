"""What the tests of copies run in processes of their own."""

import itertools
import time
from pathlib import Path

import leftoff
import leftoff.work.copy
from leftoff.testing.kills import die

RUNS = ("first", "second")
ITEMS = [f"item-{number}" for number in range(9)]


def make(place, upto=9):
    """Work on items in two runs: most are done with a value, one is dead, one was forgotten, one is begun."""
    with leftoff.open(place, durability="process") as journal:
        for name in RUNS:
            run = journal.run(name)
            for _ in run.map(work, ITEMS[:upto], attempts=1, progress=False):
                pass
            run.step("index", lambda: {"built": True})
            run.cursor("since").advance("2026-11-23")
            run.forget(["item-1"])
            if place.endswith(".db"):
                fill(run)


def fill(run):
    run.connection.execute("CREATE TABLE IF NOT EXISTS made (key TEXT)")
    for key in run.each(["with-a-row"], progress=False):
        run.connection.execute("INSERT INTO made VALUES (?)", (key,))


def work(key):
    if key == "item-4":
        raise ValueError(key)
    return {"of": key, "text": "αβ\n" * 3}


def go_on(place, ledger):
    """Append items for ever, telling each that is done."""
    with leftoff.open(place, durability="process") as journal, Path(ledger).open("a", encoding="utf-8") as told:
        for number in journal.run("live").each(range(10**9), progress=False):
            told.write(f"{number}\n")
            told.flush()
            time.sleep(0.0005)  # or the journal would grow faster than anybody can read it again and again


def copy(source, target):
    with leftoff.open(source, create=False) as journal:
        journal.copy(target)


def move(source, target):
    leftoff.work.copy.move(source, target)


def counting_statements(function, source, target, number):
    """Copy or move, and die before the statement of that number that is sent to a PostgreSQL server; print how many."""
    from leftoff.journal.postgres_connection import Guarded

    own, sent = Guarded.own, itertools.count()

    def counted(self, sql, parameters=()):
        if next(sent) == number:
            die()
        return own(self, sql, parameters)

    Guarded.own = counted
    {"copy": copy, "move": move}[function](source, target)
    print(next(sent))
