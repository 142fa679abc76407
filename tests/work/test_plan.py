"""`Run.plan`: what a loop would do, before it does it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import JournalClosed, UnusableKey
from leftoff.journal.entry import Draft
from tests.contract.stores import Lives, everywhere


def fetch(item: str) -> str:
    if item in "xy":
        raise ValueError(item)
    return item


def other(item: str) -> int:
    return len(item)


@everywhere
def test_each_key_of_the_input_is_in_one_list(place: str) -> None:
    """New, failed, done and dead keys are told apart in input order, and what is removed from the input is named."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        list(run.map(fetch, ["a", "x", "gone", "b"], attempts=1, progress=False))
        with pytest.raises(ValueError, match="y"), run.each(["y"], progress=False) as items:
            for item in items:
                fetch(item)
    with lives.open() as journal:
        before = list(journal.entries())
        plan = journal.run("r").plan(["n", "y", "b", "a", "x", "m", "a", "n"], fetch)
        assert (plan.new, plan.failed, plan.done, plan.dead) == (["n", "m"], ["y"], ["b", "a"], ["x"])
        assert (plan.removed, plan.duplicates, plan.work, plan.changed) == (["gone"], 2, 3, [])
        assert plan.seconds_left is not None
        assert list(journal.entries()) == before
        assert journal.run("absent").plan("ab").new == ["a", "b"]
        assert journal.run("absent").plan("ab").seconds_left is None


@everywhere
def test_a_plan_is_made_beside_the_owner(place: str) -> None:
    """Looking takes nothing from whoever works on the run: it goes on, and its item in hand counts as begun."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        for item in run.each("abc", progress=False):
            plan = run.plan("abcd")
            assert (len(plan.done), plan.failed) == ("abc".index(item), [item])
        assert run.plan("abcd").new == ["d"]


def test_what_has_changed_is_named() -> None:
    """Given the function, a plan says what changed in it; without it, or without results, that is not known."""
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")
        assert run.plan("a", fetch).changed is None
        list(run.map(fetch, "a", progress=False, parameters={"n": 1}))
        assert run.plan("a").changed is None
        assert run.plan("a", fetch, parameters={"n": 1}).changed == []
        assert run.plan("a", fetch, parameters={"n": 2}).changed == ["parameter n"]
        assert run.plan("a", other, parameters={"n": 1}).changed == ["test_plan.fetch", "test_plan.other"]


def test_a_function_that_moved_has_not_changed() -> None:
    """Whatever its file and its surroundings are called, it means what it meant."""

    def make(where: str) -> Any:
        names: dict[str, Any] = {"__name__": where}
        file = Path(f"{where}.py")
        file.write_text("def count(item):\n    return len(item)\n")
        exec(compile(file.read_text(), str(file.resolve()), "exec"), names)  # as an import does
        return names["count"]

    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")
        list(run.map(make("one"), ["a"], progress=False, on_change="refuse"))
        assert run.plan("ab", make("two")).changed == []
        list(run.map(make("two"), ["a", "b"], progress=False, on_change="refuse"))


def test_keys_are_made_as_a_loop_makes_them() -> None:
    """`key=` takes a function or a field's name, and what can be no key is refused."""
    rows: list[dict[str, Any]] = [{"id": 7}, {"id": 8}]
    with leftoff.open("run.jsonl") as journal:
        run = journal.run("r")
        list(run.each(rows[:1], key="id", progress=False))
        assert run.plan(rows, key="id").new == ["8"]
        assert run.plan(rows, key=lambda row: row["id"]).done == ["7"]
        with pytest.raises(UnusableKey):
            run.plan(rows)
    with pytest.raises(JournalClosed):
        run.plan("a")


def test_the_time_left_is_measured_without_the_time_between_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten items at two seconds each leave four seconds for two more, though a night lay between two owners."""
    now = [1_700_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    for begin in (0, 5):
        with leftoff.open("run.jsonl") as journal:
            owner = journal.run("r").own()
            for number in range(begin, begin + 5):
                owner.commit([Draft("started", str(number))])
                now[0] += 2.0
                owner.commit([Draft("done", str(number))])
        now[0] += 40_000.0
    with leftoff.open("run.jsonl") as journal:
        assert journal.run("r").plan(range(12)).seconds_left == pytest.approx(4.0, abs=0.01)
