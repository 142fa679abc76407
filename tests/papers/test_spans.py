"""Spans of time in which works are walked."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leftoff.errors import UsageError
from leftoff.papers.spans import FIRST, Span, everything

MOMENTS = st.integers(FIRST, 2_000_000_000)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp())


@given(MOMENTS, MOMENTS)
def test_halves_are_the_span_and_nothing_twice(one: int, other: int) -> None:
    """The later half follows on the earlier one without a gap; only a second cannot be halved."""
    span = Span("updated", min(one, other), max(one, other))
    if span.is_moment:
        with pytest.raises(UsageError, match="single second"):
            span.halves()
        return
    later, earlier = span.halves()
    assert (earlier.first, earlier.last + 1, later.last) == (span.first, later.first, span.last)
    assert earlier.first <= earlier.last
    assert later.first <= later.last
    assert {later.kind, earlier.kind} == {"updated"}


def test_days_stay_whole_while_there_are_two() -> None:
    """So that most spans are told in days, as people read them, and a day is told in seconds."""
    span = Span("created", at("2024-03-01"), at("2024-03-06") - 1)
    assert [str(half) for half in span.halves()] == ["created:2024-03-03..2024-03-05", "created:2024-03-01..2024-03-02"]
    day = Span("created", at("2024-03-01"), at("2024-03-02") - 1)
    assert str(day) == "created:2024-03-01..2024-03-01"
    assert [str(half) for half in day.halves()] == [
        "created:2024-03-01T12:00:00..2024-03-01", "created:2024-03-01..2024-03-01T11:59:59"
    ]  # fmt: skip


def test_a_span_is_filters_of_the_service() -> None:
    """By day or by second, ends included; that of everything asks for no date, its oldest part for no beginning."""
    assert Span("updated", at("2024-03-01"), at("2024-03-01T12:00:00")).filters == [
        "from-update-date:2024-03-01", "until-update-date:2024-03-01T12:00:00"
    ]  # fmt: skip
    whole = everything(at("2027-01-01") - 1)
    assert (whole.filters, str(whole)) == ([], "created:all")
    later, earlier = whole.halves()
    assert later.filters == ["from-created-date:2008-07-02", "until-created-date:2026-12-31"]
    assert earlier.filters == ["until-created-date:2008-07-01"]


def test_names_tell_spans_apart() -> None:
    """The word by which a span is known in a journal is its own, and has no spaces."""
    spans = [
        everything(10**9),
        Span("created", 0, 5),
        Span("updated", 0, 5),
        Span("created", 0, 6),
        Span("created", 1, 5),
    ]
    names = [str(span) for span in spans]
    assert len(set(names)) == len(spans)
    assert all(re.fullmatch(r"\S+", name) for name in names)
