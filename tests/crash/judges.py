"""What must be true of every disk that a power failure can leave."""

import io
import os
import re
import sqlite3
from contextlib import closing, redirect_stderr, suppress
from pathlib import Path

import leftoff
from tests.crash import recorded


def judge(folder, told, *, power=True):
    """Return what is wrong with a folder that held the journal of `recorded.py`."""
    place = find(folder)
    expected = Expected(told, power=power)
    try:
        problem = expected.missing_of(NOTHING) if place is None else look(place, expected)
    except (leftoff.LeftoffError, sqlite3.Error) as error:
        return f"damaged: {type(error).__name__}: {error}"
    return problem or (replaced(folder, told) if power else None)


def judge_process(folder, told):
    """Judge a journal whose entries need to survive a power failure only as far as they were synced."""
    return judge(folder, told, power=False)


def find(folder):
    """Return the journal in a folder, None where there is none."""
    places = (f"{folder}/{name}" for name in recorded.PLACES.values())  # as text: a directory ends with a slash
    return next((place for place in places if Path(place).exists()), None)


class Expected:
    """What had been told: what must be there, and what may be."""

    def __init__(self, told, *, power):
        sure = [line for line in told if power or line.safe]
        self.acknowledged = {line.key for line in sure if line.word == "acknowledged"}
        self.buried = {line.key for line in sure if line.word == "buried"}
        self.begun = {line.key for line in told if line.word == "executed"}
        self.steps = {line.key for line in sure if line.word == "step"}
        self.cursor = max((int(line.key) for line in sure if line.word == "cursor"), default=-1)

    def missing_of(self, found):
        fates = found["done"] | found["dead"]
        if lost := self.acknowledged - found["done"]:
            return f"lost: {sorted(lost)}"
        if lost := self.buried - found["dead"]:
            return f"lost: the dead letters {sorted(lost)}"
        if (-1 if found["cursor"] is None else found["cursor"]) < self.cursor:
            return f"lost: the cursor {self.cursor}, at {found['cursor']}"
        if lost := self.steps - found["steps"]:
            return f"lost: the steps {sorted(lost)}"
        if invented := fates - self.begun - {"probe"}:
            return f"invented: {sorted(invented)}"
        return None


NOTHING = {"done": set(), "dead": set(), "steps": set(), "cursor": None}


def look(place, expected):
    """Open the journal, go on with it and open it again, and compare what is found with what is expected."""
    notes = io.StringIO()
    with redirect_stderr(notes), leftoff.open(place) as journal:
        found = state(journal)
        for _ in journal.run(recorded.RUN).each(["probe"], progress=False):
            pass
    with leftoff.open(place) as journal:
        after = state(journal)
        if damage := journal.verify():
            return f"damaged: {damage}"
    if after["done"] - {"probe"} != found["done"] - {"probe"} or after["dead"] != found["dead"]:
        return f"changed by going on: {found} became {after}"
    return expected.missing_of(found) or rows(place, found["done"])


def state(journal):
    """Return what a journal holds; every value in it is the one that was recorded."""
    run = journal.run(recorded.RUN)
    entries = list(journal.entries(recorded.RUN))
    for entry in entries:
        if entry.kind == "done" and entry.value is not None:
            text = entry.value["text"]
            if entry.value != recorded.value_of(entry.key, len(text)):
                raise leftoff.JournalDamaged(f"the value of {entry.key} is not what was recorded")
    return {
        "done": set(run.keys("done")),
        "dead": {letter.key for letter in run.dead()},
        "steps": {entry.key for entry in entries if entry.kind == "step"},
        "cursor": run.cursor("outside").value,
    }


def rows(place, done):
    """The user's rows are those of the done items, whole."""
    if not place.endswith(".db"):
        return None
    with closing(sqlite3.connect(place)) as connection:
        found = []
        with suppress(sqlite3.OperationalError):  # there is no such table yet
            found = connection.execute("SELECT key, half FROM made ORDER BY key, half").fetchall()
        if (answer := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            return f"damaged: {answer}"
    expected = [(key, half) for key in sorted(done - {"probe"}) for half in (1, 2)]
    return None if found == expected else f"rows: {found} are not {expected}"


def replaced(folder, told):
    """A replaced file is as it was acknowledged last, or as a later replacement would have it."""
    numbers = [int(line.key) for line in told if line.word == "replaced"]
    begun = [int(line.key) for line in told if line.word == "replacing"]
    path = Path(folder, "replaced")
    if not path.exists():
        return f"lost: the replaced file, {numbers[-1]}" if numbers else None
    text = path.read_text("utf-8", "replace")
    allowed = numbers[-1:] + begun[-1:]
    if text not in {f"{number} " * (number + 1) * 200 for number in allowed}:
        return f"lost: the replaced file {allowed}, it holds {text[:20]!r} and {len(text)} characters"
    return None


def judge_garbage(folder, told, *, power=True):
    """Judge a disk that holds garbage where something was being written.

    A journal may then be reported as damaged, untouched; whatever was acknowledged stands before the place it names.
    """
    place = find(folder)
    before = contents(folder)
    try:
        if place is not None:
            leftoff.open(place).close()
    except leftoff.JournalError as error:
        if contents(folder) != before:
            return f"changed by a refusal: {error}"
        named = re.search(r"frame (\d+) of|the file is empty", str(error))
        if named and str(place).endswith(".db"):
            cut_log(Path(f"{place}-wal"), int(named[1] or 1))
            return judge(folder, told, power=power)
        damaged = max((path for path in folder.rglob("*") if str(error).startswith(str(path))), key=len_of)
        offset = re.search(r"\(offset (\d+)\)", str(error))
        os.truncate(damaged, int(offset[1]) if offset else 0)
    return judge(folder, told, power=power)


def cut_log(log, number):
    """Leave of SQLite's log what stands before the frame of that number, from 1."""
    if number == 1:
        # Before the header of the log is written anew all of it is in the database, or nothing was acknowledged.
        log.unlink()
        return
    page = int.from_bytes(log.read_bytes()[8:12], "big")
    os.truncate(log, 32 + (number - 1) * (24 + page))


def judge_lying(folder, told):
    """Judge what a disk holds that never synced: a loss cannot be seen where an end is missing, all else is damage."""
    place = find(folder)
    if place is None:
        return None
    try:
        with leftoff.open(place) as journal:
            if journal.verify():
                return None
            found = state(journal)
    except leftoff.LeftoffError:
        return None
    invented = (found["done"] | found["dead"]) - Expected(told, power=True).begun
    return f"invented: {sorted(invented)}" if invented else None


def judge_two(folder, told):
    """Judge a journal on which two processes worked, each on a run of its own."""
    expected = {line.key for line in told}
    place = find(folder)
    done = set()
    if place is not None:
        try:
            with leftoff.open(place) as journal:
                if damage := journal.verify():
                    return f"damaged: {damage}"
                done = {key for run in ("parent", "child") for key in journal.run(run).keys("done")}
        except leftoff.LeftoffError as error:
            return f"damaged: {error}"
    return f"lost: {sorted(expected - done)}" if expected - done else None


def contents(folder):
    """Return what all files hold, without what SQLite makes to read: its shared memory, and an empty log."""
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: data for path, data in whole.items() if data and not path.name.endswith("-shm")}


def len_of(path):
    return len(str(path))
