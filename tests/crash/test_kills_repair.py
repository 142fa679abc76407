"""SIGKILL at any instant of the repair of a directory of segments: nothing is lost, the same command goes on (P8)."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import leftoff
from leftoff.testing.kills import ForkServer, choose
from leftoff.work.mend import examine
from tests.work import mended


def killable(place: str) -> dict[str, bytes]:
    """Make a directory with two damaged segments and a damaged header; return its files."""
    shutil.copytree("template", place)
    return {path.name: path.read_bytes() for path in Path(place).iterdir() if path.suffix != ".lock"}


def check_killed(server: ForkServer, place: str, before: dict[str, bytes], at: object) -> None:
    """Each original is in its place or aside; the same command goes on, and then nothing that was kept is lost."""
    for name, data in before.items():
        aside = Path(place, f"{name}.damaged-1")
        assert data in (Path(place, name).read_bytes(), aside.exists() and aside.read_bytes()), at
    assert server.run("repair", place).code == 0, at
    assert examine(place).damage == [], at
    found = {path.name: path.read_bytes() for path in Path(place).iterdir() if path.suffix != ".lock"}
    harmed = [name for name in before if found[name] != before[name]]
    assert len(harmed) == 3, at
    assert set(found) == {*before, *(f"{name}.damaged-1" for name in harmed)}, at
    assert all(found[f"{name}.damaged-1"] == before[name] for name in harmed), at
    with leftoff.open(place) as journal:
        assert set(journal.run("first").keys("done")) == {"item-0", "item-2", "item-3", "item-6", "item-8"}, at
        assert set(journal.run("second").keys("done")) == {f"item-{n}" for n in (0, 2, 3, 5, 6, 7, 8, 9, 10)}, at


def test_a_repair_killed_at_every_boundary() -> None:
    """Failure mode 24: killed around each call that changes the disk, the same command mends the rest."""
    mended.make_many("template/")
    with ForkServer(Path(mended.__file__)) as server:
        killable("whole/")
        whole, killed = server.run("repair", "whole/"), 0
        assert whole.code == 0
        for boundary in range(2 * whole.calls):
            before = killable(f"{boundary}/")
            end = server.run("repair", f"{boundary}/", boundary=boundary)
            assert end.killed or end.code == 0, (boundary, end)
            killed += end.killed
            check_killed(server, f"{boundary}/", before, boundary)
            shutil.rmtree(f"{boundary}/")
        assert killed >= whole.calls


@pytest.mark.timeout(1800)  # seconds; many of them on a busy machine
@pytest.mark.parametrize("count", [150, pytest.param(10**6, marks=pytest.mark.prove)])
def test_a_repair_killed_at_every_line(count: int, rng: random.Random) -> None:
    """Failure mode 13: killed before a line of ours that a repair comes to, the same command mends the rest."""
    mended.make_many("template/")
    with ForkServer(Path(mended.__file__)) as server:
        killable("whole/")
        assert server.run("repair", "whole/", record="record").code == 0
        places = Path("record").read_text().splitlines()
        lines = choose(places, min(count, len(set(places))), rng)
        for line in lines:
            before = killable(f"{line}/")
            assert server.run("repair", f"{line}/", line=line).killed, places[line]
            check_killed(server, f"{line}/", before, places[line])
            shutil.rmtree(f"{line}/")
        print(f"{len(lines)} kills, each before another line")
        assert any("segments_repair" in places[line] for line in lines)
