"""Loops and steps inside an item: the outer item is done when they are, and a resume goes on inside it."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import RunInUse, UsageError
from leftoff.journal.jsonl_index import Index
from leftoff.journal.jsonl_owner import JsonlOwner
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_owner import SqliteOwner
from leftoff.work.run import Run
from tests.contract.stores import PLACES

DOCS, PAGES = ["a", "b", "c"], range(12)

PROGRAM = """
    import asyncio, os, sys, time, leftoff
    kind, place = sys.argv[1:3]
    options = {"progress": False, "durability": "process", "crashes": 100}

    def tell(*words):
        with open("ledger", "a") as ledger:
            ledger.write("-".join(map(str, words)) + "\\n")
        time.sleep(0.002)

    def page_of(doc):
        def page(number):
            tell(doc, number)
            return number
        return page

    def read(doc):
        if kind == "each":
            for number in leftoff.each(range(12), place, **options):
                tell(doc, number)
        else:
            for _ in leftoff.map(page_of(doc), range(12), place, workers=3 if kind == "threads" else None, **options):
                pass
        return doc

    async def read_async(doc):
        async for number in leftoff.aeach(range(12), place, **options):
            tell(doc, number)

    async def main():
        async for _ in leftoff.amap(read_async, "abc", place, concurrency=2, **options):
            pass

    print("ready", flush=True)
    if kind == "amap":
        asyncio.run(main())
    elif kind == "steps":
        with leftoff.open(place, durability="process") as journal:
            for doc in journal.run("docs").each("abc", progress=False, crashes=100):
                for number in range(12):
                    journal.run(f"steps of {doc}").step(f"page {number}", page_of(doc), number)
    elif kind == "workers":
        kind = "each"
        for _ in leftoff.map(read, "abc", place, workers=2, **options):
            pass
    else:
        for doc in leftoff.each("abc", place, **options):
            read(doc)
            tell(doc, "done")
    """


@pytest.mark.parametrize("kind", ["each", "map", "threads", "workers", "amap", "steps"])
@pytest.mark.parametrize("place", ["run.jsonl", "run.db", "run/"])
def test_a_resume_goes_on_inside_the_item(kind: str, place: str, tmp_path: Path) -> None:
    """Killed again and again, each page of each document is worked on, and repeated at most once a worker and kill."""
    program, kills = tmp_path / "program.py", 5
    program.write_text(textwrap.dedent(PROGRAM))
    for number in range(kills + 1):
        process = subprocess.Popen([sys.executable, program, kind, place], stdout=subprocess.PIPE, stderr=-1)
        assert process.stdout is not None
        process.stdout.readline()
        if number < kills:
            time.sleep(0.02 + 0.012 * number)
            process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    ledger = Counter(Path("ledger").read_text().split())
    pages = {f"{doc}-{number}" for doc in DOCS for number in PAGES}
    assert ledger.keys() - {f"{doc}-done" for doc in DOCS} == pages
    width = {"threads": 3, "workers": 2, "amap": 2}.get(kind, 1)
    assert sum(ledger[page] - 1 for page in pages) <= kills * width
    with leftoff.open(place) as journal:
        assert sorted(journal.run(journal.runs()[0]).keys("done")) == DOCS
        assert journal.verify() == []


@pytest.mark.parametrize("place", [place for place in PLACES if place != "memory:"])
def test_an_inner_loop_without_a_name_is_its_items(place: str) -> None:
    """Each outer item has inner loops of its own, so that nothing is skipped because another item had the same keys."""
    seen = []
    for doc in leftoff.each(DOCS, place, run="docs", progress=False):
        for page in leftoff.each(PAGES, place, progress=False):
            seen.append((doc, page))  # noqa: PERF401  # a loop that reads ahead marks what nobody worked on
        for outcome in leftoff.map(str, PAGES, place, progress=False):
            assert not outcome.resumed
    assert seen == [(doc, page) for doc in DOCS for page in PAGES]
    with leftoff.open(place) as journal:
        expected = {"docs", *(f"docs[{doc}]" for doc in DOCS), *(f"docs[{doc}].str" for doc in DOCS)}
        assert set(journal.runs()) == expected


def test_two_inner_loops_without_a_name_are_refused() -> None:
    """Two call sites inside one item would share a name, as would a site that is entered twice."""
    for _ in leftoff.each("a", "run.jsonl", run="docs", progress=False):
        list(leftoff.each(PAGES, "run.jsonl", progress=False))
        with pytest.raises(RunInUse, match=r"would share run docs\[a\] with"):
            list(leftoff.each(PAGES, "run.jsonl", progress=False))
    for _ in leftoff.each("b", "run.jsonl", run="docs", progress=False):
        with pytest.raises(RunInUse, match=r"was entered twice as run docs\[b\]"):
            for _ in range(2):
                list(leftoff.each(PAGES, "run.jsonl", progress=False))


def test_another_try_of_the_outer_item_enters_its_inner_loop_again() -> None:
    """An item that failed half-way in its inner loop goes on there when it is tried again."""
    seen: list[int] = []

    def read(doc: str) -> None:
        for page in leftoff.each(PAGES, "run.jsonl", progress=False):
            seen.append(page)
            if len(seen) == 5:
                raise ConnectionError

    (outcome,) = leftoff.map(read, ["a"], "run.jsonl", run="docs", progress=False)
    assert outcome.error is None
    assert Counter(seen) == {page: 2 if page == 4 else 1 for page in PAGES}


def test_a_name_is_made_of_any_key() -> None:
    """A long key, or one that no name may hold, is shortened, and still tells one item from another."""
    keys = ["x" * 300, "x" * 299 + "y", "line\nbreak", "ünï"]
    for _ in leftoff.each(keys, "run.jsonl", run="docs", progress=False):
        assert list(leftoff.each("ab", "run.jsonl", progress=False)) == ["a", "b"]
    with leftoff.open("run.jsonl") as journal:
        names = journal.runs()
        assert len(names) == 5
        assert names[0] == "docs"
        assert "docs[ünï]" in names
        assert all(len(name) <= 200 and name.isprintable() for name in names)


@pytest.mark.parametrize("place", ["run.jsonl", "run.db", "run/"])
def test_steps_inside_an_item_are_replayed(place: str) -> None:
    """What a step of an item had done before the item failed is not done again."""
    called: list[Any] = []

    def step(name: str, doc: str) -> str:
        called.append((name, doc))
        return f"{name} of {doc}"

    with leftoff.open(place) as journal:
        run = journal.run("docs")

        def work(doc: str) -> list[str]:
            found = [run.step("download", step, "download", doc), run.step("read", step, "read", doc)]
            if doc == "b" and called.count(("read", "b")) == 1 and ("again", "b") not in called:
                called.append(("again", "b"))
                raise ConnectionError
            return found

        outcomes = {outcome.key: outcome.value for outcome in run.map(work, DOCS, progress=False)}
    assert outcomes == {doc: [f"download of {doc}", f"read of {doc}"] for doc in DOCS}
    assert max(Counter(called).values()) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a /proc")
@pytest.mark.parametrize("how", ["loops", "steps"])
def test_thousands_of_inner_runs_need_no_more_files_than_one(how: str) -> None:
    """A run that was begun inside an item is given up behind it; its connection is good as long as the item is."""
    with leftoff.open("run.db") as journal:
        outer = journal.run("outer")
        counts = []
        for item in outer.each(range(60), progress=False):
            inner = journal.run(f"inner of {item}")
            if how == "loops":
                list(inner.map(str, "ab", progress=False))
                inner.connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
                list(inner.each("cd", progress=False))
            else:
                inner.step("once", str, item)
            counts.append(len(list(Path("/proc/self/fd").iterdir())))
        assert max(counts[10:]) <= max(counts[:10])


LOCAL = ["run.jsonl", "run.db", "run/"]


def nest(place: str, begin: int, end: int) -> None:
    with leftoff.open(place, durability="process") as journal:
        for item in journal.run("outer").each(range(begin, end), progress=False):
            list(journal.run(f"inner of {item}").map(str, range(5), progress=False))


@pytest.mark.parametrize("place", LOCAL)
def test_an_inner_run_costs_no_more_when_there_are_hundreds(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read to begin one is what was written since the last, and not the whole file again."""
    work, pread, fetch = [0], os.pread, SqliteStore._fetch

    def counted(fd: int, length: int, offset: int) -> bytes:
        data = pread(fd, length, offset)
        work[0] += len(data)
        return data

    def steps(store: Any, sql: str, parameters: Any = ()) -> Any:
        store._connection.set_progress_handler(lambda: work.__setitem__(0, work[0] + 1), 10)
        return fetch(store, sql, parameters)

    monkeypatch.setattr(os, "pread", counted)
    monkeypatch.setattr(SqliteStore, "_fetch", steps)
    costs = []
    for number in range(2):
        work[0] = 0
        nest(place, 0, 100 + 300 * number)
        costs.append(work[0])
        (shutil.rmtree if place.endswith("/") else os.remove)(place)
    hundred, four_hundred = costs
    assert 0 < four_hundred < 6 * hundred, "four times as many need four times as much, and not sixteen times"


@pytest.mark.parametrize("place", LOCAL)
def test_an_inner_run_is_forgotten_behind_its_item(place: str) -> None:
    """What is held in memory does not grow with the outer items, whatever the journal."""
    held = (Run, Index, SqliteOwner, JsonlOwner)

    def count() -> int:
        gc.collect()
        return sum(isinstance(each, held) for each in gc.get_objects())

    counts = []
    with leftoff.open(place, durability="process") as journal:
        for item in journal.run("outer").each(range(60), progress=False):
            list(journal.run(f"inner of {item}").each(range(3), progress=False))
            if item % 20 == 10:
                counts.append(count())
        assert counts[0] == counts[1] == counts[2]
        assert sorted(journal.run("inner of 3").keys("done")) == ["0", "1", "2"]


@pytest.mark.parametrize("place", LOCAL)
def test_a_loop_without_a_journal_of_its_own_goes_on_in_the_one_that_is_open(place: str) -> None:
    """A loop as short as tqdm inside one of an opened journal shares it, and leaves it open."""

    async def pages(doc: str) -> None:
        async for _ in leftoff.aeach(PAGES, place, progress=False):
            await asyncio.sleep(0)

    with leftoff.open(place) as journal:
        for doc in journal.run("docs").each(DOCS, progress=False):
            assert [outcome.value for outcome in leftoff.map(str, PAGES, place, progress=False)] == [*map(str, PAGES)]
            asyncio.run(pages(doc))
            with pytest.raises(UsageError, match="is open with durability='power' in this process; use the same here"):
                leftoff.each(PAGES, place, run="other", durability="process")
        assert journal.run("docs").report().done == len(DOCS)
        assert journal.verify() == []
    assert list(leftoff.each("a", place, run="another", durability="process", progress=False)) == ["a"]


def test_journals_in_memory_are_each_their_own() -> None:
    """What is open under the same name elsewhere has nothing to do with it."""
    with leftoff.open("memory:") as journal:
        for _ in journal.run("docs").each(DOCS, progress=False):
            assert list(leftoff.each("a", "memory:", run="docs", durability="process", progress=False)) == ["a"]
            break
        assert list(journal.run("docs").keys("done")) == []


@pytest.mark.parametrize("place", ["run.jsonl", "run/"])
def test_steps_of_one_run_in_several_threads_are_not_given_up_under_each_other(place: str) -> None:
    """A run that the items of several workers use at the same time stays owned, and every step is recorded."""
    with leftoff.open(place, durability="process") as journal:
        steps = journal.run("steps")

        def work(item: int) -> int:
            return sum(steps.step(f"{item} {part}", int, part) for part in range(5))

        outcomes = list(journal.run("outer").map(work, range(60), workers=4, progress=False))
        assert [outcome.error for outcome in outcomes] == [None] * 60
        assert len([entry for entry in journal.entries("steps") if entry.kind == "step"]) == 300
        assert journal.verify() == []


@pytest.mark.parametrize("place", ["run.jsonl", "run.db", "run/"])
def test_a_run_used_across_items_is_not_given_up_in_the_middle_of_a_step(place: str) -> None:
    """What an earlier item began is given up before a run is used again, never while it is."""
    with leftoff.open(place) as journal:
        steps, others = journal.run("steps"), journal.run("others")
        for item in journal.run("outer").each(range(3), progress=False):
            found = steps.step("outer", lambda item=item: others.step("inner", str, item), item)
            assert found == str(item)
        assert {entry.key for entry in journal.entries("steps") if entry.kind == "step"} == {
            f"outer [{item}]" for item in range(3)
        }


def test_an_inner_loop_that_was_left_is_settled() -> None:
    """A `break` inside gives its item back, also when its run has to wait for that until the outer item has ended."""
    with leftoff.open("run.jsonl") as journal:
        outer = journal.run("outer")
        for doc in outer.each("ab", progress=False):
            for _ in journal.run(f"inner of {doc}").each("xyz", progress=False):
                break
    with leftoff.open("run.jsonl") as journal:
        for doc in "ab":
            run = journal.run(f"inner of {doc}")
            assert (list(run.keys("done")), run.store.open_items(run.name)) == ([], {})


def test_inner_loops_of_tasks_belong_to_their_items() -> None:
    """Two tasks of one event loop have inner loops at the same time, each its own."""

    async def read(doc: str) -> list[int]:
        found = []
        async for page in leftoff.aeach(PAGES, "run.jsonl", progress=False):
            await asyncio.sleep(0)
            found.append(page)
        return found

    async def main() -> dict[str, Any]:
        outcomes = leftoff.amap(read, DOCS, "run.jsonl", run="docs", concurrency=3, progress=False)
        return {outcome.key: outcome.value async for outcome in outcomes}

    assert asyncio.run(main()) == {doc: list(PAGES) for doc in DOCS}
