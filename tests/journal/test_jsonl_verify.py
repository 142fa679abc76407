"""What lies behind a damaged line of a JSON Lines journal is judged by itself."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal import jsonl_verify
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import Position
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


def test_lines_that_stand_there_twice_cost_no_entry(path: Path) -> None:
    """Lines that came in a second time are told by what they read as, and no entry is missing."""
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if b'"step":"build"' in line)
    path.write_bytes(b"".join([*lines[: at + 2], *lines[at:]]))
    (one,) = damage(path)
    assert one.what == "not what was written: bytes are missing here, or do not belong here"
    assert one.affects.startswith(
        "no entry that is known of; what can still be read there, not to be believed: step 'build' of run ingest"
    )
    assert one.sound.endswith(" that fit each other, but not at their places")


@pytest.mark.parametrize("changes", [1, 5])
def test_a_file_that_its_owner_cuts_while_it_is_examined_is_looked_at_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """What looks damaged while an owner cuts a torn tail is no damage, however long that goes on."""
    sound, check, looks = path.read_bytes(), jsonl_verify.check, []
    path.write_bytes(sound + b"x" * changes)

    def interfered(fd: int, start: Position, name: str) -> tuple[Position, bytes]:
        looks.append(start)
        if len(looks) > changes:
            return check(fd, start, name)
        os.truncate(path, len(sound) + changes - len(looks))
        raise JournalDamaged("half a cut")

    monkeypatch.setattr(jsonl_verify, "check", interfered)
    assert examine_jsonl(path, "a.jsonl") == ([], 0)
    assert len(looks) == min(changes + 1, 5)
    assert path.read_bytes() == sound


def test_a_changed_header_costs_no_entry(path: Path) -> None:
    """Behind a header that was changed every line fits."""
    path.write_bytes(path.read_bytes().replace(b'"created":"2', b'"created":"3', 1))
    (one,) = damage(path)
    assert one.what == "the header is not what was written"
    assert set(grades(path)[1:]) == {FITS}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"my notes\n", "is not a leftoff journal; name another file, or move this one away"),
        (b'{"leftoff":"journal","format":2}\n', "was written in format 2; this release reads up to 1: upgrade leftoff"),
    ],
)
def test_another_file_in_the_journals_place_is_told_as_damage(path: Path, content: bytes, said: str) -> None:
    """A journal that was open when its file was overwritten says what stands there now, and leaves it."""
    store = JsonlStore(path)
    path.write_bytes(content)
    (one,) = store.verify()
    assert one.where == str(path)
    assert said in one.what
    assert path.read_bytes() == content
    store.close()


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
