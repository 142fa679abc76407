"""Looking keys up: the expected one first, and exactly, whatever order an input has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from leftoff.work.lookup import lookup, lookup_pages
from tests.contract.stores import Lives, everywhere


class Counted:
    """An owner that knows some keys in an order, and counts how often its index is asked."""

    def __init__(self, keys: list[str]) -> None:
        self.known = {key: number for number, key in enumerate(keys, 1)}
        self.asked = 0

    def concluded(self) -> Iterator[tuple[str, int]]:
        return iter(self.known.items())

    def mark(self, key: str) -> int:
        self.asked += 1
        return self.known.get(key, 0)

    def marks(self, keys: list[str]) -> list[int]:
        self.asked += 1
        return [self.known.get(key, 0) for key in keys]


def test_an_input_in_the_order_of_the_journal_costs_no_index():
    """Only what is new is asked for."""
    owner: Any = Counted([f"k{n}" for n in range(1000)])
    mark = lookup(owner)
    assert [mark(f"k{n}") for n in range(1003)] == [*range(1, 1001), 0, 0, 0]
    assert owner.asked == 3


@pytest.mark.parametrize("seed", range(10))
def test_any_order_is_answered_exactly(seed):
    """Shuffled, repeated, partly new: every answer is the index's."""
    print("seed", seed)
    rng = random.Random(seed)
    owner: Any = Counted([f"k{n}" for n in range(50)])
    mark = lookup(owner)
    for _ in range(300):
        key = f"k{rng.randrange(60)}"
        assert mark(key) == owner.known.get(key, 0)


def test_pages_in_the_order_of_the_journal_cost_no_index():
    """Only what is new on the last page is asked for, in one question."""
    owner: Any = Counted([f"k{n}" for n in range(1000)])
    marks = lookup_pages(owner)
    found = [mark for page in range(0, 1005, 15) for mark in marks([f"k{n}" for n in range(page, page + 15)])]
    assert found == [*range(1, 1001), *[0] * 5]
    assert owner.asked == 1


@pytest.mark.parametrize("seed", range(10))
def test_pages_in_any_order_are_answered_exactly_at_a_question_each(seed):
    """Shuffled, repeated, partly new: every answer is the index's, and a page is never asked for key by key."""
    print("seed", seed)
    rng = random.Random(seed)
    owner: Any = Counted([f"k{n}" for n in range(50)])
    marks = lookup_pages(owner)
    for _ in range(100):
        keys = [f"k{n}" for n in rng.sample(range(60), rng.randrange(8))]
        before = owner.asked
        assert marks(keys) == [owner.known.get(key, 0) for key in keys]
        assert owner.asked <= before + 1


@everywhere
@pytest.mark.parametrize("seed", range(3))
def test_whatever_became_of_the_input_only_the_new_is_worked_on(place, seed):
    """Grown, shrunk, shuffled and with forgotten items in between: worked on is what is not done, once."""
    print("seed", seed)
    rng = random.Random(seed)
    lives = Lives(place)
    done: set[int] = set()
    for _ in range(8):
        items = rng.sample(range(80), rng.randrange(1, 60))
        with lives.open() as journal:
            run = journal.run("r")
            assert list(run.each(items)) == [n for n in items if n not in done]
            done |= set(items)
            if rng.random() < 0.5:
                gone = rng.sample(sorted(done), len(done) // 4)
                assert run.forget(gone) == len(gone)
                done -= set(gone)
            assert {int(key) for key in run.keys("done")} == done
