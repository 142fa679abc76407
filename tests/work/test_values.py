"""Values in and out of a journal; how they fare in a loop stands in test_map.py."""

from __future__ import annotations

import dataclasses
import json

import hypothesis
from hypothesis import strategies as st

from leftoff.work.values import decode, encode, failure_of

TEXT = st.text(st.characters(codec="utf-8"))
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
NAME = st.sampled_from(["$", "$bytes", "$$bytes", "a", "$a"]) | TEXT
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(NAME, inner),
    max_leaves=20,
)


@hypothesis.given(JSON)
def test_what_goes_in_comes_out(value):
    """Any JSON with bytes in it, however its keys look, makes the round trip; None is no value."""
    text = encode(value, "k")
    assert (text is None) == (value is None)
    if text is not None:
        assert decode(json.loads(text)) == value
        assert "\n" not in text


def test_a_dataclass_may_hold_others():
    """Nested dataclasses are written as objects."""

    @dataclasses.dataclass
    class Inner:
        data: bytes

    @dataclasses.dataclass
    class Outer:
        inner: Inner

    text = encode(Outer(Inner(b"x")), "k")
    assert text is not None
    assert decode(json.loads(text)) == {"inner": {"data": b"x"}}


def test_a_failure_tells_type_message_and_the_end_of_the_trace():
    """What an item raised is kept as text; a message is kept whole up to a length."""
    try:
        {}["missing"]
    except KeyError as error:
        failure = failure_of(error)
    assert (failure.type, failure.message) == ("KeyError", "'missing'")
    assert failure.traceback.endswith("KeyError: 'missing'\n")
    assert str(failure) == "KeyError: 'missing'"
