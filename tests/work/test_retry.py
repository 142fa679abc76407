"""Trying again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leftoff.errors import Stopped, UsageError
from leftoff.work.retry import call, delay


class Flaky:
    """Fail this often, then return what was asked for."""

    def __init__(self, *errors: BaseException, value: str = "fetched") -> None:
        self.errors = list(errors)
        self.value = value
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.value


def never(seconds: float) -> None:
    pytest.fail(f"slept {seconds} s")


@given(st.integers(1, 10**6), st.floats(0, 1e6), st.floats(0, 1e6), st.integers())
def test_a_wait_lies_between_zero_and_its_doubling_bound(failures, base, cap, seed):
    """A wait is never negative, and never above the cap or the base doubled with each failure."""
    seconds = delay(failures, base=base, cap=cap, rng=random.Random(seed))
    assert 0 <= seconds <= cap
    if failures < 20:
        assert seconds <= base * 2 ** (failures - 1)


def test_the_whole_range_is_used():
    """Full jitter draws from zero up to the bound, so that crowds spread out."""
    rng = random.Random(7)
    waits = [delay(3, base=1.0, rng=rng) for _ in range(1000)]
    assert min(waits) < 0.4
    assert max(waits) > 3.6
    assert 1.8 < sum(waits) / len(waits) < 2.2


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"failures": 1, "base": -1.0}, {"failures": 1, "cap": -1.0}])
def test_a_wait_without_a_failure_or_with_a_negative_bound_is_refused(wrong):
    """A count below one or a bound below zero is the caller's mistake, and is named."""
    with pytest.raises(UsageError, match="bounds from 0"):
        delay(**wrong)


def test_a_call_that_recovers_returns_its_value():
    """The value comes back after as many waits as there were failures."""
    function, slept = Flaky(OSError("first"), OSError("second")), []
    assert call(function, attempts=3, wait=lambda error, failures: failures * 10.0, sleep=slept.append) == "fetched"
    assert function.calls == 3
    assert slept == [10.0, 20.0]


def test_the_last_error_comes_out_as_it_was():
    """After the last attempt the very error object is raised, and nothing sleeps any more."""
    last = OSError("second")
    function, slept = Flaky(OSError("first"), last, OSError("third")), []
    with pytest.raises(OSError, match="second") as caught:
        call(function, attempts=2, wait=lambda error, failures: 0.5, sleep=slept.append)
    assert caught.value is last
    assert function.calls == 2
    assert slept == [0.5]


def test_a_wait_of_none_gives_up_at_once():
    """An error that waiting cannot mend is raised without a second call."""
    function = Flaky(ValueError("not found"))
    with pytest.raises(ValueError, match="not found"):
        call(function, attempts=5, wait=lambda error, failures: None, sleep=never)
    assert function.calls == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(3), Stopped("stopped", 75)])
def test_a_stop_is_never_tried_again(stop):
    """Ctrl-C, an exit and a stop pass at once, whatever attempts are left."""
    function = Flaky(stop)
    with pytest.raises(type(stop)) as caught:
        call(function, attempts=5, sleep=never)
    assert caught.value is stop
    assert function.calls == 1


def test_a_stop_while_waiting_does_not_drag_the_error_along():
    """A stop out of the wait is shown alone, not as something that happened while handling an error."""

    def stopping(seconds):
        raise Stopped("stopped", 130)

    with pytest.raises(Stopped) as caught:
        call(Flaky(OSError("first")), attempts=2, sleep=stopping)
    assert caught.value.__context__ is None


def test_each_failure_is_told_before_anything_else():
    """Every failure is told with its number, the last one too."""
    told = []
    with pytest.raises(OSError, match="b"):
        call(
            Flaky(OSError("a"), OSError("b")),
            attempts=2,
            sleep=lambda seconds: told.append("sleep"),
            on_failure=lambda error, failures: told.append((str(error), failures)),
        )
    assert told == [("a", 1), "sleep", ("b", 2)]


def test_less_than_one_attempt_is_refused():
    """No attempts means no value to return, so it is refused before the call."""
    function = Flaky()
    with pytest.raises(UsageError, match="attempts=0"):
        call(function, attempts=0)
    assert function.calls == 0
