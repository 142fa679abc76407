"""What becomes of items is told: to a function, and to the standard logging, which learns no secret."""

import asyncio
import logging
import subprocess
import sys

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.work import retry
from tests.work.computed import processes, times_out

CANARY = "api_key=CANARY"


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


def fails(n):
    """Raise with a secret in the message: 1 the first time, 2 always."""
    if n == 2 or (n == 1 and leftoff.current().attempt == 1):
        raise ValueError(f"GET https://x?{CANARY}")
    return f"value {CANARY}"


async def fails_soon(n):
    return fails(n)


async def collect(loop):
    return [item async for item in loop]


WAYS = {
    "here": lambda run, **options: list(run.map(fails, range(3), **options)),
    "threads": lambda run, **options: list(run.map(fails, range(3), workers=2, **options)),
    "tasks": lambda run, **options: asyncio.run(collect(run.amap(fails_soon, range(3), **options))),
}
EXPECTED = {("done", "0", 1), ("failed", "1", 1), ("done", "1", 2), ("failed", "2", 1), ("dead", "2", 2)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["p.jsonl", "p.db"])
def test_each_fate_is_told_once_it_is_committed(way, place):
    """With the key, the number of the attempt and what it raised; what is resumed is not told again."""
    told = []
    journal = leftoff.open(place)
    run = journal.run("r")

    def on_fate(fate, key, attempt, failure):
        told.append((fate, key, attempt))
        assert (failure is None) == (fate == "done")
        assert failure is None or (failure.type == "ValueError" and CANARY in failure.message)
        if fate == "done":
            assert key in run.keys("done")
        if fate == "dead":
            assert key in run.keys("dead")

    with journal:
        WAYS[way](run, attempts=2, on_fate=on_fate)
        assert set(told) == EXPECTED
        assert len(told) == len(EXPECTED)
        WAYS[way](run, attempts=2, on_fate=on_fate)
        assert len(told) == len(EXPECTED)


def test_a_loops_body_and_a_batch_are_told_of_too():
    """What is done, and what the exception that ended the loop makes of the item in hand."""
    told = []

    def on_fate(*fate):
        told.append(fate[:3])

    with leftoff.open("p.jsonl") as journal:
        for _ in range(2):
            with (
                pytest.raises(ValueError, match="b"),
                journal.run("each").each("abc", attempts=2, on_fate=on_fate) as items,
            ):
                for item in items:
                    if item == "b":
                        raise ValueError(item)
        list(journal.run("each").each("abc", on_fate=on_fate))
        assert told == [("done", "a", 1), ("failed", "b", 1), ("dead", "b", 2), ("done", "c", 1)]
        told.clear()
        list(journal.run("batches").batches("abc", 2, on_fate=on_fate))
        asyncio.run(collect(journal.run("aeach").aeach("x", on_fate=on_fate)))
        assert told == [("done", "a", 1), ("done", "b", 1), ("done", "c", 1), ("done", "x", 1)]


def test_processes_are_told_of():
    """The fate is told where the owner is."""
    told = []

    def on_fate(*fate):
        told.append(fate[:3])

    with processes() as pool, leftoff.open("p.jsonl") as journal:
        list(journal.run("r").map(times_out, [1, 3], executor=pool, attempts=2, on_fate=on_fate))
    assert set(told) == {("failed", "1", 1), ("dead", "1", 2), ("done", "3", 1)}


def test_an_error_of_on_fate_ends_the_loop_behind_the_commit():
    """The item is done; the error is the program's own."""

    def on_fate(*fate):
        raise KeyError("mine")

    for options in ({}, {"workers": 2}):
        with leftoff.open("p.jsonl") as journal:
            run = journal.run(str(options))
            with pytest.raises(KeyError, match="mine"):
                list(run.map(len, ["a"], on_fate=on_fate, **options))
            assert list(run.keys("done")) == ["a"]
    with pytest.raises(UsageError, match="give a function of a fate"):
        leftoff.each([1], run="x", on_fate="print")


@pytest.mark.parametrize("way", WAYS)
def test_logging_learns_keys_and_attempts_and_no_secret(way, caplog):
    """Done at DEBUG, failed at WARNING, dead at ERROR, the accounts at INFO; no value, no message of an error."""
    caplog.set_level(logging.DEBUG, "leftoff")
    with leftoff.open("p.jsonl") as journal:
        WAYS[way](journal.run("r"), attempts=2)
    lines = {record.getMessage(): record for record in caplog.records if record.name == "leftoff"}
    assert set(lines) == {
        "r: done 0 (attempt 1)", "r: failed 1 (attempt 1): ValueError", "r: done 1 (attempt 2)",
        "r: failed 2 (attempt 1): ValueError", "r: dead 2 (attempt 2): ValueError",
        "r: 3 items = 2 done + 1 dead + 0 missing",
    }  # fmt: skip
    assert CANARY not in caplog.text
    dead = lines["r: dead 2 (attempt 2): ValueError"]
    assert (dead.levelname, dead.run, dead.key, dead.attempt) == ("ERROR", "r", "2", 2)
    assert {record.levelname for text, record in lines.items() if " done " in text} == {"DEBUG", "INFO"}


def test_a_key_forges_no_line_of_a_log(caplog):
    """What is not printable is written as Python would."""
    caplog.set_level(logging.DEBUG, "leftoff")
    list(leftoff.each(["a\nroot: forged"], "p.jsonl", run="r"))
    assert "r: done 'a\\nroot: forged' (attempt 1)" in [record.getMessage() for record in caplog.records]


def test_a_program_that_set_up_no_logging_sees_nothing_of_it():
    """Warnings and errors stay out of its stderr; the loop's own lines are there."""
    text = (
        "import leftoff\nfor o in leftoff.map(int, ['x', '1'], 'p.jsonl', run='r', attempts=1, progress=False): pass\n"
    )
    program = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert program.stderr == "r: 1 dead letter: x; leftoff retry p.jsonl --run r\n"
