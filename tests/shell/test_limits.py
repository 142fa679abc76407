"""How many at once, and how long."""

from __future__ import annotations

import resource

import pytest

from leftoff.errors import UsageError
from leftoff.shell import limits
from leftoff.shell.limits import parse_places, parse_span


@pytest.mark.parametrize(
    ("text", "places"),
    [("1", 1), ("8", 8), ("100%", 4), ("200%", 8), ("50%", 2), ("1%", 1), ("+2", 6), ("-1", 3), ("-9", 1)],
)
def test_how_many_at_once(monkeypatch: pytest.MonkeyPatch, text: str, places: int) -> None:
    """A number, a percentage of the CPUs, or so many more or less than these, four here; never less than one."""
    monkeypatch.setattr(limits, "cpu_count", lambda: 4)
    assert parse_places(text) == places


@pytest.mark.parametrize("text", ["0", "x", "", "1.5", "%", "--2"])
def test_another_word_is_refused(text: str) -> None:
    """What cannot be understood, or would run nothing, is a usage error."""
    with pytest.raises(UsageError, match=f"-j {text}"):
        parse_places(text)


def test_more_than_this_process_can_open_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of descriptors would else fail items that have done nothing wrong."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert parse_places("160") == 160
    with pytest.raises(UsageError, match="-j 161: this process may open files for 160 commands at once; see ulimit -n"):
        parse_places("161")


def test_spans_are_seconds_or_texts() -> None:
    """A bare number is seconds, on the command line too."""
    assert parse_span("5", "timeout") == 5.0
    assert parse_span("0.5", "timeout") == 0.5
    assert parse_span("1m30s", "timeout") == 90.0
    assert parse_span(None, "timeout") is None
    for wrong in ("x", "0", "-1", "nan", "inf", ""):
        with pytest.raises(UsageError, match="timeout="):
            parse_span(wrong, "timeout")
