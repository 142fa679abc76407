"""The programs that are killed: plain uses of leftoff that write down, apart from the journal, what happened."""

import asyncio
import functools
import json
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import leftoff
import leftoff.journal.postgres  # else each fork would import these anew
import leftoff.journal.sqlite
import leftoff.work.copy
from leftoff.testing.kills import Ledger, ask_for_kill, count, die, read_ledger

WORKERS = 4
SIZE = 3  # of a batch
STEPS = 2


def product(key):
    """What the work on an item brings: anything that depends on its key alone."""
    return {"key": key, "square": int(key.rpartition("-")[2]) ** 2}


def save(connection, key, value):
    """Write two rows that must come and go together; nothing but leftoff keeps them from coming twice."""
    mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
    if mark == "?":
        connection.execute("CREATE TABLE IF NOT EXISTS made (key TEXT, half INTEGER, value TEXT)")
    for half in (1, 2):
        connection.execute(f"INSERT INTO made VALUES ({mark}, {mark}, {mark})", (key, half, json.dumps(value)))


def work(plan):
    """Walk a plan's items by its loop."""
    ledger = Ledger(plan["ledger"])
    with leftoff.open(plan["place"], durability=plan["durability"]) as journal:
        LOOPS[plan["loop"]](journal.run(plan["run"]), plan, ledger)
    os._exit(0)  # all is closed, and the end of an interpreter takes longer than this program


def copying(plan):
    """Copy a journal, or move it."""
    ledger = Ledger(plan["ledger"])
    if plan["loop"] == "move":
        leftoff.work.copy.move(plan["place"], plan["target"])
    else:
        with leftoff.open(plan["place"]) as journal:
            journal.copy(plan["target"])
    ledger.acknowledged("copy")
    os._exit(0)


def one(plan, ledger, key):
    """Work on one item."""
    ledger.executed(key)
    fate = plan.get("fates", {}).get(key)
    if fate == "poison":
        die()
    if fate == "unlucky" and count(read_ledger(plan["ledger"])).executed[key] < 5:
        ask_for_kill()
    time.sleep(plan["seconds"])  # the work; without it a run would be over before a kill can hit it
    return product(key)


def tables(plan):
    return plan["place"].endswith(".db") or "://" in plan["place"]


def each(run, plan, ledger):
    previous = None
    for key in run.each(feed(plan), progress=False):
        if previous is not None:
            ledger.acknowledged(previous)
        value = one(plan, ledger, key)
        if tables(plan):
            save(run.connection, key, value)
        if plan.get("hasty"):
            ledger.acknowledged(key)  # a lie: its body has not come back yet
        previous = key
    if previous is not None:
        ledger.acknowledged(previous)


def batches(run, plan, ledger):
    previous = []
    for batch in run.batches(feed(plan), size=plan.get("size", SIZE), progress=False):
        for key in previous:
            ledger.acknowledged(key)
        for key in batch:
            value = one(plan, ledger, key)
            if tables(plan):
                save(run.connection, key, value)
        previous = batch
    for key in previous:
        ledger.acknowledged(key)


def elsewhere(plan, key):
    """Work on one item in another process."""
    return one(plan, Ledger(plan["ledger"]), key)


def processes():
    return ProcessPoolExecutor(WORKERS, get_context("fork"))  # the quickest to begin


def in_map(run, plan, ledger, workers=None, executor=None):
    write = (lambda connection, outcome: save(connection, outcome.key, outcome.value)) if tables(plan) else None
    function = functools.partial(elsewhere, plan) if executor else functools.partial(one, plan, ledger)
    for outcome in run.map(function, feed(plan), workers=workers, executor=executor, write=write, progress=False):
        acknowledge(plan, ledger, outcome)


def tasks(run, plan, ledger):
    """Map a coroutine function."""
    write = (lambda connection, outcome: save(connection, outcome.key, outcome.value)) if tables(plan) else None
    without = {**plan, "seconds": 0}

    async def work(key):
        value = one(without, ledger, key)
        await asyncio.sleep(plan["seconds"])
        return value

    async def main():
        async for outcome in run.amap(work, feed(plan), concurrency=WORKERS, write=write, progress=False):
            acknowledge(plan, ledger, outcome)

    asyncio.run(main())


def acknowledge(plan, ledger, outcome):
    if outcome.error is None:
        assert outcome.value == product(outcome.key), outcome
        ledger.acknowledged(outcome.key)
    if outcome.key == plan.get("kill_behind"):
        ask_for_kill()


def steps(run, plan, ledger):
    """Run some steps, then walk the items, each of which moves a cursor."""
    for number in range(STEPS):
        run.step(f"step-{number}", functools.partial(one, plan, ledger, f"step-{number}"))
        ledger.acknowledged(f"step-{number}")
    cursor, previous = run.cursor("at"), None
    if cursor.value is None:
        cursor.advance("start")
        ledger.note("moved", "start")
    for key in run.each(feed(plan), progress=False):
        if previous is not None:
            ledger.acknowledged(previous)
        one(plan, ledger, key)
        cursor.advance(key)
        previous = key
    if previous is not None:
        ledger.acknowledged(previous)


def decisions(run, plan, ledger):
    """Walk the items, of which the last one fails; forget the first, retry the last; walk them again."""
    first, last = plan["items"][0], plan["items"][-1]
    phase = run.cursor("phase", start=0)

    def attempt(key):
        ledger.executed(f"{phase_now}.{key}")
        if phase_now == 0 and key == last:
            raise ValueError(key)
        return product(key)

    while (phase_now := phase.value) < 3:
        if phase_now == 1:
            run.retry([last])
            ledger.note("retried", last)
            run.forget([first])
            ledger.note("forgot", first)
        else:
            for outcome in run.map(attempt, plan["items"], attempts=1, progress=False):
                ledger.note("acknowledged" if outcome.error is None else "buried", f"{phase_now}.{outcome.key}")
        phase.advance(phase_now + 1)


LOOPS = {
    "each": each,
    "batches": batches,
    "map": functools.partial(in_map, workers=1),
    "threads": functools.partial(in_map, workers=WORKERS),
    "tasks": tasks,
    "processes": functools.partial(in_map, executor=processes),
    "steps": steps,
    "decisions": decisions,
    "opening": each,
}


def feed(plan):
    """Bring the items: from a list, or from a generator that waits for ever behind them."""
    return stall(plan) if plan.get("stall") else plan["items"]


def stall(plan):
    yield from plan["items"]
    if "kill_behind" not in plan:
        ask_for_kill()
    threading.Event().wait()


def forking(plan):
    """Be killed in an item while a forked child lives on."""
    ledger = Ledger(plan["ledger"])
    with leftoff.open(plan["place"], durability=plan["durability"]) as journal:
        for key in journal.run(plan["run"]).each(plan["items"], progress=False):
            ledger.executed(key)
            child = os.fork()
            if child == 0:
                signal.pause()
            ledger.note("child", child)
            ask_for_kill()
