"""The programs in which calls fail, and what must hold afterwards: plain uses of leftoff with a ledger."""

import contextlib
import os
import sqlite3
import traceback
from collections import Counter
from pathlib import Path

with contextlib.suppress(ImportError):  # not every Python has it
    import _testcapi

import leftoff
import leftoff.journal.sqlite  # else each fork would import it anew
from leftoff.errors import JournalFull, JournalInDoubt, LeftoffError
from leftoff.journal import jsonl_owner
from leftoff.testing.kills import Ledger, read_ledger
from leftoff.work import retry
from tests.crash import programs

OLD, NEW = "old\n", "new\n" * 2000


def work(plan):
    """Use a journal to the end, or to the error that ends it; whatever is not an error of leftoff's gets out."""
    retry.delay = lambda *_, **__: 0.0  # how long a failed item waits is not what is tested
    ledger = Ledger(plan["ledger"])
    if plan.get("careless"):
        hide_failed_syncs()
    try:
        with leftoff.open(plan["place"], durability=plan["durability"]) as journal:
            run = journal.run("work")
            if "allocation" in plan:
                run.own()
                _testcapi.set_nomemory(plan["allocation"], plan["allocation"] + 1)
            try:
                USES[plan["use"]](run, plan, ledger)
            except LeftoffError as error:
                tell(ledger, error)
                if isinstance(error, (JournalInDoubt, JournalFull)) and is_of(error, "commit"):
                    insist(run, plan, ledger)
                raise
    except LeftoffError as error:
        tell(ledger, error)
    except sqlite3.Error as error:
        if not is_of(error, "save"):
            raise
        ledger.note("own", error)
    else:
        ledger.note("finished", plan["use"])


def tell(ledger, error):
    ledger.note("refused", f"{type(error).__name__} {str(error).splitlines()[0]}")


def is_of(error, name):
    """Say whether an error was raised in a function: ``save`` runs the user's own statements, ``commit`` commits."""
    return any(frame.f_code.co_name == name for frame, _ in traceback.walk_tb(error.__traceback__))


def insist(run, plan, ledger):
    """Go on with a handle whose commit failed: it must refuse."""
    try:
        programs.each(run, {**plan, "items": ["more-1"]}, ledger)
    except LeftoffError:
        return
    ledger.note("insisted", "more-1")


def mended(run, plan, ledger):
    """Let an item die and live again, take another back, and do them anew."""
    first, last = plan["items"][0], plan["items"][-1]

    def function(key):
        ledger.executed(key)
        if key == last and not revived():
            raise ValueError("not yet")
        return programs.product(key)

    def revived():
        return any(line.word == "reviving" for line in read_ledger(plan["ledger"]))

    def walk():
        for outcome in run.map(function, plan["items"], attempts=1, progress=False):
            if outcome.error is None:
                ledger.acknowledged(outcome.key)

    walk()
    ledger.note("forgetting", first)
    run.forget([first])
    ledger.note("reviving", last)
    run.retry()
    walk()


def positions(run, plan, ledger):
    """Record steps and a cursor's positions, inside items and beside them."""

    def build(key):
        ledger.executed(f"step {key}")
        return key

    cursor = run.cursor("since", start=0)
    for number, key in enumerate(plan["items"]):
        run.step("build", build, key)
        ledger.acknowledged(f"step {key}")
        if cursor.value < number:
            cursor.advance(number)
        ledger.note("advanced", number)
    for key in run.each(plan["items"], progress=False):
        ledger.executed(key)
        cursor.advance(cursor.value + 1)
    ledger.note("advanced", 2 * len(plan["items"]) - 1)


def replaced(run, plan, ledger):
    """Replace a file of the user's in each item."""
    for key in run.each(plan["items"], progress=False):
        ledger.executed(key)
        try:
            with leftoff.replacing(result_of(plan)) as file:
                file.write(NEW)
        except OSError as error:  # the system's own, as it promises
            ledger.note("own", error)
            return
        ledger.note("replaced", key)


def hide_failed_syncs():
    """Be a journal that takes a failed sync for a good one."""

    def sync(fd):
        with contextlib.suppress(OSError):
            os.fdatasync(fd)

    jsonl_owner.sync_file = sync


LOOPS = {loop: programs.LOOPS[loop] for loop in ("each", "batches", "map", "threads")}
USES = {**LOOPS, "mended": mended, "positions": positions, "replaced": replaced}


def result_of(plan):
    return Path(plan["place"]).with_name("result.txt")


# -- without faults ----------------------------------------------------------------------------------------------


def resume(plan):
    """Check what the fault left, and let the work go on to its end."""
    check(plan)
    work(plan)
    lines = read_ledger(plan["ledger"])
    assert lines[-1].word == "finished", lines[-1]
    done = check(plan)
    assert done >= set(plan["items"]), f"not done: {set(plan['items']) - done}"
    os._exit(0)  # its end is not what is tested, and costs as much as all the rest


def check(plan):
    """Hold the journal against the ledger: nothing is lost, little is repeated, rows and files are whole."""
    lines = read_ledger(plan["ledger"])
    acknowledged, executed, redone, notes = set(), Counter(), [], {}
    for word, _, key in lines:
        notes[word] = key
        if word == "executed":
            if key in acknowledged:
                redone.append(key)
            executed[key] += 1
        elif word == "acknowledged":
            acknowledged.add(key)
        elif word in ("forgetting", "reviving"):
            acknowledged.discard(key)
            executed.pop(key, None)
    assert "insisted" not in notes, "a handle whose commit failed went on"
    assert redone == [], f"worked on again though acknowledged: {redone}"
    repeats = sum(executed.values()) - len(executed)
    assert repeats <= plan["in_flight"], f"{repeats} repeats"
    with leftoff.open(plan["place"], durability=plan["durability"]) as journal:
        assert journal.verify() == []
        run = journal.run("work")
        done = set(run.keys("done"))
        steps = {f"step {entry.value}" for entry in journal.entries("work") if entry.kind == "step"}
        position = run.cursor("since", start=0).value
    lost = {key for key in acknowledged if key not in done | steps}
    assert not lost, f"lost: {lost}"
    assert position >= int(notes.get("advanced", 0)), "the cursor went back"
    if plan["use"] in LOOPS and plan["place"].endswith(".db"):
        assert rows(plan["place"]) == Counter((key, half) for key in done for half in (1, 2)), "rows are not whole"
    content = result_of(plan).read_text()
    assert content == NEW or (content == OLD and "replaced" not in notes), f"half a file: {content[:50]!r}"
    return done


def rows(place):
    """Read what the items wrote, without leftoff."""
    with contextlib.closing(sqlite3.connect(place)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'made'").fetchone() is None:
            return Counter()
        return Counter(connection.execute("SELECT key, half FROM made").fetchall())


# -- without memory ----------------------------------------------------------------------------------------------


def starved(plan):
    """Use a journal while one of Python's allocations fails; inside the interpreter that may come out as any error."""
    with contextlib.suppress(Exception):
        work(plan)
    _testcapi.remove_mem_hooks()
