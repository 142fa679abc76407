from __future__ import annotations

import pytest

from leftoff.cli.text import ago, as_json, printable, shortened, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pmid:31452104 ü→漢", "pmid:31452104 ü→漢"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\u202eabc\u200b", "\\u202eabc\\u200b"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_only_what_can_be_seen_is_sent_to_a_terminal(text: str, shown: str) -> None:
    """Controls, bidi marks, separators and lone surrogates are escaped; letters of any script stay."""
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_json_is_ascii() -> None:
    """Neither an encoding nor a terminal can be in the way of a program that reads JSON."""
    assert as_json({"key": "ü\x1b\u202e"}) == '{"key":"\\u00fc\\u001b\\u202e"}'


def test_a_long_text_is_cut() -> None:
    """A value takes its place in a line, no more, and shows that something is left out."""
    assert shortened("x" * 20, 20) == "x" * 20
    assert shortened("x" * 21, 20) == "x" * 19 + "…"
    assert len(shortened("\n" * 15, 20)) == 20


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"), (3598, "3.6 kB"), (999_499, "999 kB"),
     (999_500, "1 MB"), (1.5e6, "1.5 MB"), (999.5e6, "1 GB"), (3e11, "300 GB")],
)  # fmt: skip
def test_sizes_are_rounded_for_people(count: float, shown: str) -> None:
    """Three digits and a unit, which never reads 1000."""
    assert size(int(count)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 seconds ago"), (1.9, "1 second ago"), (59, "59 seconds ago"), (60, "1 minute ago"), (7199, "1 hour ago"),
     (86400 * 3, "3 days ago")],
)  # fmt: skip
def test_spans_are_said_as_people_say_them(seconds: float, shown: str) -> None:
    """One unit is enough, and a clock that went back does not count below zero."""
    assert ago(seconds) == shown
