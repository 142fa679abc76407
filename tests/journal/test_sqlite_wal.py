"""What SQLite will leave out of a write-ahead log is known to the frame and the commit before it does so."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_wal import Tail, read_tail, size_of

FRAME = 24 + 4096


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a log of some commits, as it lies there while its owner is at work."""
    path = tmp_path_factory.mktemp("log") / "a.db"
    store = SqliteStore(path)
    owner = store.own("loop")
    for number in range(3):
        owner.commit([Draft("started", f"k{number}"), Draft("done", f"k{number}", '"x"')])
    data = Path(f"{path}-wal").read_bytes()
    store.close()
    return data


def starts(data: bytes) -> list[int]:
    return list(range(32, len(data), FRAME))


def ends(data: bytes) -> list[int]:
    """Return the numbers of the frames that end a commit."""
    return [number for number, at in enumerate(starts(data)) if data[at + 4 : at + 8] != bytes(4)]


def change(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def flip(data: bytes, at: int, bits: int = 1) -> bytes:
    return change(data, at, bytes([data[at] ^ bits]))


def summed(data: bytes, seed: tuple[int, int], order: str) -> tuple[int, int]:
    """Compute the checksum of sqlite.org/fileformat2.html, section 4.2."""
    one, two = seed
    for first, second in struct.iter_unpack(f"{order}2I", data):
        one = (one + first + two) % (1 << 32)
        two = (two + second + one) % (1 << 32)
    return one, two


def resum(data: bytes, order: str = "<") -> bytes:
    """Compute all checksums anew, so that everything fits whatever it says."""
    data = change(data, 24, struct.pack(">2I", *(seed := summed(data[:24], (0, 0), order))))
    for at in starts(data):
        seed = summed(data[at : at + 8] + data[at + 24 : at + FRAME], seed, order)
        data = change(data, at + 16, struct.pack(">2I", *seed))
    return data


def tail(tmp_path: Path, data: bytes) -> Tail | None:
    (tmp_path / "log").write_bytes(data)
    return read_tail(str(tmp_path / "log"))


def test_nothing_is_left_out_of_a_whole_log(tmp_path: Path, log: bytes) -> None:
    """A log that fits to its end is read whole, and so is one that was summed on a machine of the other byte order."""
    assert len(ends(log)) == 4
    assert tail(tmp_path, log) is None
    assert tail(tmp_path, resum(log)) is None
    assert tail(tmp_path, resum(change(log, 3, b"\x83"), ">")) is None
    assert tail(tmp_path, resum(change(log, 3, b"\x83"), "<")) == Tail(0, 1, True)


def test_a_log_without_a_frame_holds_nothing(tmp_path: Path, log: bytes) -> None:
    """Neither a log that is not there nor one that ends before its first frame's head does leaves anything out."""
    assert read_tail(str(tmp_path / "absent")) is None
    for length in (0, 1, 31, 32, 55):
        assert tail(tmp_path, bytes(length)) is None
        assert tail(tmp_path, log[:length]) is None
    assert tail(tmp_path, bytes(56)) == Tail(0, 1, True)


@pytest.mark.parametrize(
    ("at", "bits", "fits"),
    [
        (0, 1, True),
        (2, 4, True),
        (3, 2, True),
        (5, 1, True),
        (7, 1, True),
        (13, 1, False),
        (17, 1, False),
        (27, 1, False),
    ],
)
def test_a_header_that_is_not_what_was_written_hides_the_whole_log(
    tmp_path: Path, log: bytes, at: int, bits: int, fits: bool
) -> None:
    """SQLite takes such a log for an empty one: for its magic number, its version or its sum, each by itself."""
    changed = flip(log, at, bits)
    assert tail(tmp_path, resum(changed) if fits else changed) == Tail(0, 1, True)


def test_a_log_that_ends_early_lost_what_was_not_whole(tmp_path: Path, log: bytes) -> None:
    """Cut between two frames it fits as far as it goes; cut inside one, that frame is no frame."""
    for number, at in enumerate(starts(log)):
        if number:
            assert tail(tmp_path, log[:at]) is None
            assert tail(tmp_path, log[: at + 1]) is None
        assert tail(tmp_path, log[: at + FRAME - 1]) is None


def test_what_lies_behind_a_page_that_changed_is_counted(tmp_path: Path, log: bytes) -> None:
    """From each frame on the commits that SQLite drops are told, and whether a power failure can have torn them."""
    for number, at in enumerate(starts(log)):
        dropped = sum(end >= number for end in ends(log))
        for place in (24, FRAME - 1):
            found = tail(tmp_path, flip(log, at + place))
            assert found == Tail(number, dropped, False)
            assert found.torn == (dropped < 2)


def test_a_commit_of_a_database_of_one_page_counts(tmp_path: Path, log: bytes) -> None:
    """A commit is told by its frame's count of pages, and one is a count."""
    first, *_, last = ends(log)
    single = resum(change(log, starts(log)[last] + 4, struct.pack(">I", 1)))
    assert tail(tmp_path, flip(single, starts(log)[last] + 24)) == Tail(last, 1, False)
    assert tail(tmp_path, flip(single, starts(log)[first] + 24)) == Tail(first, len(ends(log)), False)


def test_a_number_or_sum_of_a_frame_that_changed_is_found(tmp_path: Path, log: bytes) -> None:
    """Any byte of a frame's page number or checksum counts; the salts of the others still tell what they are."""
    number = ends(log)[1]
    for place in (*range(4), *range(16, 24)):
        assert tail(tmp_path, flip(log, starts(log)[number] + place, 0x80)) == Tail(number, 3, False)


def test_salts_that_changed_are_a_flipped_bit_where_the_sum_fits(tmp_path: Path, log: bytes) -> None:
    """The checksum of a frame does not cover its salts, so nothing else changed: that is no torn commit."""
    last = ends(log)[-1]
    for place in (8, 15):
        found = tail(tmp_path, flip(log, starts(log)[last] + place))
        assert found == Tail(last, 0, True)
        assert not found.torn


def test_a_commit_that_lost_its_only_bit_is_a_flipped_bit(tmp_path: Path, log: bytes) -> None:
    """The frame that ended a commit reads as one in the middle then; with one bit set its sum fits."""
    last = ends(log)[-1]
    at = starts(log)[last]
    for pages in (1, 1 << 7, 1 << 31):
        whole = resum(change(log, at + 4, struct.pack(">I", pages)))
        assert tail(tmp_path, whole) is None
        assert tail(tmp_path, change(whole, at + 4, bytes(4))) == Tail(last, 0, True)
    whole = resum(change(log, at + 4, struct.pack(">I", 3)))
    assert tail(tmp_path, change(whole, at + 4, bytes(4))) is None, "two bits are not one: nothing says it was a commit"
    torn = flip(change(whole, at + 4, bytes(4)), at + 30)
    assert tail(tmp_path, torn) is None


def test_what_an_earlier_use_of_the_log_left_is_nothing_lost(tmp_path: Path, log: bytes) -> None:
    """Frames with other salts, whose sums do not go on, were overwritten from the front and never are read again."""
    first = ends(log)[1] + 1
    older = log[: starts(log)[first]]
    for at in starts(log)[first:]:
        older += log[at : at + 8] + bytes(8) + bytes(8) + log[at + 24 : at + FRAME]
    assert tail(tmp_path, older) is None


def test_a_page_that_comes_twice_is_of_two_commits(tmp_path: Path, log: bytes) -> None:
    """A commit writes a page once, so that two commits show though the frame that ended the first is destroyed."""
    *_, before, last = ends(log)
    first = ends(log)[-3] + 1
    assert first < before < last
    destroyed = change(log, starts(log)[before], bytes(FRAME))
    destroyed = change(destroyed, starts(log)[last], bytes(FRAME))
    assert tail(tmp_path, destroyed) == Tail(before, 2, False)
    alone = change(log, starts(log)[last], bytes(FRAME))
    assert tail(tmp_path, alone) is None


def test_frames_that_were_moved_are_found_by_their_salts(tmp_path: Path, log: bytes) -> None:
    """A byte that was put in moves all behind it off their places; the commits there are still counted."""
    number = ends(log)[0] + 1
    at = starts(log)[number]
    moved = log[:at] + b"\0" + log[at:]
    assert tail(tmp_path, moved) == Tail(number, 3, False)


def test_the_size_of_a_file_that_is_not_there_is_nothing(tmp_path: Path) -> None:
    """Who asks for the length of a log need not ask first whether there is one."""
    assert size_of(str(tmp_path / "log")) == 0
    (tmp_path / "log").write_bytes(b"three")
    assert size_of(str(tmp_path / "log")) == 5
