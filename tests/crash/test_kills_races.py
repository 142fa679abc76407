"""Two processes on one run, a thousand times: one owns it, the other is told who does (P7)."""

from pathlib import Path

import pytest

from leftoff.testing.kills import ForkServer
from tests.crash import races
from tests.figures import store_of

RACES = {"race.jsonl": 162, "race.db": 162, "race/": 162, "postgresql": 14}  # with each durability: 1,000 in all
TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]


@pytest.fixture(scope="module")
def forks():
    with ForkServer(Path(races.__file__)) as forks:
        yield forks


@pytest.mark.timeout(1200)  # seconds; many of them on a busy machine
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("place", list(RACES))
def test_of_two_processes_one_owns_a_run(forks, request, quick, rng, counted, place, durability, times):
    """One process works, the other is told its host, pid and start; killed or done, it makes room at once.

    Failure modes 18 (two processes on the same journal) and 19 (a stale lock after a crash).
    """
    url = request.getfixturevalue("postgres").url if place == "postgresql" else place
    plan = {"place": url, "durability": durability, "races": RACES[place] * times, "seed": rng.getrandbits(32)}
    end = forks.run("races", plan, folder=quick, limit=1100)
    assert end.code == 0, end.output
    counted("races of two processes", store_of(place), plan["races"])
