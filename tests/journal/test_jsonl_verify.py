"""What lies behind a damaged line of a JSON Lines journal is judged by itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_verify import DISPLACED, FITS, LOST, PROVEN, RESUMMED, examine_jsonl, judged
from leftoff.journal.store import Damage
from tests.journal.jsonl_files import no_syncs, small_journal


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a journal whose twelfth line is `dead y` of the run `other`."""
    no_syncs(monkeypatch)
    small_journal(tmp_path / "a.jsonl", "power")
    return tmp_path / "a.jsonl"


def grades(path: Path) -> list[str]:
    with path.open("rb", buffering=0) as file:
        return [line.grade for line in judged(file.fileno(), path.stat().st_size)]


def damage(path: Path) -> list[Damage]:
    return examine_jsonl(path, "a.jsonl").damage


def test_a_changed_line_costs_its_own_commit(path: Path) -> None:
    """Before it all is proven, behind it all fits; the place names seq, run and keys of what was lost."""
    whole = grades(path)
    assert set(whole) == {PROVEN}
    path.write_bytes(path.read_bytes().replace(b'"step":"build"', b'"step":"BUILD"'))
    found = grades(path)
    first = found.index(LOST)
    assert set(found[:first]) == {PROVEN}
    assert found[first + 2 :] == [FITS] * (len(found) - first - 2)
    (one,) = damage(path)
    assert one.where.startswith("a.jsonl: lines ")
    assert one.affects.startswith("entries 17 to 18; what can still be read there, not to be believed: step 'BUILD'")
    assert one.sound == (
        "everything before it, entries up to 16; behind it 4 entries that fit each other, at their places"
    )


def test_a_changed_sum_costs_nothing(path: Path) -> None:
    """Where only a sum's digits changed, the entry is proven by the line behind it."""
    data = bytearray(path.read_bytes())
    at = data.index(b'"sum":"', data.index(b'"failed"')) + 8
    data[at] = ord("0") if data[at] != ord("0") else ord("1")
    path.write_bytes(data)
    assert set(grades(path)) == {PROVEN, RESUMMED}
    (one,) = damage(path)
    assert (one.what, one.affects) == ("its sum is not what was written, its entry is", "nothing")


def test_bytes_that_vanish_or_come_in_are_told(path: Path) -> None:
    """What fits but stands at another offset than it names is told apart."""
    whole = path.read_bytes()
    at = whole.index(b'"failed"')
    for harmed in (whole[:at] + whole[at + 9 :], whole[:at] + b"123456789" + whole[at:]):
        path.write_bytes(harmed)
        assert DISPLACED in grades(path)
        assert FITS not in grades(path)
        assert any("bytes are missing here, or do not belong here" in one.what for one in damage(path))


def test_one_damaged_place_does_not_hide_the_next(path: Path) -> None:
    """Two changed lines are two places, and a torn tail behind them is told as such."""
    data = path.read_bytes().replace(b'"done":"9"', b'"done":"8"', 1).replace(b'"done":"x"', b'"done":"w"')
    path.write_bytes(data)
    assert len(damage(path)) == 2
    path.write_bytes(data[:-30])
    examined = examine_jsonl(path, "a.jsonl")
    assert len(examined.damage) == 2
    assert examined.torn == len(data) - 30 - data.rindex(b'{"seq":19,')


def test_a_changed_header_costs_no_entry(path: Path) -> None:
    """Behind a header that was changed every line fits."""
    path.write_bytes(path.read_bytes().replace(b'"created":"2', b'"created":"3', 1))
    (one,) = damage(path)
    assert one.what == "the header is not what was written"
    assert set(grades(path)[1:]) == {FITS}


def test_each_flipped_bit_is_one_place(path: Path) -> None:
    """Of 1,000 flipped bits each is found, as one place whose offset is that of its line or of its commit."""
    whole = path.read_bytes()
    store = JsonlStore(path)
    entries = len(list(store.entries()))
    store.close()
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(1000):
        at = chance.randrange(len(whole.split(b"\n", 1)[0]) + 1, whole.rindex(b'{"seq":19,'))
        data = bytearray(whole)
        data[at] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        (one,) = damage(path)
        assert int(one.where.split("offset ")[1].rstrip(")")) <= at
        assert one.affects
        assert one.sound
        assert grades(path).count(LOST) <= 2
    assert entries == 22
