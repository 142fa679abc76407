"""How users call the root: checked by mypy --strict as a contract for their types, never run."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

from typing_extensions import assert_type

import leftoff

assert_type(leftoff.__version__, str)


@dataclass
class Paper:
    doi: str
    size: int


papers: list[Paper] = []


def fetch(doi: str) -> Paper:
    return Paper(doi, 1)


def numbers() -> Generator[int, None, None]:
    yield 1


# each: what goes in comes out
for doi in leftoff.each(["10.1/a"]):
    assert_type(doi, str)
for number in leftoff.each(
    numbers(), "progress.jsonl", run="numbers", attempts=5, crashes=2, rate="3/s", progress=False
):
    assert_type(number, int)
for paper in leftoff.each(papers, Path("papers.db"), key="doi", duplicates="skip", durability="process"):
    assert_type(paper, Paper)
for _ in leftoff.each(["a"], "progress/", shard=(0, 4)):
    pass
for pair in leftoff.each(enumerate(["a"]), key=lambda pair: pair[1]):
    assert_type(pair, tuple[int, str])
with leftoff.each(["a"]) as items:
    for text in items:
        assert_type(text, str)

# map: the item's type and the result's
for outcome in leftoff.map(fetch, ["10.1/a"], workers=8, ordered=False, result_type=Paper):
    assert_type(outcome, leftoff.Outcome[str, Paper])
    assert_type(outcome.key, str)
    assert_type(outcome.item, str)
    assert_type(outcome.value, Paper | None)
    assert_type(outcome.resumed, bool)
    if outcome.error is not None:
        assert_type(outcome.error.type, str)
        assert_type(outcome.error.message, str)
for length in leftoff.map(len, ["a"], "papers.db"):
    assert_type(length.value, int | None)

for length in leftoff.map(
    len, ["a"], executor=ProcessPoolExecutor, workers=2, retry_on=(TimeoutError, ConnectionError), timeout=30
):
    assert_type(length.value, int | None)
with ProcessPoolExecutor(2) as pool:
    leftoff.map(len, ["a"], executor=pool, retry_on=lambda error: "429" in str(error))
leftoff.each(["a"], on_fate=print, stop_after="2h30m", grace=25, budget={"usd": 20}, on_change="redo", parameters=[1])


def tell(fate: str, key: str, attempt: int, failure: leftoff.Failure | None) -> None:
    assert_type(failure, leftoff.Failure | None)


leftoff.batches(["a"], size=2, on_fate=tell)


async def fetch_soon(doi: str) -> Paper:
    return fetch(doi)


async def stream() -> AsyncGenerator[str, None]:
    yield "10.1/a"


async def asynchronous() -> None:
    """Aeach and amap: the item's type and the awaited result's."""
    async for doi in leftoff.aeach(stream(), "papers.db", run="stream", attempts=2, rate="3/s"):
        assert_type(doi, str)
    async with leftoff.aeach(papers, key="doi") as items:
        async for paper in items:
            assert_type(paper, Paper)
    async for outcome in leftoff.amap(fetch_soon, stream(), concurrency=20, timeout=1.5, ordered=False):
        assert_type(outcome, leftoff.Outcome[str, Paper])
    with leftoff.open("papers.db") as journal:
        async for outcome in journal.run("soon").amap(fetch_soon, ["10.1/a"], retry_on=OSError):
            assert_type(outcome.value, Paper | None)
        assert_type(await anext(journal.run("each").aeach([1])), int)


# batches: lists of what goes in
for batch in leftoff.batches(papers, size=200, key=lambda paper: paper.doi):
    assert_type(batch, list[Paper])


def save(connection: sqlite3.Connection, outcome: leftoff.Outcome[str, Paper]) -> None:
    connection.execute("INSERT INTO paper VALUES (?)", (outcome.key,))


# a journal and its runs
with leftoff.open("papers.db", durability="power") as journal:
    assert_type(journal, leftoff.Journal)
    assert_type(journal.url, str)
    assert_type(journal.durability, Literal["power", "process"])
    run = journal.run("ingest")
    assert_type(run, leftoff.Run)
    for doi in run.each(["a"]):
        assert_type(doi, str)
    for dois in run.batches(["a"], size=10):
        assert_type(dois, list[str])
    for dois in run.pages([["a", "b"], ["c"]], key=lambda doi: doi.lower()):
        assert_type(dois, list[str])
    for outcome in run.map(fetch, ["a"], workers=2, write=save):
        assert_type(outcome, leftoff.Outcome[str, Paper])
    assert_type(run.step("build", fetch, "v2"), Paper)
    cursor = run.cursor("since", start="2026-01-01")
    assert_type(cursor, leftoff.Cursor)
    cursor.advance({"page": 2})
    assert_type(run.keys("done"), Iterator[str])
    for letter in run.dead():
        assert_type(letter.key, str)
        assert_type(letter.error, leftoff.Failure)
        assert_type(letter.at, datetime)
        assert_type((letter.errors, letter.crashes, letter.version), tuple[int, int, str | None])
    assert_type(run.retry(["a", 1, Path("x")]), int)
    assert_type(run.forget(), int)
    plan = run.plan(["a"], fetch, key=str, parameters={"n": 1})
    assert_type(plan.new, list[str])
    assert_type((plan.work, plan.changed, plan.seconds_left), tuple[int, list[str] | None, float | None])
    assert_type(run.spent(), dict[str, float])
    assert_type([(each.key, each.attempt, each.token) for each in run.uncertain()], list[tuple[str, int, str]])
    report = run.report()
    assert_type(report, leftoff.Report)
    assert_type(report.total, int)
    assert_type(report.missing, int | None)
    for entry in journal.entries(run="ingest", after=3):
        assert_type(entry, leftoff.Entry)
        assert_type(entry.seq, int)
        assert_type(entry.kind, str)
        assert_type(entry.at, datetime)
    assert_type(journal.runs(), list[str])

# the item in hand, and the user's own files
current = leftoff.current()
current.charge(usd=0.03, tokens=100)
assert_type(current, leftoff.Current)
assert_type(current.key, str)
assert_type(current.attempt, int)
assert_type(current.token, str)
with leftoff.replacing(Path("result.txt")) as file:
    assert_type(file, IO[Any])
    file.write("x")

# the errors: what a caller wants to catch, and a stop that no `except Exception` eats
try:
    pass
except (leftoff.JournalBusy, leftoff.JournalDamaged) as error:
    journal_error: leftoff.JournalError = error
except leftoff.RunInUse as error:
    usage_error: leftoff.UsageError = error
    value_error: ValueError = error
except leftoff.IncompleteRun as error:
    any_error: leftoff.LeftoffError = error
except leftoff.Stopped as stop:
    interrupt: KeyboardInterrupt = stop
    ending: SystemExit = stop
    assert_type(stop.code, int)

# what a checker must refuse: an unused ignore is an error too
leftoff.each(7)  # type: ignore[arg-type]
leftoff.each([1.5], durability="ram")  # type: ignore[arg-type]
leftoff.map(fetch, [7])  # type: ignore[arg-type]
leftoff.batches(["a"])  # type: ignore[call-arg]
leftoff.each([1], "x.jsonl", duplicates="drop")  # type: ignore[arg-type]
leftoff.each([1], journl="x.jsonl")  # type: ignore[call-arg]
leftoff.map(len, ["a"], retry_on="Timeout")  # type: ignore[arg-type]
leftoff.amap(fetch, ["a"])  # type: ignore[arg-type]
