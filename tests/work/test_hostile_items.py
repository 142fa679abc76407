"""Whatever an item does to the executor that carries it, a map comes to its end, and its neighbours are done."""

from __future__ import annotations

import importlib
import multiprocessing
import types
import unittest
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

import leftoff
from leftoff.errors import UnusableValue
from leftoff.work import retry
from tests.work.hostile import Case, Sent, call, die, give, leave, raising, refuse

pytestmark = pytest.mark.timeout(300)
HOSTILE = {
    "an error when it is written": (Case("bad", id, Sent("written", lambda: None)), "PicklingError"),
    "an error when it is read": (Case("bad", id, Sent("read", refuse)), "ProcessEnded"),
    "an exit when it is read": (Case("bad", id, Sent("read", leave)), "ProcessEnded"),
    "a crash when it is read": (Case("bad", id, Sent("read", die)), "ProcessEnded"),
    "a crash in the function": (Case("bad", die), "ProcessEnded"),
    "an error in the function": (Case("bad", raising), "RuntimeError"),
    "a crash with much to read": (Case("bad", die, "x" * 3_000_000), "ProcessEnded"),
}


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


def pool(method: str) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, multiprocessing.get_context(method))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_item_is_a_dead_letter_and_no_deadlock(what: str, method: str) -> None:
    """It alone is dead, whatever it did to the processes beside it."""
    case, error = HOSTILE[what]
    items = [Case("a"), Case("b"), case, Case("c"), Case("d")]
    with leftoff.open("p.jsonl", durability="process") as journal, pool(method) as executor:
        run = journal.run("r")
        outcomes = run.map(call, items, key="key", executor=executor, attempts=1, crashes=2, progress=False)
        found = {outcome.key: outcome.value if outcome.error is None else outcome.error.type for outcome in outcomes}
    assert found == {"a": 3, "b": 3, "bad": error, "c": 3, "d": 3}


@pytest.mark.parametrize("what", [die, leave, refuse])
@pytest.mark.parametrize("where", ["written", "read"])
def test_a_result_that_would_do_harm_never_travels(where: str, what: Any) -> None:
    """A result comes back as the text that the journal keeps: what is none is refused where it was made, unread."""
    items = [Case("a"), Case("bad", give, (where, what)), Case("c")]
    with leftoff.open("p.jsonl", durability="process") as journal, pool("spawn") as executor:
        run = journal.run("r")
        with pytest.raises(UnusableValue, match="the result of item bad cannot be kept: a Sent is not JSON"):
            list(run.map(call, items, key="key", executor=executor, progress=False))
        assert run.store.open_items("r") == {}


def test_an_exit_in_the_function_ends_the_loop_as_it_would_here() -> None:
    """SystemExit is no error of the item: it is given back, and the loop ends with it."""
    with leftoff.open("p.jsonl", durability="process") as journal, pool("spawn") as executor:
        run = journal.run("r")
        with pytest.raises(SystemExit):
            list(run.map(call, [Case("bad", leave)], key="key", executor=executor, progress=False))
        assert (list(run.keys("done")), run.store.open_items("r")) == ([], {})


def cpython() -> type[Any] | None:
    """Return CPython's own tests of executors, None where this Python came without its tests."""
    with suppress(ImportError):
        return getattr(importlib.import_module("test.test_concurrent_futures.executor"), "ExecutorTest", None)
    with suppress(ImportError):  # before Python 3.12 they were one file
        return getattr(importlib.import_module("test.test_concurrent_futures"), "ExecutorTest", None)
    return None


class ThroughLeftoff:
    """Look like an executor whose `map` is a map of leftoff."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._maps = 0

    def map(self, function: Callable[..., Any], *items: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        del chunksize  # the owner has no chunks
        self._maps += 1
        rows = enumerate(zip(*items, strict=True))
        with leftoff.open("p.jsonl", durability="process") as journal:
            run = journal.run(f"map {self._maps}")
            spread = partial(apply, function)
            for outcome in run.map(spread, rows, key=first, executor=self._executor, attempts=1, progress=False):
                if outcome.error is not None:
                    raise getattr(__import__("builtins"), outcome.error.type)(outcome.error.message)
                yield outcome.value if not isinstance(outcome.value, list) else tuple(outcome.value)


def apply(function: Callable[..., Any], row: tuple[int, tuple[Any, ...]]) -> Any:
    return function(*row[1])


def first(row: tuple[int, Any]) -> int:
    return row[0]


@pytest.mark.parametrize("name", ["test_map", "test_map_exception"])
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_cpythons_own_tests_of_a_map_pass(name: str, kind: str) -> None:
    """Its order and its errors are those that every executor's `map` has to have."""
    tests = cpython()
    if tests is None:
        pytest.skip("this Python came without its own tests")
    executor: Executor = ThreadPoolExecutor(2) if kind == "threads" else pool("spawn")
    with executor:
        case, unit = types.SimpleNamespace(executor=ThroughLeftoff(executor)), unittest.TestCase()
        case.assertEqual, case.assertRaises = unit.assertEqual, unit.assertRaises
        getattr(tests, name)(case)
