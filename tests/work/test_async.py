"""Asynchronous loops: the same promises where the body and the function await, also when they are cancelled."""

import asyncio
import os
import signal
import time
from collections import Counter

import pytest

import leftoff
from leftoff.errors import DuplicateKey, JournalLost, RunInUse, UnusableValue, UsageError, WrongThread
from leftoff.journal.entry import Draft
from leftoff.work import progress, retry
from tests.contract.stores import Lives, everywhere


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


async def arriving(items, pause=0.0):
    """Bring items from somewhere that makes us wait."""
    for item in items:
        await asyncio.sleep(pause)
        yield item


async def squared(n):
    await asyncio.sleep(0)
    return n * n


async def collect(loop):
    return [item async for item in loop]


INPUTS = pytest.mark.parametrize("feed", [list, iter, arriving])


@everywhere
@INPUTS
def test_each_is_done_when_the_next_is_asked_for(place, feed):
    """Left in the middle, a loop goes on with the item that was in hand; a second one has nothing to do."""
    lives = Lives(place)

    async def main(upto):
        met = []
        with lives.open() as journal:
            async with journal.run("r").aeach(feed(range(6))) as items:
                async for item in items:
                    met.append(item)
                    await asyncio.sleep(0)
                    if item == upto:
                        break
            return met, journal.run("r").report()

    assert asyncio.run(main(3))[0] == [0, 1, 2, 3]
    met, report = asyncio.run(main(None))
    assert met == [3, 4, 5]
    assert (report.total, report.done, report.resumed, report.missing) == (6, 6, 3, 0)
    assert asyncio.run(main(None))[0] == []


@everywhere
@INPUTS
@pytest.mark.parametrize("ordered", [True, False])
def test_map_keeps_results_and_replays_them(place, feed, ordered):
    """Twenty items in four tasks, each once; then all are replayed."""
    worked, lives = Counter(), Lives(place)

    async def work(n):
        worked[n] += 1
        return await squared(n)

    async def main():
        with lives.open() as journal:
            loop = journal.run("r").amap(work, feed(range(20)), concurrency=4, ordered=ordered)
            return await collect(loop)

    for resumed in (False, True):
        outcomes = asyncio.run(main())
        assert [o.value for o in sorted(outcomes, key=lambda o: o.item)] == [n * n for n in range(20)]
        assert {o.resumed for o in outcomes} == {resumed}
        assert not ordered or [o.item for o in outcomes] == list(range(20))
    assert set(worked.values()) == {1}


def test_never_more_in_flight_than_asked_for():
    """Three tasks meet; a fourth is never there."""
    inside, most = set(), []

    async def work(n):
        inside.add(n)
        most.append(len(inside))
        await asyncio.sleep(0.002)
        inside.discard(n)

    async def main():
        with leftoff.open("p.jsonl") as journal:
            await collect(journal.run("r").amap(work, range(20), concurrency=3))

    asyncio.run(main())
    assert max(most) == 3


def test_the_item_in_hand_is_each_tasks_own():
    """Tasks that take turns in one thread each see their own key, and the loop's body its own."""

    async def work(key):
        for _ in range(3):
            assert leftoff.current().key == key
            await asyncio.sleep(0)
        return leftoff.current().token

    async def main():
        with leftoff.open("p.db") as journal:
            tokens = [o.value for o in await collect(journal.run("r").amap(work, "abcd", concurrency=4))]
            async for item in journal.run("s").aeach(["x", "y"]):
                assert leftoff.current().key == item
                await asyncio.sleep(0)
                assert leftoff.current().key == item
            with pytest.raises(UsageError, match="no item is in hand"):
                leftoff.current()
            return tokens

    assert len(set(asyncio.run(main()))) == 4


def test_an_error_is_tried_again_and_then_a_dead_letter():
    """Errors of the function are the item's; what is not worth another try is dead at once."""
    tried = Counter()

    async def work(n):
        tried[n] += 1
        await asyncio.sleep(0)
        if n == 1:
            raise ValueError("wrong")
        if n == 2:
            raise ConnectionError("gone")
        if n == 3:
            raise asyncio.CancelledError
        return n

    async def main():
        with leftoff.open("p.jsonl") as journal:
            return await collect(journal.run("r").amap(work, range(5), attempts=2, retry_on=ConnectionError))

    zero, one, two, three, four = asyncio.run(main())
    assert (zero.value, four.value) == (0, 4)
    assert [o.error.type for o in (one, two, three)] == ["ValueError", "ConnectionError", "CancelledError"]
    assert tried == {0: 1, 1: 1, 2: 2, 3: 2, 4: 1}


def test_what_takes_too_long_is_cancelled_and_has_failed():
    """The function sees a cancellation, the journal a TimeoutError; the others go on."""
    seen = []

    async def work(n):
        try:
            await asyncio.sleep(3600 if n == 1 else 0)
        except asyncio.CancelledError:
            seen.append(n)
            raise
        return n

    async def main():
        with leftoff.open("p.jsonl") as journal:
            return await collect(journal.run("r").amap(work, range(3), timeout=0.1, attempts=2))

    zero, one, two = asyncio.run(main())
    assert (zero.value, two.value) == (0, 2)
    assert (one.error.type, one.error.message) == ("TimeoutError", "it took longer than timeout=0.1 s")
    assert seen == [1, 1]


def test_a_rate_and_a_backoff_do_not_hold_the_event_loop(monkeypatch):
    """Another task has its turns while both loops wait."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.1)
    turns = 0

    async def work(n):
        if leftoff.current().attempt == 1:
            raise ValueError(n)
        return n

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    async def main():
        task = asyncio.create_task(others())
        with leftoff.open("p.jsonl") as journal:
            begun = time.monotonic()
            await collect(journal.run("r").amap(work, range(2)))
            assert time.monotonic() - begun >= 0.1
            assert turns > 10
            before = turns
            assert await collect(journal.run("s").aeach(range(3), rate="20/s")) == [0, 1, 2]
            assert turns > before + 10
        task.cancel()

    asyncio.run(main())


def test_rows_are_written_in_the_items_commit():
    """In the body of a loop through the connection, for a map by write=."""

    async def main():
        with leftoff.open("p.db") as journal:
            run = journal.run("r")
            run.connection.execute("CREATE TABLE made (n INTEGER)")
            async for n in run.aeach(range(3)):
                run.connection.execute("INSERT INTO made VALUES (?)", [n])
                await asyncio.sleep(0)

            def save(connection, outcome):
                connection.execute("INSERT INTO made VALUES (?)", [outcome.value])

            await collect(journal.run("s").amap(squared, range(3, 6), write=save))
            return sorted(n for (n,) in run.connection.execute("SELECT n FROM made"))

    assert asyncio.run(main()) == [0, 1, 2, 9, 16, 25]
    with leftoff.open("p.jsonl") as journal, pytest.raises(UsageError, match="needs a journal with tables"):
        asyncio.run(collect(journal.run("r").amap(squared, [1], write=print)))


# -- cancelled ---------------------------------------------------------------------------------------------------


def steps_of(coroutine, at=None):
    """Run a coroutine on its own loop, and cancel it at its n-th suspension; return how many there were."""
    count = 0

    async def main():
        nonlocal count
        task = asyncio.create_task(coroutine())
        while not task.done():
            if count == at:
                task.cancel()
            count += 1
            await asyncio.sleep(0)
        return task

    task = asyncio.run(main())
    assert task.cancelled() or at is None or task.exception() is None
    return count, task.cancelled()


@pytest.mark.parametrize("suffix", ["jsonl", "db"])
@pytest.mark.parametrize("loop", ["aeach", "amap", "slow input"])
def test_cancelled_at_every_await_nothing_is_lost_or_repeated(loop, suffix):
    """Whichever await a cancellation hits, what was finished is done, what was not is given back, all is resumed."""
    items, number = range(5), 0
    finished = Counter()

    async def work(n):
        for _ in range(n % 3 + 1):
            await asyncio.sleep(0)
        finished[n] += 1
        return n

    async def walk():
        with leftoff.open(f"{number}.{suffix}", durability="process") as journal:
            run = journal.run("r")
            if loop == "aeach":
                async with run.aeach(arriving(items)) as each:
                    async for n in each:
                        await work(n)
            else:
                feed = arriving(items) if loop == "slow input" else items
                async with run.amap(work, feed, concurrency=2) as outcomes:
                    async for _ in outcomes:
                        await asyncio.sleep(0)

    whole, _ = steps_of(walk)
    assert finished == dict.fromkeys(items, 1)
    hit = 0
    for number in range(1, whole + 1):
        finished.clear()
        _, cancelled = steps_of(walk, at=number)
        hit += cancelled
        with leftoff.open(f"{number}.{suffix}") as journal:
            run = journal.run("r")
            assert not run.store.open_items("r"), "what was in flight was given back, or is done"
            done = set(run.keys("done"))
            assert done <= {str(n) for n in finished}, "done without work"
        before = dict(finished)
        steps_of(walk)
        assert set(finished) == set(items)
        repeated = {n for n in items if finished[n] > 1}
        assert not {str(n) for n in repeated} & done, "worked on again though done"
        assert len(repeated) <= (1 if loop == "aeach" else 2), (number, before, finished)
    assert hit > whole / 2


def test_a_map_that_is_left_gives_back_what_is_in_flight():
    """A break cancels the tasks in flight, and those that end with a value all the same are done."""
    begun, ended = [], []

    async def work(n):
        begun.append(n)
        try:
            await asyncio.sleep(3600 if n else 0)
        except asyncio.CancelledError:
            if n == 2:
                return "kept"
            raise
        finally:
            ended.append(n)

    async def main():
        with leftoff.open("p.jsonl") as journal:
            async with journal.run("r").amap(work, range(10), concurrency=4) as outcomes:
                async for outcome in outcomes:
                    assert outcome.item == 0
                    break
            assert sorted(ended) == sorted(begun)
            return set(journal.run("r").keys("done")), journal.run("r").store.open_items("r")

    done, left = asyncio.run(main())
    assert done == {"0", "2"}
    assert not left


def test_a_loop_that_break_left_without_async_with_is_closed_by_python():
    """Its item is given back before the journal closes."""

    async def main():
        async for _ in leftoff.aeach(range(3), "p.jsonl", run="r"):
            break

    asyncio.run(main())
    assert asyncio.run(collect(leftoff.aeach(range(3), "p.jsonl", run="r"))) == [0, 1, 2]


@pytest.mark.parametrize("end", ["async with", "aclose"])
def test_a_loop_of_its_own_journal_ends_exactly(end):
    """The item in hand is given back and the journal closed at that line, though the loop is still at hand."""

    async def main():
        loop = leftoff.aeach(range(3), "p.jsonl", run="r")
        if end == "async with":
            async with loop as items:
                assert await anext(items) == 0
        else:
            assert await anext(loop) == 0
            await loop.aclose()
        with leftoff.open("p.jsonl") as journal:
            return journal.run("r").store.holder("r"), journal.run("r").store.open_items("r")

    assert asyncio.run(main()) == (None, {})


def test_a_map_that_is_cancelled_again_while_it_drains_loses_nothing():
    """A task that takes its time over being cancelled is waited for, however often the loop's own is cancelled."""
    begun, ended, both = [], [], asyncio.Event()

    async def work(n):
        begun.append(n)
        if len(begun) == 2:
            both.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            return "kept"
        finally:
            ended.append(n)

    async def walk():
        with leftoff.open("p.jsonl") as journal:
            await collect(journal.run("r").amap(work, range(9), concurrency=2))

    async def main():
        task = asyncio.create_task(walk())
        await both.wait()
        for _ in range(3):
            task.cancel()
            for _ in range(20):
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(ended) == sorted(begun) == [0, 1]
    with leftoff.open("p.jsonl") as journal:
        assert not journal.run("r").store.open_items("r")


def test_a_poison_item_is_dead_and_the_others_are_done():
    """What was in hand when its owner went away without a word counts as a crash."""
    with leftoff.open("p.jsonl") as journal:
        journal.run("r").own().commit([Draft("started", "1")])

    async def main():
        with leftoff.open("p.jsonl") as journal:
            return await collect(journal.run("r").aeach(range(3), crashes=1)), list(journal.run("r").keys("dead"))

    assert asyncio.run(main()) == ([0, 2], ["1"])


def test_a_second_signal_while_an_item_is_being_begun_stops_before_its_body(monkeypatch):
    """The commit is finished, nothing was worked on, and the item is given back."""
    write, met = os.write, []

    def signalled(fd, data):
        if b'"started":"1"' in data and b'"released"' not in data:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        return write(fd, data)

    async def main():
        with leftoff.open("p.jsonl") as journal:
            async with journal.run("r").aeach(range(3), progress=False) as items:
                async for item in items:
                    met.append(item)  # noqa: PERF401  # a list of its own would be lost

    with monkeypatch.context() as patched, pytest.raises(leftoff.Stopped) as stop:
        patched.setattr(os, "write", signalled)
        asyncio.run(main())
    assert (stop.value.code, met) == (75, [0])
    with leftoff.open("p.jsonl") as journal:
        assert set(journal.run("r").keys("done")) == {"0"}
        assert not journal.run("r").store.open_items("r")


def test_progress_is_told_when_it_is_due(monkeypatch, capsys):
    """Where no terminal is, a line now and then says how far a loop is."""
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)

    async def main():
        with leftoff.open("p.jsonl") as journal:
            await collect(journal.run("r").aeach(range(3)))

    asyncio.run(main())
    assert "r: 1 of 3" in capsys.readouterr().err


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", [iter, arriving])
def test_what_the_input_raises_comes_behind_what_it_brought(feed):
    """The items before it are done, and the error is the input's own."""

    def broken():
        yield from range(3)
        raise OSError("the input broke")

    async def broken_async():
        for n in broken():
            yield n

    async def main(loop):
        with leftoff.open("p.jsonl") as journal, pytest.raises(OSError, match="the input broke"):
            await collect(loop(journal.run("r")))
        with leftoff.open("p.jsonl") as journal:
            return set(journal.run("r").keys("done"))

    source = broken_async if feed is arriving else broken
    assert asyncio.run(main(lambda run: run.amap(squared, source()))) == {"0", "1", "2"}
    with leftoff.open("p.jsonl") as journal:
        journal.run("r").forget()
    assert asyncio.run(main(lambda run: run.aeach(source()))) == {"0", "1", "2"}


def test_an_input_need_not_be_a_generator():
    """Anything that can be iterated asynchronously will do, also where its end is its own business."""

    class Arriving:
        def __init__(self):
            self.items = iter(range(5))

        def __aiter__(self):
            return self

        async def __anext__(self):
            await asyncio.sleep(0)
            try:
                return next(self.items)
            except StopIteration:
                raise StopAsyncIteration from None

    async def main():
        with leftoff.open("p.jsonl") as journal:
            return [o.value for o in await collect(journal.run("r").amap(squared, Arriving(), concurrency=2))]

    assert asyncio.run(main()) == [0, 1, 4, 9, 16]


def test_wrong_uses_are_refused():
    """A result that cannot be kept, a key met twice, no concurrency, a function that is none, an unknown option."""

    async def bad(n):
        return object()

    with leftoff.open("p.jsonl") as journal:
        run = journal.run("r")
        with pytest.raises(UnusableValue, match="the result of item 1 cannot be kept"):
            asyncio.run(collect(run.amap(bad, [1])))
        with pytest.raises(DuplicateKey):
            asyncio.run(collect(run.aeach([1, 2], key=lambda n: "same")))
        with pytest.raises(UsageError, match="concurrency=0: at least one is needed"):
            run.amap(squared, [1], concurrency=0)
        with pytest.raises(UsageError, match="the first argument is the function"):
            run.amap([1], squared)
        with pytest.raises(TypeError, match=r"aeach\(\) got an unexpected keyword argument 'worker'"):
            run.aeach([1], worker=3)


def test_another_thread_is_refused_an_item():
    """A loop is its thread's: an event loop elsewhere is told what to use instead."""

    async def main():
        with leftoff.open("p.jsonl") as journal:
            loop = journal.run("r").aeach(range(3))
            assert await anext(loop) == 0

            def elsewhere():
                with pytest.raises(WrongThread, match="another thread asked this loop for an item; use amap"):
                    asyncio.run(loop.generator.__anext__())

            await asyncio.to_thread(elsewhere)

    asyncio.run(main())


def test_a_newer_loop_takes_the_run_over():
    """Two loops of one run cannot walk at once: the older one is told so."""

    async def main():
        with leftoff.open("p.jsonl") as journal:
            run = journal.run("r")
            older = run.aeach(range(3))
            assert await anext(older) == 0
            async with run.aeach(range(3)) as newer:
                assert await anext(newer) == 0
                with pytest.raises(RunInUse, match="a newer loop took this run over"):
                    await anext(older)

    asyncio.run(main())


def test_a_journal_that_is_gone_ends_a_map_and_its_tasks(tmp_path):
    """The tasks in flight are cancelled, and nothing is left running."""
    ended = []

    async def work(n):
        try:
            await asyncio.sleep({0: 0.0, 3: 0.05}.get(n, 3600))
        finally:
            ended.append(n)

    async def main():
        journal = leftoff.open("p.jsonl")
        loop = journal.run("r").amap(work, range(9), concurrency=3)
        with pytest.raises(JournalLost):
            async for _ in loop:
                (tmp_path / "p.jsonl").rename(tmp_path / "elsewhere")
                ended.append("moved")
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert set(ended) == {0, "moved", 3, 1, 2}
