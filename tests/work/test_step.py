"""Steps: what runs once and is replayed."""

from __future__ import annotations

import pytest

from leftoff.errors import UnusableKey, UnusableValue
from tests.contract.stores import Lives, everywhere


@everywhere
def test_a_step_runs_once_for_its_name_and_arguments(place):
    """The result is replayed in this run and in later ones; other arguments are another step."""
    lives = Lives(place)
    calls: list[tuple[object, ...]] = []

    def build(*arguments: object) -> dict[str, object]:
        calls.append(arguments)
        return {"built": list(arguments), "data": b"x"}

    for _ in range(2):
        with lives.open() as journal:
            run = journal.run("r")
            for arguments in ((), ("v2",), ("v2", 1), ({"a": 1},)):
                for _ in range(2):
                    assert run.step("build", build, *arguments) == {"built": list(arguments), "data": b"x"}
    assert calls == [(), ("v2",), ("v2", 1), ({"a": 1},)]


@everywhere
def test_a_step_without_a_result_is_replayed_too(place):
    """None is a result: the function is not called again."""
    lives = Lives(place)
    calls: list[int] = []
    for _ in range(2):
        with lives.open() as journal:
            assert journal.run("r").step("once", lambda: calls.append(1)) is None
    assert calls == [1]


@everywhere
def test_a_step_that_raised_is_not_recorded(place):
    """What it raises comes out, and the next call runs it again."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        with pytest.raises(ZeroDivisionError):
            run.step("build", lambda: 1 / 0)
        assert run.step("build", lambda: 2) == 2


@everywhere
def test_each_run_has_its_own_steps(place):
    """A name in one run says nothing about another, and a step is no item."""
    with Lives(place).open() as journal:
        assert journal.run("one").step("s", lambda: 1) == 1
        assert journal.run("two").step("s", lambda: 2) == 2
        assert list(journal.run("one").each(["s"])) == ["s"]
        assert journal.run("one").report().total == 1


@everywhere
def test_a_result_that_cannot_be_kept_is_refused(place):
    """The error names the step; nothing is recorded. So are arguments and names that cannot be a key."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        with pytest.raises(UnusableValue, match="step build"):
            run.step("build", object)
        with pytest.raises(UnusableValue):
            run.step("build", lambda x: 1, object())
        with pytest.raises(UnusableKey):
            run.step("", lambda: 1)
        assert run.step("build", lambda: 1) == 1


@everywhere
def test_a_step_inside_an_item_stands_by_itself(place):
    """It stays recorded though the item around it fails."""
    lives = Lives(place)
    with pytest.raises(ZeroDivisionError), lives.open() as journal:
        run = journal.run("r")
        for _ in run.each(["a"]):
            run.step("inner", lambda: 1)
            1 / 0  # noqa: B018
    with lives.open() as journal:
        run = journal.run("r")
        for _ in run.each(["a"]):
            assert run.step("inner", pytest.fail) == 1
