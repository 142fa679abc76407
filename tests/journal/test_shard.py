"""Shares of a run's keys: which keys they hold, which of them meet, and how they are named."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from leftoff.errors import UsageError
from leftoff.journal.shard import WHOLE, Shard, make_shard

# int.from_bytes(BLAKE2b-64 of the key's UTF-8, "big"), by b2sum -l 64
NUMBERS = {"": 0xE4A6A0577479B2B4, "a": 0x40F89E395B66422F, "é": 0xCB1ABF8BEFF3192F}


@pytest.mark.parametrize("total", [1, 2, 7, 64])
@pytest.mark.parametrize("key", list(NUMBERS))
def test_a_key_belongs_to_one_share_everywhere_and_always(key: str, total: int) -> None:
    """Writers on other machines and of later releases divide the keys in the same way."""
    assert [Shard(number, total).has(key) for number in range(total)] == [
        number == NUMBERS[key] % total for number in range(total)
    ]


@pytest.mark.parametrize(("one", "other"), list(product([1, 2, 3, 4, 6], repeat=2)))
def test_shares_overlap_where_a_number_can_be_in_both(one: int, other: int) -> None:
    """All numbers of a period are tried."""
    for number, beside in product(range(one), range(other)):
        met = any(n % one == number and n % other == beside for n in range(one * other))
        assert Shard(number, one).overlaps(Shard(beside, other)) is met


def test_a_share_is_named_as_people_say_it() -> None:
    """The one share that holds everything is no shard."""
    assert str(Shard(0, 2)) == "shard 0 of 2"
    assert str(Shard(3, 4)) == "shard 3 of 4"
    assert str(WHOLE) == "all keys"


def test_a_share_is_given_as_a_pair() -> None:
    """A list, as JSON has it, will do; None is everything."""
    assert make_shard((0, 4)) == Shard(0, 4)
    assert make_shard([3, 4]) == Shard(3, 4)
    assert make_shard((0, 1)) == make_shard(None) == WHOLE


@pytest.mark.parametrize(
    "given",
    [3, (1,), (1, 2, 3), "", "12", ("0", 2), (0, "2"), (0.0, 2), (1, 2.0), (True, 2), (2, 2), (3, 2), (-1, 2), (0, 0)],
)
def test_what_is_no_share_is_refused_with_examples(given: Any) -> None:
    """What was given stands in the error."""
    with pytest.raises(UsageError) as refused:
        make_shard(given)
    assert str(refused.value) == (f"shard={given!r}: write (number, total) with 0 <= number < total: (0, 4) to (3, 4)")
