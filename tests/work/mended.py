"""What the tests of repairs and compactions run in processes of their own."""

import sqlite3
from contextlib import closing
from pathlib import Path

import leftoff
from leftoff.work.mend import compact as compact_journal
from leftoff.work.mend import repair as repair_journal
from tests.work import copied


def make(place, upto=9):
    copied.make(place, upto)


def harm(place):
    """Change the conclusion of one item of the first run, wherever the journal keeps it."""
    path = Path(place)
    if path.suffix == ".db":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(
                "UPDATE leftoff_entry SET value = '{}' WHERE run = 1 AND kind = 'done' AND key = 'item-5'"
            )
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    lines = path.read_bytes().split(b"\n")
    number = next(n for n, line in enumerate(lines) if b'"first"' in line and b'"done":"item-5"' in line)
    lines[number] = lines[number].replace(b'"of":"item-5"', b'"of":"item-7"')
    path.write_bytes(b"\n".join(lines))


def make_many(place):
    """Let two writers come and go, and damage what both left, with the header."""
    copied.make(place)
    with leftoff.open(place, durability="process") as journal:
        run = journal.run("first")
        run.forget(["item-7"])
        list(run.each(["item-7", "item-8"], progress=False))
        journal.run("second").retry(["item-4"])
        list(journal.run("second").each(["item-9", "item-10"], progress=False))
    first, second = sorted(Path(place).glob("*.jsonl"))
    for path, old in ((first, b'"done":"item-5"'), (second, b'"forgotten":"item-7"')):
        data = path.read_bytes()
        at = data.index(old)
        begin = data.rindex(b'"epoch":', 0, at)
        path.write_bytes(data[:begin] + b'"epoch":9' + data[begin + 9 :])
    header = Path(place, "journal.json")
    header.write_bytes(header.read_bytes().replace(b'"id"', b'"iD"'))


def compact(place):
    compact_journal(place)


def repair(place):
    repair_journal(place)


def work_on(place):
    """Work on all items of the first run; return those that were not done."""
    with leftoff.open(place) as journal:
        return list(journal.run("first").each(copied.ITEMS, progress=False))
