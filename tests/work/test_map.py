"""A function over items with its results kept, one by one; what threads add stands in test_threads.py."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

import leftoff
from leftoff.errors import DuplicateKey, UnusableValue, UsageError, ValueTooLarge
from leftoff.work import retry
from tests.contract.stores import Lives, everywhere

WORKERS = pytest.mark.parametrize("workers", [None, 1, 3])


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


def outcomes(lives: Lives, function: Any, items: Any, **options: Any) -> list[leftoff.Outcome[Any, Any]]:
    with lives.open() as journal:
        return list(journal.run("r").map(function, items, **options))


def square(n: int) -> dict[str, int]:
    return {"square": n * n}


@everywhere
@WORKERS
def test_values_are_the_same_fresh_and_resumed(place, workers):
    """A second run calls nothing and yields equal outcomes, marked as resumed, in the order of the input."""
    lives = Lives(place)
    fresh = outcomes(lives, square, [3, 1, 2], workers=workers)
    assert [(o.key, o.item, o.value, o.error, o.resumed) for o in fresh] == [
        ("3", 3, {"square": 9}, None, False),
        ("1", 1, {"square": 1}, None, False),
        ("2", 2, {"square": 4}, None, False),
    ]
    resumed = outcomes(lives, pytest.fail, [2, 3, 1], workers=workers)
    assert resumed == [dataclasses.replace(o, resumed=True) for o in (fresh[2], fresh[0], fresh[1])]


@dataclasses.dataclass
class Paper:
    title: str
    size: int


ROUND_TRIPS = [
    None, True, False, 0, -1, 2**70, 0.1, 1e300, "", "é\u2028\n", [], {}, [1, [2, [None]]], {"a": {"b": ["c"]}}, b"",
    b"\x00\xff", {"data": b"x", "list": [b"y"]}, {"$bytes": "eA=="}, {"$": 1}, {"$$x": {"$y": 2}}, [{"$bytes": 7}],
    {"$a": 1, "b": 2},
]  # fmt: skip


@everywhere
@WORKERS
def test_every_usable_value_makes_the_round_trip(place, workers):
    """JSON, bytes and keys that look like our own marks come back as they went in, fresh and resumed."""
    lives = Lives(place)
    for resumed in (False, True):
        found = outcomes(lives, ROUND_TRIPS.__getitem__, range(len(ROUND_TRIPS)), workers=workers)
        assert [o.value for o in found] == ROUND_TRIPS
        assert [type(o.value) for o in found] == [type(value) for value in ROUND_TRIPS]
        assert {o.resumed for o in found} == {resumed}


@everywhere
@WORKERS
def test_dataclasses_have_the_same_type_fresh_and_resumed(place, workers):
    """With result_type a dataclass comes back as one, without it as a dictionary, the first time as the second."""
    lives = Lives(place)

    def make(n: int) -> Paper:
        return Paper(f"t{n}", n)

    for _ in range(2):
        assert [o.value for o in outcomes(lives, make, [1], result_type=Paper, workers=workers)] == [Paper("t1", 1)]
        assert [o.value for o in outcomes(lives, make, [1], workers=workers)] == [{"title": "t1", "size": 1}]


BAD_VALUES: list[tuple[Any, type[Exception], str]] = [
    (float("nan"), UnusableValue, "item bad cannot be kept"),
    ([float("inf")], UnusableValue, "item bad cannot be kept"),
    (object(), UnusableValue, "a object is not JSON"),
    ({1, 2}, UnusableValue, "a set is not JSON"),
    ({("a",): 1}, UnusableValue, "item bad cannot be kept"),
    ("\ud800", UnusableValue, "item bad cannot be kept"),
    (
        "x" * (1 << 20),
        ValueTooLarge,
        r"item bad is 1048578 bytes of JSON, more than 1048576; .*leftoff.replacing\(path\)",
    ),
    (b"x" * 800_000, ValueTooLarge, "item bad is"),
    (["é" * 600_000], ValueTooLarge, "item bad is 1200004 bytes"),
]


@everywhere
@WORKERS
@pytest.mark.parametrize(("value", "error", "message"), BAD_VALUES)
def test_a_value_that_cannot_be_kept_ends_the_loop_and_counts_against_nothing(place, workers, value, error, message):
    """The error names item, reason and remedy; the program is to blame, so the item is given back."""
    lives = Lives(place)
    with pytest.raises(error, match=message):
        outcomes(lives, {"a": 1, "bad": value}.__getitem__, ["a", "bad"], workers=workers)
    with lives.open() as journal:
        run = journal.run("r")
        assert list(run.keys("done")) == ["a"]
        assert run.report().open == 0
    assert [o.value for o in outcomes(lives, {"bad": 2}.__getitem__, ["a", "bad"], workers=workers)] == [1, 2]


@everywhere
@WORKERS
@pytest.mark.parametrize("depth", [300, 600, 5_000, 200_000])
def test_a_deep_value_is_kept_or_refused_but_never_lost(place, workers, depth):
    """However deep a value is, either it comes back or the item is refused before anything of it is recorded."""
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    lives = Lives(place)
    try:
        (outcome,) = outcomes(lives, lambda _: deep, ["a"], workers=workers)
    except UnusableValue:
        assert outcomes(lives, lambda _: 1, ["a"], workers=workers)[0].value == 1
    else:
        text = repr(outcome.value)
        assert len(text) == 2 * (depth + 1)
        assert repr(outcomes(lives, pytest.fail, ["a"], workers=workers)[0].value) == text


@everywhere
@WORKERS
def test_an_item_is_tried_again_and_then_set_aside(place, workers):
    """Within one loop an item gets its attempts; a dead one is yielded with its error and does not raise."""
    lives = Lives(place)
    calls: dict[str, int] = {}

    def flaky(item: str) -> int:
        calls[item] = leftoff.current().attempt
        if item == "bad" or (item == "flaky" and calls[item] < 3):
            raise ValueError(f"no {item}")
        return calls[item]

    found = outcomes(lives, flaky, ["a", "bad", "flaky"], workers=workers)
    assert [o.key for o in found] == ["a", "bad", "flaky"]
    assert [o.value for o in found] == [1, None, 3]
    assert calls == {"a": 1, "bad": 3, "flaky": 3}
    assert found[1].error is not None
    assert (found[1].error.type, found[1].error.message) == ("ValueError", "no bad")
    (again,) = outcomes(lives, pytest.fail, ["bad"], workers=workers)
    assert again.resumed
    assert again.error == found[1].error
    with lives.open() as journal:
        assert [e.kind for e in journal.entries("r") if e.key == "bad"] == ["started", "failed"] * 2 + [
            "started",
            "dead",
        ]


@everywhere
@WORKERS
def test_attempts_are_counted_over_several_runs(place, workers):
    """Errors of earlier runs count: with two used up the third is the last."""
    lives = Lives(place)
    with pytest.raises(ZeroDivisionError), lives.open() as journal:  # the loop is the statement
        for _ in journal.run("r").each(["bad"], attempts=3):
            1 / 0  # noqa: B018

    def work(item: str) -> None:
        seen.append(leftoff.current().attempt)
        raise ValueError(item)

    seen: list[int] = []
    (outcome,) = outcomes(lives, work, ["bad"], workers=workers)
    assert seen == [2, 3]
    assert outcome.error is not None


@everywhere
@WORKERS
def test_fewer_attempts_than_were_used_up_bury_the_item_unworked(place, workers):
    """An item with more errors than a later run allows is dead there, and its outcome says so."""
    lives = Lives(place)
    with pytest.raises(ZeroDivisionError), lives.open() as journal:  # the loop is the statement
        for _ in journal.run("r").each(["bad"], attempts=3):
            1 / 0  # noqa: B018
    (outcome,) = outcomes(lives, pytest.fail, ["bad"], attempts=1, workers=workers)
    assert outcome.error is not None
    assert outcome.error.type == "AttemptsSpent"


@everywhere
@WORKERS
def test_an_error_of_any_size_makes_a_dead_letter(place, workers):
    """A message of megabytes or one that cannot be made is cut short or replaced, and does not end the loop."""

    class Nasty(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text for you")

    def work(item: str) -> None:
        raise (Nasty() if item == "nasty" else ValueError("x\ud800" * 2_000_000))

    lives = Lives(place)
    found = outcomes(lives, work, ["long", "nasty"], attempts=1, workers=workers)
    assert [o.error.type for o in found if o.error] == ["ValueError", found[1].error.type if found[1].error else ""]
    assert found[1].error is not None
    assert "Nasty" in found[1].error.type
    assert len(str(found[0].error)) < 100_000


@everywhere
@WORKERS
def test_a_repeated_item_is_one_outcome(place, workers):
    """[a, a, b] gives two outcomes and one duplicate, fresh and resumed; under key= it is an error at the second."""
    lives = Lives(place)
    for _ in range(2):
        with lives.open() as journal:
            run = journal.run("r")
            assert [o.key for o in run.map(str, ["a", "a", "b"], workers=workers)] == ["a", "b"]
            report = run.report()
            assert (report.total, report.done, report.duplicates, report.missing) == (2, 2, 1, 0)
        with lives.open() as journal, pytest.raises(DuplicateKey):
            list(journal.run("keyed").map(str, ["a", "a", "b"], key=str, workers=workers))
    with lives.open() as journal:
        found = journal.run("keyed").map(str, ["a", "a", "b"], key=str, duplicates="skip", workers=workers)
        assert [o.key for o in found] == ["a", "b"]


@everywhere
@WORKERS
def test_a_yielded_outcome_is_done(place, workers):
    """Whoever has an outcome in hand may believe it: it is in the journal."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        for outcome in run.map(square, range(10), workers=workers):
            assert outcome.key in set(run.keys("done"))


@everywhere
@WORKERS
def test_a_loop_left_early_goes_on_where_it_was(place, workers):
    """`break` behind an outcome loses nothing that was yielded, and every item is called at most once over two runs."""
    lives = Lives(place)
    calls: list[int] = []

    def work(n: int) -> int:
        calls.append(n)
        return n

    with lives.open() as journal:
        for outcome in journal.run("r").map(work, range(20), workers=workers):
            if outcome.item == 4:
                break
        assert journal.run("r").report().open == 0
    found = outcomes(lives, work, range(20), workers=workers)
    assert [o.value for o in found] == list(range(20))
    assert sorted(calls) == list(range(20))


@everywhere
@WORKERS
def test_an_endless_input_needs_bounded_memory(place, workers):
    """Of an endless generator no more is asked than a few items per worker ahead of what was taken."""
    asked = 0

    def source() -> Iterator[int]:
        nonlocal asked
        for asked in itertools.count(1):  # noqa: UP028  # `yield from` would not count
            yield asked

    with Lives(place).open() as journal:
        for outcome in journal.run("r").map(square, source(), workers=workers):
            ahead = asked - outcome.item
            assert ahead <= 1 + 9 * (workers or 1)
            if outcome.item == 30:
                break


@everywhere
@WORKERS
def test_current_tells_key_attempt_and_token(place, workers):
    """Inside the function the item in hand is known; its token is the same in every run and differs between items."""
    lives = Lives(place)
    tokens: list[list[str]] = []
    for _ in range(2):
        found = outcomes(lives, lambda _: list(leftoff.current()), ["a", "b"], workers=workers)
        assert [o.value[:2] for o in found] == [["a", 1], ["b", 1]]
        tokens.append([o.value[2] for o in found])
        with lives.open() as journal:
            journal.run("r").forget()
    assert tokens[0] == tokens[1]
    assert len(set(tokens[0])) == 2


@everywhere
def test_wrong_uses_are_refused(place):
    """A function that is none, workers that are none, and write= without tables are named as such."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        with pytest.raises(UsageError, match="the first argument is the function, the second the items"):
            run.map(["a"], str)  # type: ignore[arg-type,list-item]
        with pytest.raises(UsageError, match="workers=0"):
            run.map(str, ["a"], workers=0)
        if place not in ("run.db", "postgresql:///"):
            with pytest.raises(UsageError, match=r"papers\.db"):
                list(run.map(str, ["a"], write=lambda connection, outcome: None))


@pytest.mark.parametrize("place", ["run.db", "postgresql:///"])
@WORKERS
def test_rows_that_cannot_be_written_are_the_items_error(place, workers):
    """What `write` raises counts against the item, none of whose rows stay; the next item's do."""
    lives = Lives(place)

    def write(connection, outcome):
        connection.execute(f"INSERT INTO made VALUES ('{outcome.key}')")
        if outcome.key == "2":
            raise LookupError("no")

    with lives.open() as journal:
        run = journal.run("r")
        run.connection.execute("CREATE TABLE made (key text)")
        found = list(run.map(square, [1, 2, 3], write=write, attempts=1, workers=workers))
        assert [o.error is not None and o.error.type for o in found] == [False, "LookupError", False]
        assert run.reader().execute("SELECT key FROM made ORDER BY key").fetchall() == [("1",), ("3",)]
