"""A repair of a directory of segments makes nothing up, whatever is damaged."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

import leftoff
from leftoff.journal.entry import Draft
from leftoff.journal.segments import SegmentsStore
from leftoff.work.mend import repair
from tests.contract.drafts import dead, done, started
from tests.journal.jsonl_files import no_syncs
from tests.journal.segments_files import write
from tests.work.mended_segments import HERE, everything, fates, forgotten, id_of


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
