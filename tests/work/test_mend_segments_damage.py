"""A directory of segments survives any damage, and a death at any instant of its repair."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import leftoff
from leftoff.journal.entry import Draft
from leftoff.journal.segments import SegmentsStore
from leftoff.testing.kills import ForkServer, choose
from leftoff.work.mend import examine, repair
from tests.contract.drafts import dead, done, started
from tests.journal.jsonl_files import no_syncs
from tests.journal.segments_files import write
from tests.work import mended
from tests.work.mended_segments import HERE, everything, fates, forgotten, id_of

# -- any damage, any instant -----------------------------------------------------------------------------------------


def flip(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] ^= 1 << chance.randrange(8)


def zero(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + chance.randrange(1, 600)] = bytes(chance.randrange(600))


def drop(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.randrange(1, 600)]


def garble(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + 300] = chance.randbytes(300)


def forgets(key: str, data: bytes) -> int:
    """The number of places that can still be read as taking a key back."""
    return len(re.findall(rb'"run":"r","epoch":\d+,"forgotten":"' + key.encode() + b'"', data))


HARMS: list[Callable[[bytearray, int, random.Random], None]] = [flip, flip, zero, drop, garble]


def test_whatever_is_damaged_nothing_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure mode 5: one to three files damaged in any way are repaired, or refused untouched.

    What is done then was done before, but for keys that were forgotten where that is torn or can no longer be read.
    """
    no_syncs(monkeypatch)
    write(HERE, done("a"), done("b"), dead("c"), started("d"), done("e", "v"))
    write(HERE, forgotten("a"), Draft("retried", "c"), done("c"), forgotten("b"), done("b"), done("f"))
    write(HERE, forgotten("b"), done("g"), started("h"), done("h"), forgotten("e"))
    done_before, identity = fates()[0], id_of()
    assert done_before == {"c", "f", "g", "h"}
    whole = everything()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance, repaired = random.Random(seed), 0
    for _ in range(200):
        for path in HERE.iterdir():
            path.unlink()
        harmed = dict(whole)
        for name in chance.sample(sorted(whole), chance.choice((1, 1, 2, 3))):
            data = bytearray(whole[name])
            chance.choice(HARMS)(data, chance.randrange(len(data) - 10), chance)
            harmed[name] = bytes(data)
        for name, data in harmed.items():
            (HERE / name).write_bytes(data)
        try:
            told = repair("progress/", plausible=bool(chance.randrange(2)))
        except leftoff.LeftoffError:
            assert everything() == harmed
            continue
        repaired += bool(told.damage)
        for name, part in told.parts:
            assert everything()[part.aside or ""] == harmed[name]
        assert {name: harmed[name] for name in harmed if name not in dict(told.parts)}.items() <= everything().items()
        assert repair("progress/").damage == []
        may_return = {
            key
            for key in "abe"
            for name in whole
            if harmed[name] != whole[name]
            and forgets(key, whole[name]) > (forgets(key, harmed[name]) if name in dict(told.parts) else 0)
        }  # what is torn was not acknowledged
        now_done, _ = fates()
        assert now_done - done_before <= may_return, (harmed, told)
        named = b"".join(whole[name] + harmed[name] for name in whole if harmed[name] != whole[name])
        assert all(f'"{key}"'.encode() in named for key in done_before - now_done), (
            "a conclusion is lost of which no damaged line tells"
        )
        store = SegmentsStore(HERE)
        if store.runs():
            assert id_of() == identity
        store.own("r").commit([done("on we go")])
        store.close()
    assert repaired > 60


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


def test_killed_at_every_boundary() -> None:
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
def test_killed_at_every_line(count: int) -> None:
    """Failure mode 13: killed before a line of ours that a repair comes to, the same command mends the rest."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    mended.make_many("template/")
    with ForkServer(Path(mended.__file__)) as server:
        killable("whole/")
        assert server.run("repair", "whole/", record="record").code == 0
        places = Path("record").read_text().splitlines()
        lines = choose(places, min(count, len(set(places))), random.Random(seed))
        for line in lines:
            before = killable(f"{line}/")
            assert server.run("repair", f"{line}/", line=line).killed, places[line]
            check_killed(server, f"{line}/", before, places[line])
            shutil.rmtree(f"{line}/")
        print(f"{len(lines)} kills, each before another line")
        assert any("segments_repair" in places[line] for line in lines)
