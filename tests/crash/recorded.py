"""The program whose calls are recorded: uses of leftoff chosen by a seed, which tell what was acknowledged.

    recorded.py SUFFIX DURABILITY WITHOUT FOLDER SEED [FOLDER SEED ...]

WITHOUT, if not empty, names a sync that is left out, one that an acknowledgement rests on: that must be found. With
``insist`` the program goes on with a journal that has refused to.
"""

import ast
import json
import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path

import leftoff
from leftoff.journal import sqlite, sqlite_file, sync
from leftoff.testing.power import tell

PRODUCT = Path(leftoff.__file__).parent
PLACES = {"jsonl": "work.jsonl", "db": "work.db", "segments": "work/"}
"""Where each embedded store keeps its journal: what the tests call it, and its name in the folder."""
RUN = "work, under a name so long that the first commit fills more than the first sector of its file"
TEXT = "αβγ-lorem ipsum "  # two bytes and one


def value_of(key, size):
    """What an item brings: recognisable, and of any length."""
    return {"key": key, "text": (f"{key} {TEXT}" * (1 + size // 20))[:size]}


def size_of(seed, key):
    return random.Random(f"{seed} {key}").choice((0, 10, 90, 400, 700, 3000, 9000))


def each(run, plan):
    previous = None
    for key in run.each(plan.items, progress=False):
        if previous is not None:
            tell("acknowledged", previous)
        tell("executed", key)
        plan.save(run, key)
        previous = key
    if previous is not None:
        tell("acknowledged", previous)


def batches(run, plan):
    previous = []
    for batch in run.batches(plan.items, size=plan.rng.randint(1, 5), progress=False):
        for key in previous:
            tell("acknowledged", key)
        for key in batch:
            tell("executed", key)
            plan.save(run, key)
        previous = batch
    for key in previous:
        tell("acknowledged", key)


def in_map(run, plan):
    write = (lambda connection, outcome: plan.insert(connection, outcome.key)) if plan.tables else None
    workers = plan.rng.choice((1, 3))
    for outcome in run.map(plan.make, plan.items, workers=workers, write=write, attempts=1, progress=False):
        tell("acknowledged" if outcome.error is None else "buried", outcome.key)


def stop_early(run, plan):
    """Leave the last items to nobody: one is given back, the loop is closed."""
    for key in run.each(plan.items, progress=False):
        tell("executed", key)
        plan.save(run, key)
        if key == plan.items[-1]:
            break


class Plan:
    """What one part of the program works on."""

    def __init__(self, place, durability, seed, part, rng):
        self.place, self.tables, self.seed, self.rng = place, place.endswith(".db"), seed, rng
        self.seconds = 0.02 if durability == "process" else 0  # of work on an item: syncs come in between
        self.items = [f"item-{part}-{number}" for number in range(rng.randint(2, 7))]

    def make(self, key):
        tell("executed", key)
        time.sleep(self.seconds)
        if key.endswith("-1") and self.seed % 2:
            raise ValueError(key)
        return value_of(key, size_of(self.seed, key))

    def save(self, run, key):
        time.sleep(self.seconds)
        if self.tables:
            self.insert(run.connection, key)
        if self.rng.random() < 0.3:
            run.cursor("since").advance([key, TEXT])

    def insert(self, connection, key):
        connection.execute("CREATE TABLE IF NOT EXISTS made (key TEXT, half INTEGER, value TEXT)")
        for half in (1, 2):
            value = json.dumps(value_of(key, size_of(self.seed, key)))
            connection.execute("INSERT INTO made VALUES (?, ?, ?)", (key, half, value))


def small_parts(run, number):
    """Use what stands beside the items."""
    run.step(f"step-{number}", lambda: number)
    tell("step", f"step-{number}")
    run.cursor("outside").advance(number)
    tell("cursor", number)


def replace(folder, number):
    text = f"{number} " * (number + 1) * 200
    tell("replacing", number)
    with leftoff.replacing(Path(folder, "replaced")) as file:
        file.write(text)
    tell("replaced", number)


def use(run, plan, part):
    """Use a run in a way that chance chooses."""
    if plan.tables:
        run.connection.execute(f"PRAGMA wal_autocheckpoint={plan.rng.choice((5, 15, 1000))}")
    plan.rng.choice((each, each, batches, in_map, in_map, stop_early))(run, plan)
    small_parts(run, part)


def begin_and_die(place, durability, syncs):
    """Let a process before this one die where it would sync, after so many times."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    left = iter(range(syncs))

    def sync_or_die(fd, sync=os.fsync):
        if next(left, None) is None:
            os._exit(1)
        sync(fd)

    os.fsync = os.fdatasync = sync_or_die
    with leftoff.open(place, durability=durability) as journal:
        journal.run(RUN).cursor("first").advance(0)
        os._exit(0)


def insist(journal, error):
    """Try to go on with a journal that has refused to, and end."""
    tell("refused", type(error).__name__)
    run = journal.run(RUN)
    for attempt in (lambda: list(run.each(["probe"], progress=False)), lambda: run.step("probe", str)):
        with suppress(leftoff.JournalError):
            attempt()
            tell("not", "refused")
    tell("refused", "again")
    os._exit(3)


def main(suffix, durability, without, *places):
    """Work in one folder after the other."""
    if without in WITHOUT:
        WITHOUT[without]()
    for folder, seed in zip(places[::2], places[1::2], strict=True):
        tell("folder", folder)
        work(folder, PLACES[suffix], durability, int(seed), insists=without == "insist")


def work(folder, name, durability, seed, *, insists):
    """Open the journal a few times, and use it each time in another way."""
    rng = random.Random(seed)
    place = f"{folder}/{name}"
    if seed % 2 and not insists:
        begin_and_die(place, durability, rng.randrange(4))
    for part in range(rng.randint(2, 4)):
        with leftoff.open(place, durability=durability) as journal:
            try:
                use(journal.run(RUN), Plan(place, durability, seed, part, rng), part)
            except leftoff.JournalError as error:
                if not insists:
                    raise
                insist(journal, error)
        if durability == "power":
            replace(folder, part)


def sync_sites():
    """Return where the product syncs: file, function and number of the call in it, with the line."""
    sites = {}
    for path in sorted(PRODUCT.rglob("*.py")):
        if "testing" in path.parts:
            continue
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
                names = [(call.lineno, call.func.id) for call in calls if isinstance(call.func, ast.Name)]
                for name in ("sync_file", "sync_directory"):
                    lines = sorted(line for line, called in names if called == name)
                    sites |= {f"{path.name} {function.name} {name} {n}": line for n, line in enumerate(lines)}
    return sites


def leave_out(site):
    """Leave one call out, in all of leftoff."""

    def leave():
        file, caller, name, _ = site.split()
        original, line = getattr(sync, name), sync_sites()[site]

        def selective(*arguments):
            frame = sys._getframe(1)
            here = Path(frame.f_code.co_filename).name, frame.f_code.co_name, frame.f_lineno
            if here != (file, caller, line):
                original(*arguments)

        for module in list(sys.modules.values()):
            if module.__name__.startswith("leftoff.") and getattr(module, name, None) is original:
                setattr(module, name, selective)

    return leave


def with_normal_synchronous():
    original = sqlite_file.set_durability
    sqlite.set_durability = lambda fetch, path, *, power: original(fetch, path, power=False)


def without_rename():
    """Write over the file that is to be replaced."""

    def overwrite(temporary, target):
        with open(target, "wb", buffering=0) as file:
            file.write(temporary.read_bytes())
            os.fsync(file.fileno())
        temporary.unlink()

    os.replace = overwrite


NEEDED = {
    "jsonl_owner.py _write sync_file 0": "power",  # a commit
    "jsonl_owner.py _sync_on sync_file 0": "process",  # what the next lines say is synced
    "jsonl.py _recover sync_file 0": "power",  # the header
    "jsonl.py _recover sync_directory 0": "power",
    "jsonl.py _recover sync_file 2": "process",  # what a process that died left, and the next lines call synced
    "segments.py _create sync_directory 0": "power",
    "segments_header.py make_header sync_file 0": "power",
    "sqlite_owner.py __init__ sync_directory 0": "power",
    "sync.py put_in_place sync_file 0": "power",
    "sync.py put_in_place sync_directory 0": "power",
}
"""The syncs that what is promised rests on, with the durability that promises it."""

OTHERS = {
    "jsonl.py _recover sync_file 1": "the next sync of the file covers the cut",
    "segments_header.py make_header sync_directory 0": "the first segment's own name is synced in the same directory",
    "segments_copying.py appearing_directory sync_file 0": "of a copy: the recorded program makes none",
    "segments_copying.py appearing_directory sync_directory 0": "of a copy: the recorded program makes none",
    "segments_copying.py appearing_directory sync_directory 1": "of a copy: the recorded program makes none",
    "jsonl_owner.py close sync_file 0": "what 'process' has not promised yet",
    "outputs.py _make_folder sync_directory 0": "of commands: the recorded program starts none",
    "sync.py keep_aside sync_file 0": "what was cut off was never acknowledged",
    "sync.py keep_aside sync_directory 0": "what was cut off was never acknowledged",
}
"""The other syncs, and why no acknowledgement rests on them."""

WITHOUT = {
    **{site: leave_out(site) for site in NEEDED},
    "SQLite's FULL": with_normal_synchronous,
    "the rename of replacing()": without_rename,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
