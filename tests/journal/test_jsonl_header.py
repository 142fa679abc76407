"""The first line of a JSON Lines journal, and what is said of lines that no release writes, word for word."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest

from leftoff.errors import JournalDamaged, JournalError, JournalTooNew, NotAJournal
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_scan import SECTOR, Position, parse_time, read_header, time_text
from tests.journal.jsonl_files import HEADER, line, seal

NOT_OURS = "a.jsonl is not a leftoff journal; name another file, or move this one away"
CHANGED = "a.jsonl: line 1 (offset 0), the header, is not what was written; restore a copy of the file"
TOO_NEW = "a.jsonl was written in format %s; this release reads up to 1: upgrade leftoff. The file is untouched"
ID, CREATED, SUM = HEADER.index(b"8f14"), HEADER.index(b"2026"), HEADER.index(b'"sum":"') + 7


def of_format(version: bytes) -> bytes:
    """Return a header with another number of the format, and a sum that fits."""
    body = HEADER[: SUM - len(b"x")].replace(b'"format":1', b'"format":' + version) + b'"'
    return body + b'%08x"}\n' % crc32(body)


def put(at: int, byte: bytes) -> bytes:
    """Return the header with another byte at a place."""
    return HEADER[:at] + byte + HEADER[at + 1 :]


def test_a_header_tells_where_the_entries_begin() -> None:
    """The position behind it is its length, its sum and no seq, whatever follows."""
    for more in (b"", b"x", HEADER):
        assert read_header(HEADER + more, "a.jsonl") == Position(len(HEADER), crc32(HEADER), 0)


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"hello", NotAJournal, NOT_OURS),
        (b'["leftoff"', NotAJournal, NOT_OURS),
        (b"X" * (SECTOR + 1), NotAJournal, NOT_OURS),
        (b"\0" * (SECTOR + 1) + b"x", NotAJournal, NOT_OURS),
        (HEADER[:20] + b"\0" * SECTOR, JournalDamaged, CHANGED),
        (b'{"leftoff":"other"}\n', JournalDamaged, CHANGED),
        (HEADER[:12] + b"X", JournalDamaged, CHANGED),
        (put(3, b"X")[:30], NotAJournal, NOT_OURS),
        (put(ID, b"A")[:70], JournalDamaged, CHANGED),
        (put(ID, b"X")[:70], JournalDamaged, CHANGED),
        (put(ID, b"g"), JournalDamaged, CHANGED),
        (put(CREATED, b"X")[:90], JournalDamaged, CHANGED),
        (put(SUM, b"X")[:-4], JournalDamaged, CHANGED),
        (put(SUM, b"0"), JournalDamaged, CHANGED),
        (put(ID, b"0"), JournalDamaged, CHANGED),
        (HEADER.replace(b"2026", b"2027"), JournalDamaged, CHANGED),
        (of_format(b"2"), JournalTooNew, TOO_NEW % 2),
        (of_format(b"0000000001"), JournalTooNew, TOO_NEW % "0000000001"),
        (of_format(b"123456789012345678901234"), JournalTooNew, TOO_NEW % "12345678901234567890"),
        (b'{"leftoff":"journal","format":3.5}', JournalTooNew, TOO_NEW % 3),
    ],
)
def test_each_first_line_that_is_none_of_ours_is_told_word_for_word(
    data: bytes, kind: type[JournalError], said: str
) -> None:
    """Somebody else's file, a header that was changed, and a later format are three different errors."""
    with pytest.raises(JournalError) as raised:
        read_header(data, "a.jsonl")
    assert (type(raised.value), str(raised.value)) == (kind, said)


def test_a_number_of_the_format_may_have_nine_digits() -> None:
    """What can still be a small number is read as one."""
    data = of_format(b"000000001")
    assert read_header(data, "a.jsonl") == Position(len(data), crc32(data), 0)


@pytest.mark.parametrize("zeros", [0, 1, "sector"])
def test_the_beginning_of_a_header_is_an_interrupted_creation(zeros: int | str) -> None:
    """Each beginning of it, with zeros behind it up to the end of its sector or without, holds nothing yet."""
    for size in range(len(HEADER)):
        data = HEADER[:size] + bytes(SECTOR - size if zeros == "sector" else int(zeros))
        assert read_header(data, "a.jsonl") is None, size


@pytest.mark.parametrize("zeros", [1, SECTOR, SECTOR + 1, 5000])
def test_zeros_alone_are_an_interrupted_creation(zeros: int) -> None:
    """A file whose length reached the disk and whose bytes did not holds nothing yet, however long it is."""
    assert read_header(bytes(zeros), "a.jsonl") is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (line('"done":"k"').replace(b'"seq":1', b'"seq":"1"'), "TypeError: seq and epoch are integers"),
        (line('"done":"k"').replace(b'"epoch":1', b'"epoch":"1"'), "TypeError: seq and epoch are integers"),
        (line('"done":"k"').replace(b'"epoch":1', b'"epoch":true'), "TypeError: seq and epoch are integers"),
        (line('"done":"k"').replace(b'"run":"r"', b'"run":7'), "TypeError: run and key are texts"),
        (line('"done":7'), "TypeError: run and key are texts"),
        (line('"done":"k","started":7'), "TypeError: run and key are texts"),
        (line('"owner":"","value":{"host":"h"}'), "TypeError: an entry 'owner' without host, pid, start, durability"),
        (line('"owner":""'), "TypeError: an entry 'owner' without host, pid, start, durability"),
        (line('"done":"k"', at="x" * 300), f"ValueError: Invalid isoformat string: '{'x' * 300}"[:212]),
    ],
)
def test_what_no_release_writes_is_told_word_for_word(tmp_path: Path, body: bytes, said: str) -> None:
    """A line whose sum fits is damage where it is read, with the first 200 letters of the reason."""
    path = tmp_path / "a.jsonl"
    last_seq_is_read = b'"seq":"1"' not in body
    path.write_bytes(seal(body, *([] if last_seq_is_read else [line('"done":"next"', 2)])))
    store = JsonlStore(path)
    with pytest.raises(JournalDamaged) as raised:
        list(store.entries())
    store.close()
    assert str(raised.value) == (
        f"{path}: a line cannot be understood though its sum fits ({said}); nothing was changed."
        " Restore a copy of the file"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (0.0004, "1970-01-01T00:00:00.000Z"),
        (1.9996, "1970-01-01T00:00:02.000Z"),
        (86399.999, "1970-01-01T23:59:59.999Z"),
        (1795472401.123, "2026-11-23T22:20:01.123Z"),
        (951827696.05, "2000-02-29T12:34:56.050Z"),
    ],
)
def test_a_time_is_written_to_the_millisecond_and_read_back(seconds: float, text: str) -> None:
    """Times are UTC, rounded to the next millisecond, and always of the same length."""
    assert time_text(seconds) == text
    assert time_text(parse_time(text)) == text
    assert parse_time(text) == pytest.approx(seconds, abs=0.0005)
