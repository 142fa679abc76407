"""The replica counts by its own clock, and bans who keeps breaking the limits."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from leftoff.testing.ncbi_process import Running, serve
from leftoff.testing.replica_limits import Limits
from tests.testing import naive

SHIPPED = Path(__file__).parents[2] / "examples" / "papers" / "records"


def limits(ban_after: int = 0) -> Limits:
    return Limits(3, 10, tolerance=0.03, ban_after=ban_after)


@pytest.mark.parametrize(("spacing", "violations"), [(0.34, 0), (0.324, 0), (0.32, 37), (0.1, 37)])
def test_three_a_second_slide(spacing: float, violations: int) -> None:
    """No more than three arrivals may lie in any second less the tolerance, whenever that second begins."""
    judge = limits()
    verdicts = [judge.judge("1.2.3.4", 100 + number * spacing, keyed=False) for number in range(40)]
    assert sum(verdict.violation for verdict in verdicts) == violations


def test_a_burst_after_a_pause_is_seen() -> None:
    """Six requests around the turn of a second are three too many, however the seconds are cut."""
    judge = limits()
    verdicts = [judge.judge("a", at, keyed=False) for at in (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)]
    assert [verdict.violation for verdict in verdicts] == [False, False, False, True, True, True]


def test_a_key_allows_ten_and_is_counted_by_itself() -> None:
    """With an API key the limit is ten a second; clients are counted apart."""
    judge = limits()
    assert not any(judge.judge("key", number * 0.098, keyed=True).violation for number in range(50))
    assert judge.judge("other", 1.0, keyed=False).count == 1
    assert sum(judge.judge("key2", number * 0.01, keyed=True).violation for number in range(15)) == 5


def test_who_keeps_on_is_banned_for_ever() -> None:
    """The Nth violation bans the client, however long it then waits, and nobody else."""
    judge = limits(ban_after=2)
    for at in (0.0, 0.1, 0.2, 0.3, 0.4):
        judge.judge("a", at, keyed=False)
    assert judge.judge("a", 1e6, keyed=False).banned
    assert not judge.judge("b", 1e6, keyed=False).banned


def refusal(url: str) -> urllib.error.HTTPError | None:
    try:
        urllib.request.urlopen(url).close()
    except urllib.error.HTTPError as error:
        return error
    return None


def hammer(running: Running, status: int) -> urllib.error.HTTPError:
    """Ask without a pause until the answer has this status."""
    for _ in range(1000):
        error = refusal(f"{running.eutils}/efetch.fcgi?id=4&tool=t&email=e")
        if error is not None and error.code == status:
            return error
    raise AssertionError(f"never answered {status}")


def test_too_quick_a_client_gets_429_and_is_banned_in_the_end() -> None:
    """A 429 has the service's body and headers; after --ban-after violations all is 403, and the log has them."""
    with serve(SHIPPED, "--ban-after", "3") as running:
        with hammer(running, 429) as error:
            assert error.headers["Retry-After"] == "2"
            assert (error.headers["X-RateLimit-Limit"], error.headers["X-RateLimit-Remaining"]) == ("3", "0")
            expected = {"error": "API rate limit exceeded", "api-key": "127.0.0.1", "count": "4", "limit": "3"}
            assert json.load(error) == expected
        hammer(running, 403).close()
        assert running.ask()["banned"] == ["127.0.0.1"]
        log = running.log()
    assert sum(entry["violation"] for entry in log) == 3
    assert [entry["status"] for entry in log if entry["violation"]] == [429, 429, 429]
    assert {"at", "path", "params", "ids", "status", "served", "fault", "violation"} <= log[0].keys()
    assert (log[0]["params"], log[0]["ids"], log[0]["served"]) == ({"tool": "t", "email": "e"}, ["4"], ["4"])


def test_the_naive_client_does_not_survive_the_limit() -> None:
    """A client that does not wait dies of the 429 on the way, and is whole where there is no limit."""
    with serve(SHIPPED) as running, pytest.raises(urllib.error.HTTPError, match="429"):
        naive.harvest(running.eutils, "all[sb]", batch=1)
    with serve(SHIPPED, "--limit", "0") as running:
        assert len(naive.harvest(running.eutils, "all[sb]", batch=1)) == 120
