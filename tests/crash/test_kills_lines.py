"""SIGKILL before every line of the journal's and the loops' code: nothing is lost, little is repeated (P1 to P7).

Failure mode 13: SIGKILL, at every line.
"""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import leftoff
from leftoff.testing.kills import ForkServer, choose
from tests.crash import programs
from tests.crash.campaign import IN_FLIGHT, IN_ONE_PROCESS, PLACES
from tests.crash.kills_scenes import ITEMS, SCENES, InPostgres
from tests.figures import store_of

POINTS = 180  # kills of each scene, on each store with each durability; with those of test_kills.py 10,000 in all
IN_POSTGRES = 12
RESUMED = 4  # one kill in so many is resumed to the end
TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]
KINDS = [
    (scene, suffix, durability)
    for scene in SCENES
    for suffix in PLACES
    for durability in ("power", "process")
    if durability == "power" or scene not in ("copy", "move")
]


@pytest.fixture(scope="module")
def servers():
    """Two processes to fork from: one for each of the processors that a small machine has."""
    with ForkServer(Path(programs.__file__)) as one, ForkServer(Path(programs.__file__)) as two:
        yield one, two


def kill_at_lines(servers, rng, folder, count, prepare, items_of):
    """Kill what ``prepare(server, folder)`` makes before lines of ours, each time anew, and check what holds."""
    clean, record = prepare(servers[0], folder / "clean"), folder / "record"
    lines = clean.run(items_of("clean"), record=record).lines
    places, result = record.read_text().splitlines(), clean.result()
    chosen = [(line, rng.getrandbits(32)) for line in choose(places, count, rng)]

    def kill(server, line, seed):
        name = f"at{line}"
        campaign, items = prepare(server, folder / name), items_of(name)
        end = campaign.run(items, line=line)
        assert end.killed or end.lines <= line, f"it passed line {line}, {places[line]}, and was not killed"
        if seed % RESUMED == 0:
            campaign.finish(random.Random(seed).sample(items, len(items)) if campaign.loop in IN_FLIGHT else items)
            assert campaign.result() == result, f"killed before line {line}, {places[line]}"
        shutil.rmtree(folder / name)
        return end.killed

    def kill_all(half):
        return sum(kill(servers[half], line, seed) for line, seed in chosen[half::2])

    with ThreadPoolExecutor(2) as executor:
        killed = sum(executor.map(kill_all, (0, 1)))
    print(
        f"{killed} kills before {len({places[line] for line, _ in chosen})} of {len(set(places))} lines, {lines} times"
    )
    # How many lines there are depends on time (a bar that is drawn, a lock that is waited for), and the recording takes
    # longest: a run may be over before the last of its lines come.
    assert killed > 0.8 * len(chosen)
    return killed


@pytest.mark.timeout(1800)  # seconds; many of them on a busy machine
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(("scene", "suffix", "durability"), KINDS)
def test_kill_at_every_line(servers, quick, rng, counted, scene, suffix, durability, times):
    """Killed before a line of ours, what was acknowledged is there, and it ends as if nothing had been."""
    items = [f"item-{number}" for number in range(ITEMS)]

    def prepare(server, folder):
        campaign = SCENES[scene](server, folder, scene, suffix, durability)
        campaign.begin(items)
        return campaign

    killed = kill_at_lines(servers, rng, quick, POINTS * times, prepare, lambda name: items)
    counted("kills before a line of ours", store_of(suffix), killed)


@pytest.mark.timeout(1800)  # seconds; many of them on a busy machine
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("loop", IN_ONE_PROCESS)
def test_kill_at_every_line_in_postgres(servers, quick, rng, counted, postgres, loop, durability, times):
    """Killed before a line of ours, a run in PostgreSQL loses nothing, and its rows are those of its done items."""
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE made (key TEXT, half INTEGER, value TEXT)")

    def prepare(server, folder):
        return InPostgres(server, folder, loop, postgres.url, durability)

    def items_of(name):
        return [f"{name}-{number}" for number in range(ITEMS)]

    killed = kill_at_lines(servers, rng, quick, IN_POSTGRES * times, prepare, items_of)
    counted("kills before a line of ours", "PostgreSQL", killed)
    with leftoff.open(postgres.url) as journal:
        assert journal.verify() == []
