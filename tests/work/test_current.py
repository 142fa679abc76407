"""What is in hand: key, attempt, token."""

from __future__ import annotations

import threading

import pytest

import leftoff
from leftoff.errors import UsageError
from tests.contract.stores import Lives, everywhere


def nothing_in_hand() -> bool:
    with pytest.raises(UsageError, match="no item is in hand here"):
        leftoff.current()
    return True


@everywhere
def test_outside_of_items_nothing_is_in_hand(place):
    """Before, between, behind and beside a loop `current` refuses; in its body it has the item."""

    def source():
        for n in range(2):
            assert nothing_in_hand()
            yield n

    assert nothing_in_hand()
    with Lives(place).open() as journal:
        for item in journal.run("r").each(source()):
            assert leftoff.current().key == str(item)
            found: list[bool] = []
            thread = threading.Thread(target=lambda found=found: found.append(nothing_in_hand()))
            thread.start()
            thread.join()
            assert found == [True]
        assert nothing_in_hand()
        for _ in journal.run("r").each([7]):
            break
        assert nothing_in_hand()


@everywhere
def test_the_innermost_item_is_in_hand(place):
    """Within an inner loop it is the inner item, behind it the outer again."""
    with Lives(place).open() as journal:
        for outer in journal.run("outer").each(["a", "b"]):
            for inner in journal.run(f"inner {outer}").each([1]):
                assert leftoff.current().key == str(inner)
            assert leftoff.current().key == outer


@everywhere
def test_loops_that_end_out_of_order_leave_nothing_in_hand(place):
    """An outer loop closed before its inner one does not stay in hand when that ends."""
    with Lives(place).open() as journal:
        outer, inner = journal.run("outer").each(["a"]), journal.run("inner").each(["b"])
        next(outer)
        next(inner)
        outer.close()
        assert leftoff.current().key == "b"
        inner.close()
        assert nothing_in_hand()


@everywhere
def test_a_token_belongs_to_run_and_key(place):
    """It is the same at every try and in every life, and no other run or journal has it."""
    lives = Lives(place)
    seen = []
    for attempt in (1, 2):
        with lives.open() as journal:
            with pytest.raises(ValueError, match="again"), journal.run("r").each(["a"]) as items:
                for _ in items:
                    now = leftoff.current()
                    assert now.attempt == attempt
                    seen.append(now.token)
                    raise ValueError("again")
            for _ in journal.run("other").each(["a"]):
                seen.append(leftoff.current().token)
                break
    assert seen[0] == seen[2]
    assert seen[1] == seen[3]
    assert seen[0] != seen[1]
    assert len(seen[0]) == 32


@everywhere
def test_of_three_loops_the_outermost_may_end_first(place):
    """Each ends without taking another's item out of hand."""
    with Lives(place).open() as journal:
        loops = [journal.run(name).each([name]) for name in ("outer", "middle", "inner")]
        for loop in loops:
            next(loop)
        loops[0].close()
        assert leftoff.current().key == "inner"
        loops[2].close()
        assert leftoff.current().key == "middle"
        loops[1].close()
        assert nothing_in_hand()
