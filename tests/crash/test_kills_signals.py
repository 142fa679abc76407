"""Ctrl-C and SIGTERM before every line and at any instant of a commit: the program stops and repeats nothing (P10)."""

import signal
from pathlib import Path

import pytest

from leftoff.testing.kills import ForkServer, choose
from tests.crash import programs, signalled
from tests.crash.campaign import IN_FLIGHT, Campaign

POINTS = 24
TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]

every_store = pytest.mark.parametrize("suffix", ["jsonl", "db"])


@pytest.fixture(scope="module")
def forks():
    with ForkServer(Path(programs.__file__)) as forks:
        yield forks


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
@every_store
@pytest.mark.parametrize("loop", list(IN_FLIGHT))
def test_a_signal_before_every_line_stops_it_and_repeats_nothing(forks, quick, rng, loop, suffix, sent, code, times):
    """Asked to stop before a line of ours, it ends with its exit code and goes on where it was.

    Failure mode 12: SIGTERM at each line; 11, for Ctrl-C.
    """
    items = [f"item-{number}" for number in range(4)]
    record, clean = quick / "record", Campaign(forks, quick / "clean", loop, suffix, "power")
    clean.run(items, record=record)
    ends = {code: 0, 0: 0, -sent: 0}  # stopped in the loop, at its end, outside of it
    for line in choose(record.read_text().splitlines(), POINTS * times, rng):
        campaign = Campaign(forks, quick / f"at-{line}", loop, suffix, "power")
        end = forks.run("work", campaign.plan(items), line=line, sent=sent)
        assert end.code in ends, end.output
        ends[end.code] += 1
        campaign.kills = int(end.code < 0)  # it came outside of the loop, and was the signal's usual end
        campaign.check()
        campaign.finish(items)
        assert campaign.result() == clean.result(), f"signalled before line {line}"
    print(ends)
    assert ends[code] > 0


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("signals", [1, 2])
@every_store
def test_ctrl_c_at_every_instant_of_a_commit_stops_behind_it(quick, suffix, signals, durability, times):
    """In steps of some microseconds across a loop's commits, Ctrl-C leaves nothing in doubt; a second one stops now.

    Failure mode 11: SIGINT inside commit.
    """
    steps = 60 * times
    plan = {"suffix": f"work.{suffix}", "signals": signals, "durability": durability, "steps": steps}
    with ForkServer(Path(signalled.__file__)) as forks:
        end = forks.run("sweep", {**plan, "seconds": 5e-6 / times}, folder=quick)
    assert end.code == 0, end.output
    print(end.output)
    assert "130: " in end.output
