"""When to stop before the end of the list."""

from __future__ import annotations

import pytest

from leftoff.errors import UsageError
from leftoff.shell.halt import is_percent, parse_halt

FATES = ["done", "dead", "done", "dead", "done"]


@pytest.mark.parametrize(
    ("text", "now", "reached"),
    [
        ("never", False, None),
        ("0", False, None),
        ("now,fail=1", True, 1),
        ("2", True, 1),
        ("1", False, 1),
        ("soon,fail=2", False, 3),
        ("now,success=1", True, 0),
        ("-2", True, 0),
        ("-1", False, 0),
        ("soon,success=3", False, 4),
        ("soon,done=4", False, 3),
        ("soon,fail=20%", False, 3),
        ("soon,fail=30%", False, None),
        ("now,done=10%", True, 0),
    ],
)
def test_it_is_enough_when_parallel_says_so(text: str, now: bool, reached: int | None) -> None:
    """The words of GNU parallel mean the same, also its old numbers; a percentage is of all items, ten here."""
    halt = parse_halt(text, 10)
    assert halt.now == now
    found = [halt.is_reached(fate) for fate in FATES]
    assert found.index(True) == reached if reached is not None else not any(found)


@pytest.mark.parametrize(
    "text", ["", "soon", "soon,fail", "soon,fail=0", "x,fail=1", "now,fail=1,2", "now,fail=101%", "3"]
)
def test_another_word_is_refused(text: str) -> None:
    """What cannot be understood is a usage error with examples."""
    with pytest.raises(UsageError, match="now,fail=1 soon,fail=10%"):
        parse_halt(text, 10)


def test_a_percentage_needs_the_number_of_items() -> None:
    """Only then has the list to be read to its end first."""
    assert is_percent("soon,fail=10%")
    assert not is_percent("soon,fail=10")
