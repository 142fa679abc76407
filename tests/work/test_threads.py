"""What threads add to a map: work in parallel, one thread that commits, and nothing mixed up between them."""

from __future__ import annotations

import gc
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import JournalLost, JournalMissing, UsageError
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.store import Owner
from leftoff.work import retry
from leftoff.work.rate import Limiter
from tests.contract import program
from tests.contract.stores import Lives, everywhere, on_files


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


@everywhere
def test_items_are_worked_on_at_the_same_time_and_never_more_than_workers(place):
    """Three workers meet at a barrier that only three can pass; a fourth place is never taken."""
    barrier = threading.Barrier(3)
    inside: set[int] = set()
    most = []

    def work(n: int) -> int:
        inside.add(n)
        most.append(len(inside))
        barrier.wait(timeout=30)
        inside.discard(n)
        return n

    with Lives(place).open() as journal:
        assert [o.value for o in journal.run("r").map(work, range(9), workers=3)] == list(range(9))
    assert max(most) <= 3


@everywhere
def test_outcomes_keep_the_order_of_the_input_or_come_as_they_are_ready(place):
    """A first item that takes until all others are done is first when ordered, last when not."""
    for ordered in (True, False):
        others = threading.Semaphore(0)

        def work(n: int, others: threading.Semaphore = others) -> int:
            if n == 0:
                for _ in range(5):
                    assert others.acquire(timeout=30)
            else:
                others.release()
            return n

        with Lives("memory:").open() as journal:
            found = [o.item for o in journal.run(place).map(work, range(6), workers=2, ordered=ordered)]
        assert found == (list(range(6)) if ordered else [1, 2, 3, 4, 5, 0])


@everywhere
@pytest.mark.parametrize("seed", range(6))
def test_repeats_are_worked_on_once_wherever_they_come(place, seed):
    """However repeats lie in an input, each item is worked on once, and the accounts are exact."""
    print("seed", seed)
    rng = random.Random(seed)
    items = [rng.randrange(max(1, n // 2), n // 2 + 4) for n in range(150)]
    calls: list[int] = []
    with Lives(place).open() as journal:
        run = journal.run("r")
        workers, source = rng.choice([2, 3, 5]), iter(items) if seed % 2 else items
        keys = [o.key for o in run.map(calls.append, source, workers=workers, ordered=seed % 3 > 0)]
        report = run.report()
    assert sorted(calls) == sorted(set(items))
    assert sorted(keys) == sorted(map(str, set(items)))
    assert (report.total, report.duplicates, report.missing) == (len(set(items)), 150 - len(set(items)), 0)


@everywhere
@pytest.mark.parametrize("seed", range(4))
def test_a_start_is_the_last_word_on_an_item_that_is_being_worked_on(place, seed):
    """Whatever is committed together, an item in a worker's hands is begun for whoever reads the journal then."""
    print("seed", seed)
    rng = random.Random(seed)
    fails = {n: rng.randrange(3) for n in range(40)}
    calls: Counter[int] = Counter()
    journal = Lives(place).open()
    run = journal.run("r")
    owner = run.own()
    wrong: list[int] = []
    lock = threading.Lock()

    def work(n: int) -> int:
        with lock:
            calls[n] += 1
            if not owner.open_items[str(n)].begun:
                wrong.append(n)
        if calls[n] <= fails[n]:
            raise ValueError(n)
        return n

    assert all(o.error is None for o in run.map(work, range(40), workers=4))
    assert wrong == []
    assert calls == {n: count + 1 for n, count in fails.items()}
    kinds: dict[str, str] = {}
    for entry in journal.entries("r"):
        if entry.kind in ("started", "failed", "done"):
            assert kinds.get(entry.key) == (None if entry.kind == "started" else "started") or (
                entry.kind == "started" and kinds[entry.key] == "failed"
            )
            kinds[entry.key] = entry.kind
    journal.close()


@everywhere
def test_workers_and_input_threads_are_gone_with_the_loop(place):
    """A loop that ended, was left, or raised leaves no thread behind, and closes the generator it was fed from."""

    def alive() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name.startswith("leftoff-") and t.name != "leftoff-sync"]

    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    with Lives(place).open() as journal:
        list(journal.run("whole").map(str, source(), workers=3))
        for _ in journal.run("left").map(str, source(), workers=3):
            break
        with pytest.raises(ZeroDivisionError):
            for _ in journal.run("raised").map(str, source(), workers=3):
                1 / 0  # noqa: B018
        for thread in threading.enumerate():
            if thread.name.startswith("leftoff-") and thread.name != "leftoff-sync":
                thread.join(timeout=30)
    assert alive() == []
    gc.collect()  # Python 3.10 holds a closed loop's frames in a cycle with the exception that closed it
    assert closed == [True] * 3


@everywhere
def test_an_input_that_waits_holds_nothing_up(place):
    """While a generator makes us wait, what is finished is committed and given out."""
    lives = Lives(place)
    taken = threading.Event()

    def source() -> Iterator[str]:
        yield "a"
        assert taken.wait(timeout=30), "the first outcome was not given out before the second item was there"
        yield "b"

    with lives.open() as journal:
        for outcome in journal.run("r").map(str, source(), workers=2):
            assert outcome.key in list(journal.run("r").keys("done"))
            taken.set()


@everywhere
def test_an_input_is_asked_for_as_many_items_as_there_are_free_workers(place):
    """While every worker has an item nothing more is asked of a generator; one that is free costs one item."""
    pulled: list[int] = []
    inside, seen = threading.Barrier(3), []

    def source() -> Iterator[int]:
        for n in range(9):
            pulled.append(n)
            yield n

    def work(n: int) -> int:
        inside.wait(timeout=30)  # all three workers have an item
        seen.append(len(pulled))
        inside.wait(timeout=30)
        return n

    with Lives(place).open() as journal:
        assert [o.value for o in journal.run("r").map(work, source(), workers=3)] == list(range(9))
    assert seen == [3] * 3 + [6] * 3 + [9] * 3


@everywhere
def test_an_input_that_raises_ends_the_loop_with_all_before_it_done(place):
    """What a generator raises comes out as it is, once what was in flight is committed."""

    def source(length: int) -> Iterator[str]:
        yield from "abcdefgh"[:length]
        raise OSError("the service went away")

    with Lives(place).open() as journal:
        for length in range(9):
            run = journal.run(f"r{length}")
            with pytest.raises(OSError, match="went away"):
                list(run.map(str, source(length), workers=3))
            assert sorted(run.keys("done")) == list("abcdefgh"[:length])
            assert run.report().open == 0


@everywhere
def test_a_worker_that_wants_to_end_the_program_ends_the_loop(place):
    """SystemExit in a worker is raised in the loop's thread, what was beside it is committed, it counts as no error."""

    def work(n: int) -> int:
        if n == 3:
            raise SystemExit(4)
        return n

    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        with pytest.raises(SystemExit) as caught:
            list(run.map(work, range(10), workers=2))
        assert caught.value.code == 4
        assert {"0", "1", "2"} <= set(run.keys("done"))
        assert run.report().open == 0


def rows(place: str = "run.db") -> list[str]:
    with leftoff.open(place) as journal:
        return [key for (key,) in journal.run("r").reader().execute("SELECT key FROM row ORDER BY rowid")]


@pytest.fixture
def tables():
    with leftoff.open("run.db", durability="process") as journal:
        journal.run("r").connection.execute("CREATE TABLE row (key TEXT)")


WORKERS = pytest.mark.parametrize("workers", [1, 4])


@WORKERS
@pytest.mark.usefixtures("tables")
def test_write_puts_rows_into_the_items_commit(workers):
    """The rows of every done item are there once, and those of no other; write runs in the loop's thread."""
    threads = set()

    def write(connection: Any, outcome: leftoff.Outcome[int, int]) -> None:
        threads.add(threading.get_ident())
        connection.execute("INSERT INTO row VALUES (?)", (outcome.key,))
        if outcome.item % 3 == 0:
            raise ValueError("not this one")

    with leftoff.open("run.db", durability="process") as journal:
        found = list(journal.run("r").map(int, range(12), workers=workers, write=write, attempts=2))
    assert sorted(rows()) == sorted(o.key for o in found if o.error is None)
    assert [o.item for o in found if o.error is not None] == [0, 3, 6, 9]
    assert threads == {threading.get_ident()}


@WORKERS
@pytest.mark.usefixtures("tables")
def test_rows_are_never_committed_apart_from_their_entry(workers, monkeypatch):
    """At every commit the rows that are durable are those of the done items, though dead letters are buried between."""
    with leftoff.open("run.db", durability="process") as journal:
        own = journal.run("r").own()
        for n in range(0, 60, 4):
            own.commit([Draft("started", str(n)), Draft("failed", str(n), '{"tries":{"crashes":9}}')])
    journal = leftoff.open("run.db", durability="process")
    run = journal.run("r")
    owner: Owner = run.own()
    reader = run.reader()
    commit, odd = owner.commit, []

    def checked(drafts: Any) -> Any:
        marks = commit(drafts)
        written = {key for (key,) in reader.execute("SELECT key FROM row")}
        done = set(run.keys("done"))
        if written != done:
            odd.append((written ^ done, list(drafts)))
        return marks

    monkeypatch.setattr(owner, "commit", checked)
    found = run.map(
        int,
        range(60),
        workers=workers,
        write=lambda c, o: c.execute("INSERT INTO row VALUES (?)", (o.key,)),
        progress=False,
    )
    assert sum(o.error is None for o in found) == 45
    assert odd == []
    reader.close()
    journal.close()


@pytest.mark.usefixtures("tables")
def test_the_connection_is_refused_in_a_worker():
    """A worker that reaches for run.connection is told what is for it."""
    with leftoff.open("run.db", durability="process") as journal:
        run = journal.run("r")
        connection = run.connection
        found = list(run.map(lambda n: connection.execute("SELECT 1").fetchone(), [1], workers=2, attempts=1))
    assert found[0].error is not None
    assert found[0].error.type == "WrongThread"


@pytest.mark.usefixtures("tables")
@WORKERS
def test_items_are_read_from_a_second_connection(workers):
    """`run.reader()` feeds a map from a table of the same database, also where its input is read in a thread."""
    with leftoff.open("run.db", durability="process") as journal:
        run = journal.run("r")
        for n in range(5):
            run.connection.execute("INSERT INTO row VALUES (?)", (f"k{n}",))
        source = run.reader().execute("SELECT key FROM row")
        found = run.map(str.upper, source, key=lambda row: row[0], workers=workers, attempts=1)
        assert [o.error and o.error.type for o in found] == ["TypeError"] * 5, "rows are tuples"


SUSPECTS = """
import os, signal, sys, threading, leftoff
inside, lock = set(), threading.Lock()

def work(key):
    with lock:
        inside.add(key)
        beside = len(inside)
    if key == "poison":
        with open("alone.txt", "a") as file:
            print(beside, file=file, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    with lock:
        inside.discard(key)
    return key

with leftoff.open({place!r}, durability="process") as journal:
    for outcome in journal.run("r").map(work, sys.argv[1:], workers=4, crashes=3, progress=False):
        print(outcome.key, outcome.error.type if outcome.error else "")
"""


@on_files
def test_a_poison_item_takes_no_neighbour_with_it(place, tmp_path):
    """After the second crash the item runs alone; it alone is set aside, and every other item is done."""
    items = ["a", "b", "poison", "c", "d", "e"]
    text = program.write(tmp_path, SUSPECTS.replace("{place!r}", repr(place)))
    for _ in range(3):
        program.run(text, *items, code=-9)
    out = program.run(text, *items).stdout.split("\n")[:-1]
    assert sorted(line.strip() for line in out) == sorted(["a", "b", "c", "d", "e", "poison ProcessEnded"])
    beside = [int(line) for line in Path("alone.txt").read_text("utf-8").split()]
    assert len(beside) == 3
    assert beside[2:] == [1], "a suspect works alone"
    with leftoff.open(place) as journal:
        (letter,) = journal.run("r").dead()
        assert letter.key == "poison"
        assert "3 times" in str(letter.error)
        assert {e.key for e in journal.entries("r") if e.kind == "dead"} == {"poison"}


@everywhere
@pytest.mark.parametrize(("crashes", "limit"), [(1, 5), (1, 3), (1, 2), (2, 5), (2, 3)])
def test_what_one_kill_cut_off_goes_on_together(place, crashes, limit):
    """A first kill says nothing of the items; after a second, or where one more would be the last, each is alone."""
    lives, together = Lives(place), crashes == 1 and limit > 2
    with lives.open() as journal:
        own = journal.run("r").own()
        own.commit([Draft("started", key, Tries(0, crashes - 1).to_json()) for key in "abc"])
    with lives.open() as journal:
        lock, working, most = threading.Lock(), set(), []
        all_three = threading.Barrier(3)

        def work(key: str) -> str:
            with lock:
                working.add(key)
                most.append(len(working))
            if together:
                all_three.wait(60)
            with lock:
                working.discard(key)
            return key

        loop = journal.run("r").map(work, "abc", workers=3, crashes=limit, progress=False)
        assert [outcome.value for outcome in loop] == ["a", "b", "c"]
    assert max(most) == (3 if together else 1)


@everywhere
def test_a_suspect_is_worked_on_alone(place):
    """An item that was in hand when its process ended waits until nobody is beside it, and nobody comes beside it."""
    lives = Lives(place)
    with lives.open() as journal:
        journal.run("r").own().commit([Draft("started", "2", Tries(0, 1).to_json())])
    with lives.open() as journal:
        lock, working, beside = threading.Lock(), set(), {}
        first = threading.Barrier(2)

        def work(n: int) -> int:
            with lock:
                working.add(n)
                for one in working:
                    beside.setdefault(one, set()).update(working)
            if n < 2:
                first.wait(60)  # the two before the suspect are in flight together
            with lock:
                working.discard(n)
            return n

        found = list(journal.run("r").map(work, range(5), workers=3, progress=False))  # a place is free for the suspect
    assert [outcome.value for outcome in found] == [*range(5)]
    assert beside[2] == {2}
    assert {0, 1} in (beside[0], beside[1])


def test_a_retry_takes_a_slot_of_the_rate(tmp_path, monkeypatch):
    """A second try is a start like any other: it waits for a slot of its own."""
    claim, slots = Limiter.claim, []
    failed: set[int] = set()

    def claiming(limiter: Limiter) -> float:
        wait = claim(limiter)
        slots.append(wait)
        return wait

    def work(n: int) -> int:
        if n not in failed:
            failed.add(n)
            raise OSError(n)
        return n

    monkeypatch.setattr(Limiter, "claim", claiming)
    with leftoff.open(tmp_path / "a.jsonl", durability="process") as journal:
        found = list(journal.run("r").map(work, range(3), workers=3, rate="20/s", progress=False))
    assert all(outcome.error is None for outcome in found)
    assert slots.count(0.0) == 6
    assert any(slots)


@on_files
def test_a_journal_that_is_taken_away_ends_a_parallel_map(place):
    """The loop ends with the journal's error; what was done by then is done for whoever puts the file back."""

    def work(n: int) -> int:
        if n == 5:
            Path(place).rename(f"{place}.away")
        return n

    journal = leftoff.open(place)
    with pytest.raises(JournalLost):
        list(journal.run("r").map(work, range(100), workers=2, progress=False))
    journal.close()
    Path(f"{place}.away").rename(place)
    with leftoff.open(place) as journal:
        resumed = {outcome.item for outcome in journal.run("r").map(int, range(100), progress=False) if outcome.resumed}
    assert resumed <= {*range(12)}


@WORKERS
@pytest.mark.usefixtures("tables")
def test_a_journals_error_in_write_ends_the_loop(workers):
    """It is no error of the item, which is new again; the rows that it wrote are taken back."""

    def write(connection: Any, outcome: leftoff.Outcome[int, int]) -> None:
        connection.execute("INSERT INTO row VALUES (?)", (outcome.key,))
        if outcome.item == 2:
            leftoff.open("elsewhere.db", create=False)

    with leftoff.open("run.db", durability="process") as journal:
        run = journal.run("r")
        with pytest.raises(JournalMissing, match="elsewhere"):
            list(run.map(int, range(4), workers=workers, write=write, progress=False))
        done = sorted(run.keys("done"))
        assert "2" not in done
        assert list(run.keys("dead")) == []
    assert sorted(rows()) == done


def test_workers_need_a_number():
    """Fewer than one worker is refused by name."""
    with pytest.raises(UsageError, match="workers=-1"), leftoff.open("run.jsonl") as journal:
        journal.run("r").map(str, ["a"], workers=-1)
