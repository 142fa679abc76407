"""SIGKILL at any instant, at every boundary and in the worst places: nothing is lost, little is repeated (P1 to P7)."""

import os
import signal
from itertools import product
from pathlib import Path

import pytest

from leftoff.testing.kills import ForkServer, read_ledger
from tests.crash import programs
from tests.crash.campaign import IN_FLIGHT, IN_ONE_PROCESS, PLACES, Campaign, uninterrupted
from tests.figures import store_of

KILLS = 4  # on one journal; one more could make a dead letter of an innocent that was hit each time
TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]


def combination(loop, suffix, durability):
    """Return one of the combinations; where tasks and processes differ from threads is seen in a few of theirs."""
    few = loop in ("tasks", "processes") and (durability == "process" or suffix == "segments")
    return pytest.param(loop, suffix, durability, marks=pytest.mark.prove if few else ())


every_combination = pytest.mark.parametrize(
    ("loop", "suffix", "durability"), [combination(*each) for each in product(IN_FLIGHT, PLACES, ("power", "process"))]
)
every_loop_of_one_process = pytest.mark.parametrize("loop", IN_ONE_PROCESS)
every_store = pytest.mark.parametrize("suffix", list(PLACES))
every_durability = pytest.mark.parametrize("durability", ["power", "process"])


@pytest.fixture(scope="module")
def server():
    with ForkServer(Path(programs.__file__)) as server:
        yield server


def keys(count, name="item"):
    return [f"{name}-{number}" for number in range(count)]


def changed(rng, items, more):
    """Return the input of a later run: shuffled, shrunk and grown."""
    fewer = rng.sample(items, rng.randint(len(items) // 2, len(items)))
    return rng.sample([*fewer, *more], len(fewer) + len(more))


@pytest.mark.parametrize("times", TIMES)
@every_combination
def test_kill_at_any_instant(server, tmp_path, rng, counted, loop, suffix, durability, times):
    """Killed at instants all over its span, its input changed in between, a run ends as if nothing had happened."""
    base, grown, seconds = keys(24), keys(4, "late"), 0.0015
    _, clean = uninterrupted(server, tmp_path, loop, suffix, durability, base + grown, seconds)
    lines = read_ledger(clean.ledger)
    span = lines[-1].at - lines[0].at  # from the first item's start to the last one's end: within first and last commit
    wanted, inside, chain = 5 * KILLS * times, 0, 0
    while inside < wanted:
        chain += 1
        assert chain <= wanted, f"only {inside} kills fell between the first and the last commit"
        campaign = Campaign(server, tmp_path / f"chain-{chain}", loop, suffix, durability, seconds)
        items = rng.sample(base, len(base))
        while campaign.kills < KILLS and len(left := set(items) - set(campaign.done())) > 2:
            # The first kill of each chain has its place in the whole span, the others fall anywhere in what is left.
            share = rng.random() if campaign.kills else chain * 0.618 % 1
            before = campaign.count().executed
            campaign.run(items, after=share * span * len(left) / len(base + grown))
            if campaign.is_complete():
                span *= 0.9  # measured while the machine was busier than now: the run is over sooner
            else:
                inside += campaign.count().executed != before
            items = changed(rng, base, rng.sample(grown, rng.randint(0, len(grown))))
        campaign.finish(rng.sample(base + grown, len(base + grown)))
        assert campaign.result() == clean.result()
        assert campaign.dead() == [], "four kills make no dead letter"
    counted("kills at any instant", store_of(suffix), inside)


@pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.prove)])
@every_combination
def test_kill_at_every_boundary(server, quick, rng, counted, loop, suffix, durability, count):
    """Right before and right behind each call that changes what is on disk, a kill loses and doubles nothing."""
    items = keys(count)
    end, clean = uninterrupted(server, quick, loop, suffix, durability, items)
    boundaries, commits = range(2 * end.calls), count / IN_FLIGHT[loop]
    assert end.calls > commits, "the switch sees no commits"
    reached = []
    for boundary in boundaries:
        campaign = Campaign(server, quick / f"at-{boundary}", loop, suffix, durability)
        if campaign.run(items, boundary=boundary).killed:
            reached.append(boundary)
        campaign.finish(rng.sample(items, len(items)))
        assert campaign.result() == clean.result(), f"killed at boundary {boundary}"
    # Workers share commits, and a syncing thread makes calls of its own, as chance has it: the last may not come.
    shared = loop in ("threads", "tasks", "processes") or durability == "process"
    assert reached == list(boundaries) or (shared and len(reached) > commits)
    counted("kills before and behind a call", store_of(suffix), len(reached))


@every_store
def test_a_loss_is_seen(server, quick, suffix):
    """A program that acknowledges an item before it is done is caught: the count would see a loss."""
    items, lost = keys(4), 0
    end, _ = uninterrupted(server, quick, "each", suffix, "power", items)
    for boundary in range(2 * end.calls):
        campaign = Campaign(server, quick / f"at-{boundary}", "each", suffix, "power")
        server.run("work", campaign.plan(items, hasty=True), boundary=boundary)
        if campaign.count().acknowledged - set(campaign.done()):
            lost += 1
            with pytest.raises(AssertionError, match=r"^lost"):
                campaign.check()
    assert lost >= len(items)


@every_durability
@every_store
@pytest.mark.parametrize(
    ("loop", "more"),
    [(loop, {}) for loop in IN_FLIGHT] + [("batches", {"size": 1})],
)
def test_an_input_that_never_goes_on_holds_nothing_back(server, tmp_path, loop, suffix, durability, more):
    """Killed while a generator blocks for ever behind an item, that item is done."""
    campaign = Campaign(server, tmp_path / "work", loop, suffix, durability)
    items = keys(programs.SIZE * 2)
    if loop in ("threads", "tasks", "processes"):
        more = {
            "kill_behind": items[-1]
        }  # their input is asked in a thread of its own: the outcome shows that it is done
    assert campaign.run(items, stall=True, **more).killed
    assert sorted(campaign.done()) == items


@every_store
def test_a_forked_child_holds_no_run(server, tmp_path, suffix):
    """The owner killed, the next start works at once though a forked child of the owner lives on (P7)."""
    campaign = Campaign(server, tmp_path / "work", "each", suffix, "power")
    items = keys(3)
    assert campaign.run(items, program="forking").killed
    (child,) = [int(line.key) for line in read_ledger(campaign.ledger) if line.word == "child"]
    try:
        os.kill(child, 0)
        campaign.finish(items)
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
    assert sorted(campaign.done()) == items


@every_durability
@every_store
@every_loop_of_one_process
def test_poison_is_a_dead_letter_after_five_kills(server, quick, rng, loop, suffix, durability):
    """An item that kills its process is set aside after exactly five kills, and no neighbour with it (P6)."""
    campaign = Campaign(server, quick / "work", loop, suffix, durability, 0.0005)
    items = rng.sample(keys(12), 12)
    poison = items[5]
    while campaign.run(items, fates={poison: "poison"}).killed:
        assert campaign.kills <= 5
    assert campaign.kills == 5
    assert campaign.dead() == [poison]
    assert sorted(campaign.done()) == sorted(set(items) - {poison})


@every_durability
@every_store
@every_loop_of_one_process
def test_four_kills_make_no_dead_letter(server, quick, rng, loop, suffix, durability):
    """An innocent item that is in hand when its process is killed four times is done by the fifth start (P6)."""
    campaign = Campaign(server, quick / "work", loop, suffix, durability, 0.0005)
    items = rng.sample(keys(12), 12)
    while campaign.run(items, fates={items[5]: "unlucky"}).killed:
        assert campaign.kills <= 4
    assert campaign.kills == 4
    assert campaign.dead() == []
    assert sorted(campaign.done()) == sorted(items)
