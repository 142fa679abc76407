"""Budgets that survive restarts: what is charged is never forgotten, and what may have been paid for is named."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import UsageError
from tests.contract.stores import Lives, everywhere
from tests.work import computed

LOOPS = ["each", "batches", "map", "threads", "aeach", "amap"]


def pay(item: Any) -> str:
    leftoff.current().charge(usd=0.25, tokens=100)
    return f"paid {item}"


def loop(run: leftoff.Run, kind: str, items: Any, **options: Any) -> list[str]:
    """Work on items that cost a quarter each; return which were worked on."""
    worked: list[str] = []

    def work(item: Any) -> None:
        pay(item)
        worked.append(str(item))

    if kind == "each":
        for item in run.each(items, progress=False, **options):
            work(item)
    elif kind == "batches":
        for batch in run.batches(items, 2, progress=False, **options):
            for item in batch:
                work(item)
    elif kind in ("map", "threads"):
        list(run.map(work, items, workers=3 if kind == "threads" else None, progress=False, **options))
    else:
        asyncio.run(loop_async(run, kind, items, work, **options))
    return worked


async def loop_async(run: leftoff.Run, kind: str, items: Any, work: Callable[[Any], None], **options: Any) -> None:
    async def awaited(item: Any) -> None:
        await asyncio.sleep(0)
        work(item)

    if kind == "amap":
        async for _ in run.amap(awaited, items, concurrency=3, progress=False, **options):
            pass
    else:
        async with run.aeach(items, progress=False, **options) as each:
            async for item in each:
                await awaited(item)


@everywhere
@pytest.mark.parametrize("kind", LOOPS)
def test_a_run_stops_when_its_budget_is_spent(place: str, kind: str) -> None:
    """Nothing begins once a limit is reached, in this process or the next; a greater budget goes on where it was."""
    lives, worked = Lives(place), []
    width = {"batches": 1, "threads": 2, "amap": 2}.get(kind, 0)  # what was begun already
    with lives.open() as journal:
        run = journal.run("r")
        with pytest.raises(leftoff.Stopped, match=r"budget, .* 1(\.\d+)? of 1\); .* with a greater one") as stopped:
            worked = loop(run, kind, range(12), budget={"usd": 1, "tokens": 10_000})
        assert stopped.value.code == 75
    with lives.open() as journal:
        run = journal.run("r")
        done = list(run.keys("done"))
        assert 4 <= len(done) <= 4 + width
        assert run.spent() == {"usd": 0.25 * len(done), "tokens": 100 * len(done)}
        with pytest.raises(leftoff.Stopped):
            loop(run, kind, range(12), budget={"usd": 1})
        assert list(run.keys("done")) == done
        worked = loop(run, kind, range(12), budget={"usd": 3.5})
        assert sorted(map(int, [*done, *worked])) == list(range(12))
        assert run.spent() == {"usd": 3, "tokens": 1200}
        assert run.uncertain() == []


@pytest.mark.parametrize("kind", LOOPS)
def test_what_needs_no_work_needs_no_budget(kind: str) -> None:
    """With its budget spent, a run whose items are all done is complete."""
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")
        loop(run, kind, range(4), budget={"usd": 2})
        assert loop(run, kind, range(4), budget={"usd": 0.5}) == []
        assert run.report().missing == 0


def test_a_tenth_ten_times_is_one() -> None:
    """Amounts add up as people write them."""
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")
        with pytest.raises(leftoff.Stopped):
            for _ in run.each(range(20), budget={"usd": 1}, progress=False):
                leftoff.current().charge(usd=0.1)
        assert (len(list(run.keys("done"))), run.spent()) == (10, {"usd": 1})


@everywhere
def test_a_failed_attempt_costs_too(place: str) -> None:
    """What was charged stays charged, whatever became of the item and its rows."""
    lives = Lives(place)

    def fail(item: str) -> None:
        pay(item)
        raise ValueError(item)

    with lives.open() as journal:
        run = journal.run("r")
        list(run.map(fail, "a", attempts=2, progress=False))
        list(run.map(fail, "b", attempts=1, workers=2, progress=False))
        with pytest.raises(ValueError, match="c"):
            for item in run.each("c", progress=False):
                fail(item)
        run.settle(None)
        assert run.spent() == {"usd": 1, "tokens": 400}
        assert len(run.dead()) == 2


def test_rows_and_charges_of_one_item() -> None:
    """A charge behind an item's rows commits with them; the rows of an item that fails go, its charges stay."""
    with leftoff.open("run.db") as journal:
        run = journal.run("r")
        run.connection.execute("CREATE TABLE paid (item)")

        def work(item: str) -> None:
            leftoff.current().charge(usd=1)
            run.connection.execute("INSERT INTO paid VALUES (?)", (item,))
            leftoff.current().charge(usd=1)
            if item == "b":
                raise ValueError(item)

        list(run.map(work, "abc", attempts=1, progress=False))
        for item in run.each("d", progress=False):
            work(item)
        for (item,) in run.batches("e", 1, progress=False):
            work(item)
        assert run.connection.execute("SELECT item FROM paid").fetchall() == [("a",), ("c",), ("d",), ("e",)]
        assert run.spent() == {"usd": 10}
        assert journal.verify() == []


def test_a_charge_inside_an_inner_loop_takes_no_rows_of_the_outer_item_along() -> None:
    """The rows of an outer item wait for their own commit, however much is charged inside it."""
    with leftoff.open("run.db") as journal:
        outer, inner = journal.run("outer"), journal.run("inner")
        outer.connection.execute("CREATE TABLE t (item)")
        with pytest.raises(ValueError, match="half-way"):
            for item in outer.each("a", progress=False):
                for _ in inner.each("xy", progress=False):
                    outer.connection.execute("INSERT INTO t VALUES (?)", (item,))
                    leftoff.current().charge(usd=1)
                    raise ValueError("half-way")
        outer.settle(None)
        inner.settle(None)
        assert outer.connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        assert inner.spent() == {"usd": 1}


def test_charges_of_other_processes_come_with_their_items() -> None:
    """What a process of an executor charges is counted when its attempt comes back."""
    with leftoff.open("run.jsonl") as journal, ProcessPoolExecutor(2) as pool:
        run = journal.run("r")
        with pytest.raises(leftoff.Stopped):
            list(run.map(computed.charge, range(20), executor=pool, budget={"usd": 1}, progress=False))
        done = list(run.keys("done"))
        assert 4 <= len(done) <= 5
        assert run.spent() == {"usd": 0.25 * len(done)}


def test_a_charge_from_a_thread_of_the_item_is_counted() -> None:
    """A thread that the body of an asynchronous loop waits for charges the item, too."""
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")

        async def main() -> None:
            async for item in run.aeach("ab", progress=False):
                await asyncio.to_thread(pay, item)

        asyncio.run(main())
        assert run.spent() == {"usd": 0.5, "tokens": 200}


def test_what_is_charged_in_a_thread_is_committed_while_the_item_goes_on() -> None:
    """An item of hours does not keep its charges back until it ends."""
    with leftoff.open("run.jsonl") as journal:
        run, seen = journal.run("r"), threading.Event()

        def work(item: str) -> None:
            pay(item)
            assert seen.wait(60)

        def look() -> None:
            while not run.spent():
                time.sleep(0.01)
            seen.set()

        looking = threading.Thread(target=look)
        looking.start()
        list(run.map(work, "a", workers=2, progress=False))
        looking.join()


@pytest.mark.parametrize(
    ("amounts", "said"),
    [
        ({"usd": -1}, "usd=-1 must be a finite number, not below 0"),
        ({"usd": float("nan")}, "usd=nan must be"),
        ({"usd": "1"}, "usd='1' must be"),
        ({"usd": True}, "usd=True must be"),
        ({}, "give amounts by name"),
        (20, "give amounts by name"),
    ],
)
def test_what_is_no_amount_is_refused(amounts: Any, said: str) -> None:
    """A budget that is none is refused before a journal is made, a charge that is none before it is counted."""
    with pytest.raises(UsageError, match=re.escape(said)):
        leftoff.each("a", "run.jsonl", run="r", budget=amounts)
    assert not Path("run.jsonl").exists()
    if isinstance(amounts, dict):
        with leftoff.open("other.jsonl") as journal:
            for _ in journal.run("r").each("a", progress=False):
                with pytest.raises(UsageError, match=re.escape(said)):
                    leftoff.current().charge(**amounts)
            assert journal.run("r").spent() == {}


def test_outside_of_an_item_nothing_is_charged() -> None:
    """Without an item in hand there is nobody to charge."""
    with pytest.raises(UsageError, match="no item is in hand here"):
        leftoff.current().charge(usd=1)


def test_each_share_of_the_keys_has_a_budget_of_its_own() -> None:
    """A budget is that of one share; the run has spent what all of them have."""
    for number in range(2):
        with leftoff.open("run/") as journal, pytest.raises(leftoff.Stopped):
            for item in journal.run("r").each(range(40), shard=(number, 2), budget={"usd": 1}, progress=False):
                pay(item)
    with leftoff.open("run/") as journal:
        assert journal.run("r").spent() == {"usd": 2, "tokens": 800}


PAYING = """
    import os, sys, threading, time, leftoff
    kind, place = sys.argv[1:3]

    def pay(item):
        current = leftoff.current()
        with open("ledger", "a") as ledger:
            ledger.write(f"{current.key} {current.attempt} {current.token}\\n")  # the service's own books
        time.sleep(0.003)
        current.charge(usd=0.25)
        time.sleep(0.003)
        return item

    with leftoff.open(place) as journal:
        run = journal.run("r")
        options = {"budget": {"usd": 1000}, "progress": False, "crashes": 50}
        print("ready", flush=True)
        if kind == "each":
            for item in run.each(range(120), **options):
                pay(item)
        else:
            for _ in run.map(pay, range(120), workers=None if kind == "map" else 3, **options):
                pass
    """


@pytest.mark.parametrize("kind", ["each", "map", "threads"])
@pytest.mark.parametrize("place", ["run.jsonl", "run.db"])
def test_every_payment_is_charged_or_named_as_uncertain(kind: str, place: str, tmp_path: Path) -> None:
    """Killed again and again, a run has charged every payment in the service's books, or names its attempt, with the
    token that the service knows it by; and what it names as uncertain was cut off.
    """
    program, kills = tmp_path / "paying.py", 6
    program.write_text(textwrap.dedent(PAYING))
    for number in range(kills + 1):
        process = subprocess.Popen([sys.executable, program, kind, place], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        if number < kills:
            time.sleep(0.05 + 0.02 * number)
            process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == 0
    books = Counter(tuple(line.split()) for line in Path("ledger").read_text().splitlines())
    with leftoff.open(place) as journal:
        run = journal.run("r")
        assert len(list(run.keys("done"))) == 120
        uncertain = {(each.key, str(each.attempt), each.token) for each in run.uncertain()}
        charged = Counter((e.value["item"], str(e.value["attempt"])) for e in journal.entries() if e.kind == "charged")
        assert run.spent() == {"usd": 0.25 * charged.total()}
    assert max(books.values()) == max(charged.values()) == 1
    unpaid = {line for line in books if line[:2] not in charged}
    assert unpaid <= uncertain
    workers = 3 if kind == "threads" else 1
    assert len(uncertain) <= kills * workers


def test_what_a_cancellation_cuts_off_is_uncertain() -> None:
    """A task that is cancelled in the middle of a paid call is named; where the body left the loop nothing is."""
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")

        async def work(kind: str, begun: asyncio.Event) -> None:
            async def call(item: str) -> None:
                if item == "c":
                    begun.set()
                await asyncio.sleep(3600)

            if kind == "aeach":
                async with run.aeach("ab", budget={"usd": 1}, progress=False) as items:
                    async for _ in items:
                        begun.set()
                        await asyncio.sleep(3600)
            else:
                async for _ in run.amap(call, "bc", concurrency=2, budget={"usd": 1}, progress=False):
                    pass

        async def main(kind: str) -> None:
            begun = asyncio.Event()
            task = asyncio.create_task(work(kind, begun))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main("aeach"))
        assert [(each.key, each.attempt) for each in run.uncertain()] == [("a", 1)]
        asyncio.run(main("amap"))
        assert sorted(each.key for each in run.uncertain()) == ["a", "b", "c"]


def test_what_a_second_signal_cuts_off_is_uncertain() -> None:
    """A call that Ctrl-C twice tore off may have been paid for; one that was given back between two items was not."""
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")
        with pytest.raises(KeyboardInterrupt):
            for item in run.each("abc", budget={"usd": 1}, progress=False):
                if item == "b":
                    raise KeyboardInterrupt
        run.settle(KeyboardInterrupt())
        assert [(each.key, each.attempt) for each in run.uncertain()] == [("b", 1)]
        for _ in run.each("abc", budget={"usd": 1}, progress=False):
            break
        run.settle(None)
        assert len(run.uncertain()) == 1
