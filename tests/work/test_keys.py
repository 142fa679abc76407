"""What may be a key, and what says so when it may not."""

from __future__ import annotations

import decimal
import enum
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from leftoff.errors import UnusableKey
from leftoff.work.keys import LONGEST, is_at_hand, key_function, own_key


class Numpyish:
    """An integer of another library."""

    def __index__(self) -> int:
        return 42


class Arrayish:
    """An array has __index__ too, but it only works for one element."""

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("item", "key"),
    [
        ("a", "a"), (" a ", " a "), ("é\n", "é\n"), (0, "0"), (-7, "-7"), (10**30, str(10**30)),
        (Numpyish(), "42"),
        (Path("x/y.txt"), f"x{os.sep}y.txt"), ("x" * LONGEST, "x" * LONGEST),
        (Colour.RED, "red"), (Level.HIGH, "3"),
    ],
)  # fmt: skip
def test_texts_integers_and_paths_are_their_own_keys(item, key):
    """Text as it is, whatever is an integer in decimal, paths as text."""
    assert own_key(item) == key


@pytest.mark.parametrize(
    "item",
    [
        True, False, 1.0, float("nan"), b"x", bytearray(b"x"), None, (1, 2), ["a"], {"a": 1}, object(),
        decimal.Decimal(1), 1j, Arrayish(), int, os.fsencode("x"), 10**5000,
    ],
    ids=lambda item: type(item).__name__,
)  # fmt: skip
def test_anything_else_is_refused_and_told_about_key(item):
    """The error names the type and says that key= tells items apart."""
    with pytest.raises(UnusableKey, match=r"key="):
        own_key(item)


@pytest.mark.parametrize(
    ("key", "message"),
    [("", "empty text"), ("a\0b", "NUL"), ("\ud800", "surrogate"), ("x" * (LONGEST + 1), "4097 characters")],
)
def test_texts_that_a_journal_cannot_hold_are_refused(key, message):
    """Empty, NUL, half characters and over-long ones are each named, and the error itself can be printed."""
    with pytest.raises(UnusableKey, match=message) as caught:
        own_key(key)
    str(caught.value).encode("utf-8", "strict" if key != "\ud800" else "backslashreplace")


class Pair(NamedTuple):
    pmid: int
    title: str


@pytest.mark.parametrize("row", [{"pmid": 7}, Pair(7, "x"), SimpleNamespace(pmid=7), SimpleNamespace(pmid="7")])
def test_a_field_is_found_in_mappings_and_objects(row):
    """A field's name works on whatever has keys or attributes."""
    assert key_function("pmid")(row) == "7"


@pytest.mark.parametrize("row", [{"id": 7}, SimpleNamespace(id=7), 7, None])
def test_a_missing_field_is_named(row):
    """The error names item and field."""
    with pytest.raises(UnusableKey, match="has no field 'pmid', which key='pmid' asks for"):
        key_function("pmid")(row)


def test_what_a_key_function_returns_is_held_to_the_same_rules():
    """A function that returns a float or nothing is refused; something that is no function too."""
    for wrong in (lambda _: 1.5, lambda _: None, lambda _: ""):
        with pytest.raises(UnusableKey):
            key_function(wrong)("a")
    bad: Any = 7
    with pytest.raises(UnusableKey, match="neither a function nor the name of a field"):
        key_function(bad)


def test_what_is_at_hand_never_waits():
    """Collections are at hand; a generator, a file and a subclass with code of its own may wait."""

    class Slow(list[int]):
        pass

    assert all(map(is_at_hand, ([], (), range(3), set(), {}, "ab", {}.keys())))
    assert not any(map(is_at_hand, (iter([]), (n for n in [1]), Slow(), map(str, []))))


def test_a_path_in_bytes_is_no_key():
    """Only a path that is text has one text."""

    class Odd:
        def __fspath__(self):
            return b"x"

    with pytest.raises(UnusableKey, match="cannot be its own key"):
        own_key(Odd())
