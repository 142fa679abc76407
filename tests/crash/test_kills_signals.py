"""Ctrl-C and SIGTERM before every line and at any instant of a commit: the program stops and repeats nothing (P10)."""

import inspect
import signal
from pathlib import Path

import pytest

from leftoff.journal.connection import Connection
from leftoff.testing.kills import ForkServer, choose
from tests.crash import programs, signalled
from tests.crash.campaign import IN_ONE_PROCESS, PLACES, Campaign

POINTS = 16
TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]

every_store = pytest.mark.parametrize("suffix", list(PLACES))


@pytest.fixture(scope="module")
def forks():
    with ForkServer(Path(programs.__file__)) as forks:
        yield forks


@pytest.mark.timeout(1800)  # seconds; many of them on a busy machine
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@every_store
@pytest.mark.parametrize("loop", IN_ONE_PROCESS)
def test_a_signal_before_every_line_stops_it_and_repeats_nothing(forks, quick, rng, loop, suffix, sent, code, times):
    """Asked to stop before a line of ours, it ends with its exit code and goes on where it was.

    Failure mode 12: SIGTERM at each line; 11, for Ctrl-C.
    """
    items = [f"item-{number}" for number in range(4)]
    record, clean = quick / "record", Campaign(forks, quick / "clean", loop, suffix, "power")
    clean.run(items, record=record)
    ends = {code: 0, 0: 0, -sent: 0}  # stopped in the loop, at its end, outside of it

    def signal_before(line):
        campaign = Campaign(forks, quick / f"at-{line}", loop, suffix, "power")
        end = forks.run("work", campaign.plan(items), line=line, sent=sent)
        assert end.code in ends, end.output
        ends[end.code] += 1
        campaign.kills = int(end.code < 0)  # it came outside of the loop, and was the signal's usual end
        campaign.check()
        campaign.finish(items)
        assert campaign.result() == clean.result(), f"signalled before line {line}"

    lines = record.read_text().splitlines()
    chosen = choose(lines, POINTS * times, rng)
    for line in chosen:
        signal_before(line)
    others = rng.sample(range(len(lines)), len(lines))  # four of five lines are outside of the loop: one inside is met
    while not ends[code] and others:
        if (line := others.pop()) not in chosen:
            signal_before(line)
    print(ends)
    assert ends[code] > 0


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_while_sqlite_prepares_a_statement_is_no_damage(forks, quick, rng, sent, code):
    """SQLite takes what its authorizer raises for a No: a loop stops behind it, and outside of one the signal does."""
    items = [f"item-{number}" for number in range(4)]
    record, plan = quick / "record", Campaign(forks, quick / "clean", "each", "db", "power").plan(items)
    forks.run("work", plan, record=record)
    source, begin = inspect.getsourcelines(Connection._authorize)
    asked = {f"{inspect.getsourcefile(Connection)}:{begin + offset}" for offset in range(len(source))}
    numbers = [number for number, place in enumerate(record.read_text().splitlines()) if place in asked]
    ends = set()
    for line in [*numbers[:3], *rng.sample(numbers[3:], 12)]:
        campaign = Campaign(forks, quick / f"at-{line}", "each", "db", "power")
        end = forks.run("work", campaign.plan(items), line=line, sent=sent)
        assert end.code in (0, code, -sent), end.output
        ends.add(end.code)
        campaign.kills = int(end.code < 0)
        campaign.check()
    assert {code, -sent} <= ends, "in the loop, and before it"


@pytest.mark.timeout(1800)  # seconds; many of them on a busy machine
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("signals", [1, 2])
@every_store
def test_ctrl_c_at_every_instant_of_a_commit_stops_behind_it(quick, suffix, signals, durability, times):
    """In steps of some microseconds across a loop's commits, Ctrl-C leaves nothing in doubt; a second one stops now.

    Failure mode 11: SIGINT inside commit.
    """
    steps = 60 * times
    plan = {"place": PLACES[suffix], "signals": signals, "durability": durability, "steps": steps}
    with ForkServer(Path(signalled.__file__)) as forks:
        end = forks.run("sweep", {**plan, "seconds": 5e-6 / times}, folder=quick)
    assert end.code == 0, end.output
    print(end.output)
    assert "130: " in end.output
