"""What is read off an access log, on logs made by hand: what the proofs rest on must see what it is to see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.papers.evidence import Traffic, given_in, traffic, walks_in


def entry(at: float, served: str = "", cursor: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a line of a log: a letter is a record."""
    params = {} if cursor is None else {"cursor": cursor}
    line = {"at": at, "params": params, "status": 200, "served": list(served), "fault": None, "open": 1}
    return {**line, "violation": False, "banned": False, **more}


def test_what_came_twice_is_counted_without_what_nobody_could_read() -> None:
    """A batch that came again behind a kill counts; one that a fault spoilt is asked for again and came once."""
    log = [
        entry(1, "abc"), entry(2, "abc"), entry(3, "def", fault="flip"), entry(4, "def"), entry(5, status=500),
        entry(6, "g", fault="shortfall"),
    ]  # fmt: skip
    told = traffic(log)
    assert (told.requests, told.faulty, told.given, told.twice) == (6, 2, 7, 3)
    assert (told.may_come_twice(0, 3), told.may_come_twice(1, 3)) == (0, 3)
    assert given_in(log) == set("abcdefg")


def walked_again(*first: dict[str, Any]) -> Traffic:
    """Return the traffic of a walk that is begun again, to its end, behind these requests."""
    return traffic([*first, entry(7, "ab", "*"), entry(8, "cd", "second"), entry(9, "e", "second")])


def test_a_walk_that_a_kill_cut_costs_its_last_page_and_meets_the_others_again() -> None:
    """The pages before were stored: they are the window that is restarted. The last one is the kill's."""
    told = walked_again(entry(1, "ab", "*"), entry(2, "cd", "first"))
    assert (told.twice, told.restarted, told.lost, told.windows, told.astray) == (4, 1, 0, 2, 0)
    assert told.may_come_twice(1, 2) == 4


def test_a_walk_that_lost_a_page_meets_all_of_it_again() -> None:
    """Nothing but the page that was lost was given in vain, and that one nobody could read."""
    told = walked_again(entry(1, "ab", "*"), entry(2, "", "first", status=504, fault="lost-page"))
    assert (told.twice, told.restarted, told.lost, told.windows, told.faulty) == (2, 1, 1, 2, 1)
    assert told.may_come_twice(0, 2) == 2


def test_a_first_page_that_does_not_come_begins_no_walk() -> None:
    """It is asked for again, with nothing given."""
    told = walked_again(entry(1, "", "*", status=503, fault="503"))
    assert (told.twice, told.restarted, told.windows) == (0, 0, 0)


@pytest.mark.parametrize(
    "requests",
    [
        [entry(1, "ab", "*"), entry(2, "", "first", fault="reset"), entry(3, "ef", "first")],
        [entry(1, "ab", "*"), entry(2, "cd", "first"), entry(3, "ab", "*"), entry(4, "ef", "first")],
        [entry(1, "ab", "*"), entry(2, "cd", "first"), entry(3, "ef", "second")],
    ],
    ids=["behind a loss", "of another walk", "two in one walk"],
)
def test_a_cursor_that_should_not_have_been_sent_is_seen(requests: list[dict[str, Any]]) -> None:
    """A cursor is good for the next page of its own walk, and for nothing once a page was lost."""
    assert sum(walk.astray for walk in walks_in(requests)) == 1


def test_limits_are_counted_at_the_arrival_in_whatever_order_it_is_logged() -> None:
    """The nearest two, the most in one sliding second, the most under way at a time, and what the replica judged."""
    told = traffic([entry(10.5), entry(10.0, open=2), entry(10.2), entry(10.97), entry(12, violation=True)])
    assert (round(told.nearest, 3), told.most, told.at_once, told.violations) == (0.2, 3, 2, 1)
