"""Where a tear in a JSON Lines journal ends and damage begins, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal import jsonl_scan
from leftoff.journal.entry import Draft
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_verify import examine_jsonl
from tests.journal.jsonl_files import built, no_syncs, small_journal


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_syncs(monkeypatch)
    return tmp_path / "run.jsonl"


def test_a_flipped_bit_in_a_commit_that_was_cut_short_too_is_damage(path):
    """A power failure takes the end of a commit, or sectors of it; it does not turn one letter into another."""
    ends = small_journal(path, "power")
    whole = path.read_bytes()
    begin = ends[-2]
    cut = whole.rindex(b"\n", begin, len(whole) - 1) + 1  # all of the last commit but its last line
    key = whole.index(b'"m1"', begin, cut)
    path.write_bytes(whole[:cut])
    JsonlStore(path).close()
    path.write_bytes(whole[: key + 1] + b"M" + whole[key + 2 : cut])
    with pytest.raises(JournalDamaged):
        JsonlStore(path)


def test_a_lost_sector_that_begins_at_a_lines_very_end_is_a_tear(path):
    """The line end is lost with the sector, and of what was written behind it any sector may be there."""
    store = JsonlStore(path, "process")
    owner = store.own("r")
    owner.commit([Draft("done", "k")])
    first = path.stat().st_size
    length = first - path.read_bytes().rindex(b"\n", 0, first - 1) - 1
    digits = len(str(first)) - len(str(first - length))  # its own offset is told on the line
    missing = -(first + length + digits - 1) % 512
    owner.commit([Draft("done", "k" * (1 + missing))])
    owner.commit([Draft("done", "long", json.dumps("x" * 4000))])
    store.close()
    whole = path.read_bytes()
    end = whole.index(b"\n", first)
    assert end % 512 == 0
    path.write_bytes(whole[:end] + bytes(1024) + whole[end + 1024 : end + 2048] + bytes(100))
    store = JsonlStore(path)
    assert list(store.keys("r", "done")) == ["k"]
    assert store.torn() == end + 2148 - first
    store.close()
    path.write_bytes(whole[:end] + b"\t" + whole[end + 1 : end + 2048])
    with pytest.raises(JournalDamaged):
        JsonlStore(path)


STEPS = ['"started":"a"'], ['"done":"a","started":"b"'], ['"step":"p"', '"step":"q"', '"step":"s"'], ['"dead":"b"']
SEQS = [0, 1, 3, 6, 7]


def ends_of(synced: bool) -> list[int]:
    """Return the offsets at which the header and each commit of `STEPS` end."""
    return [len(built(*STEPS[:count], synced=synced)) for count in range(5)]


@pytest.mark.parametrize("block", [150, 4096])
@pytest.mark.parametrize("synced", [False, True])
def test_a_cut_leaves_offset_sum_and_seq_of_the_last_whole_commit(path, monkeypatch, synced, block):
    """Wherever a file is cut, who goes on stands at the end of a commit, with its sum and seq, and knows the tail."""
    monkeypatch.setattr(jsonl_scan, "BLOCK", block)
    data, ends = built(*STEPS, synced=synced), ends_of(synced)
    line_ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    for size in {*range(ends[0], len(data), 7), *line_ends, *(end - 1 for end in line_ends[1:])}:
        path.write_bytes(data[:size])
        number = max(number for number, end in enumerate(ends) if end <= size)
        store = JsonlStore(path)
        assert store.torn() == size - ends[number]
        assert store._checked == (ends[number], crc32(data[: ends[number]]), SEQS[number]), size
        store.close()


@pytest.mark.parametrize(("end", "seq"), list(enumerate(SEQS)))
def test_damage_is_told_with_the_seq_before_it(path, end, seq):
    """The error names the place, and the last entry that is sound, word for word."""
    data, ends = built(*STEPS, ['"done":"c"']), ends_of(synced=False)
    place = data.index(b'"run":"r"', ends[end])
    path.write_bytes(data[:place] + data[place:].replace(b'"run":"r"', b'"run":"R"', 1))
    with pytest.raises(JournalDamaged) as raised:
        JsonlStore(path)
    assert str(raised.value) == (
        f"{path}: the entry behind seq {seq} (offset {ends[end]}) is not what was written; nothing was changed."
        " Restore a copy of the file; everything before that place is sound"
    )


@pytest.mark.parametrize(("size", "torn"), [(999, True), (1000, True), (1001, False), (1002, False), (5000, False)])
def test_a_tail_is_torn_up_to_the_longest_that_waits_for_a_sync(path, monkeypatch, size, torn):
    """One byte more than can have been waiting for one sync is damage."""
    monkeypatch.setattr(jsonl_scan, "_LONGEST_TAIL", 1000)
    sound = built(*STEPS)
    path.write_bytes(sound + b"x" * size)
    if torn:
        store = JsonlStore(path)
        assert store.torn() == size
        store.close()
    else:
        with pytest.raises(JournalDamaged):
            JsonlStore(path)
    assert len(examine_jsonl(path, "a").damage) == (not torn)


@pytest.mark.parametrize("block", [150, 400, 10_000])
def test_a_journal_longer_than_any_tail_is_read_in_blocks(path, monkeypatch, block):
    """Lines of several blocks are whole, however little of the file may be torn."""
    monkeypatch.setattr(jsonl_scan, "_LONGEST_TAIL", 1000)
    monkeypatch.setattr(jsonl_scan, "BLOCK", block)
    sizes = [1, 700, 300, 20, 500, 699, 30, 30, 30, 450]
    path.write_bytes(built(*([f'"step":"s","value":"{"x" * size}"'] for size in sizes)))
    store = JsonlStore(path)
    assert [entry.seq for entry in store.entries()] == list(range(1, 11))
    assert store.torn() == 0
    store.close()


def at_sectors(*, synced: bool) -> tuple[bytes, list[int]]:
    """Return a journal of three commits of some sectors, and where they begin."""
    commits = [[f'"step":"s{number}","value":"{"v" * 1500}"'] for number in range(3)]
    return built(*commits, synced=synced), [len(built(*commits[:count], synced=synced)) for count in range(3)]


def up(offset: int) -> int:
    """Return where the next sector begins."""
    return -(-offset // 512) * 512


@pytest.mark.parametrize(
    ("begin", "end", "torn"),
    [
        (0, 0, True),  # one whole sector
        (0, -1, False),  # ... but its last byte
        (1, 0, False),  # ... but its first byte
        (0, 1, False),  # ... and one byte more
        (0, 512, True),  # two sectors
    ],
)
@pytest.mark.parametrize("commit", [0, 1, 2])
def test_zeros_that_are_no_sectors_are_damage(path, commit, begin, end, torn):
    """Within what was not synced, zeros are a tear where they are whole sectors, and damage where they are not."""
    data, begins = at_sectors(synced=True)
    first = up(begins[commit]) + begin
    last = up(begins[commit]) + 512 + end
    path.write_bytes(data[:first] + bytes(last - first) + data[last:])
    if torn:
        store = JsonlStore(path)
        assert store.torn() == len(data) - begins[commit]
        assert [entry.seq for entry in store.entries()] == list(range(1, commit + 1))
        store.close()
    else:
        with pytest.raises(JournalDamaged):
            JsonlStore(path)


@pytest.mark.parametrize(
    ("cut", "zeros", "torn"),
    [
        (700, 100, False),  # the zeros begin within a sector
        (0, 100, True),  # the file ends within the hole
        (0, 512, True),
        (-512, 5, True),
    ],
)
def test_zeros_at_the_end_begin_at_a_sector(path, cut, zeros, torn):
    """A file that ends in a hole is torn where the hole begins at a sector."""
    data, begins = at_sectors(synced=False)
    size = up(begins[2] + 512) + cut
    path.write_bytes(data[:size] + bytes(zeros))
    if torn:
        store = JsonlStore(path)
        assert store.torn() == size + zeros - begins[2]
        store.close()
    else:
        with pytest.raises(JournalDamaged):
            JsonlStore(path)


@pytest.mark.parametrize("synced", [False, True])
def test_whole_lines_behind_a_hole_say_whether_it_may_be_one(path, synced):
    """A whole commit behind a hole had been waiting with it, or was begun when what is lost had been synced."""
    data, begins = at_sectors(synced=synced)
    hole = up(begins[1])
    path.write_bytes(data[:hole] + bytes(512) + data[hole + 512 :])
    if synced:  # each line says that no more than the header had been synced
        store = JsonlStore(path)
        assert store.torn() == len(data) - begins[1]
        store.close()
    else:
        with pytest.raises(JournalDamaged):
            JsonlStore(path)


@pytest.mark.parametrize(
    ("behind", "torn"), [(b"", True), (b"\0", False), (b"\t", False), (b" ", False), (b"x", False), (b"\r", False)]
)
def test_a_whole_line_without_its_end_is_torn_and_with_another_end_is_damage(path, behind, torn):
    """A write that stopped before the line end leaves a tail; a byte in its place that is none does not."""
    data = built(*STEPS)
    path.write_bytes(data[:-1] + behind)
    if torn:
        store = JsonlStore(path)
        assert store.torn() == len(data) - 1 - ends_of(synced=False)[3]
        store.close()
    else:
        with pytest.raises(JournalDamaged):
            JsonlStore(path)
