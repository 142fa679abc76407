"""Read a JSON Lines journal: check its chain, and tell a torn tail from damage.

1. Every byte is checked before it is believed: a sum is the CRC of all bytes before it, so one call checks a block.
2. Only the end of the file can be torn, and a tear shows: the file ends inside a commit, or sectors of it read as
   zeros.
3. No whole line, before or behind a tear, may say that a later offset had been synced: then it is damage, never cut.
   docs/format.md section 2 has the rules in full.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from leftoff.errors import JournalDamaged, JournalTooNew, NotAJournal
from leftoff.journal.entry import FORMAT, Entry, check_value, to_datetime
from leftoff.journal.sync import unreadable, unusable

BLOCK: Final = 4 << 20
SECTOR: Final = 512
SUM_TAIL: Final = 11  # the eight digits and '"}\n' that follow them
_LONGEST_TAIL: Final = 256 << 20  # a tear is at most the commits of one sync; beyond this it is damage

_HEAD: Final = b'{"leftoff":"journal","format":'
HEADER: Final = re.compile(
    _HEAD + rb'(\d+),"id":"([0-9a-f]{16})","created":"([0-9TZ:.-]{24})","sum":"([0-9a-f]{8})"\}\n'
)
_HEADER_SHAPE: Final = (  # of format 1, for the beginning of a header whose writing was interrupted
    b'{"leftoff":"journal","format":1,"id":"'
    + b"h" * 16
    + b'","created":"'
    + b"t" * 24
    + b'","sum":"'
    + b"h" * 8
    + b'"}\n'
)
HEADER_LENGTH: Final = len(_HEADER_SHAPE)
WHOLE: Final = re.compile(
    rb'\{"seq":(\d+),"commit":(\d+),(?:"synced":(\d+),)?"at":"[^"]*","run":.*?(,"more":1)?,"sum":"([0-9a-f]{8})"\}',
    re.DOTALL,
)
_ZEROS: Final = re.compile(rb"\0+")
_NOT_A_KIND: Final = frozenset({"seq", "commit", "synced", "at", "run", "epoch", "value", "more", "sum"})


class Position(NamedTuple):
    """Be a place between two commits: the offset, the CRC of all bytes before it, and the last seq before it."""

    offset: int
    crc: int
    seq: int


def make_header(journal_id: str, created: str) -> bytes:
    """Return the first line of a new journal."""
    body = b'%s%d,"id":"%s","created":"%s","sum":"' % (_HEAD, FORMAT, journal_id.encode(), created.encode())
    return body + b'%08x"}\n' % crc32(body)


def seal(body: bytes, crc: int) -> tuple[bytes, int]:
    """Return a line that lacks only its sum, with it, and the sum of the file up to the line's end."""
    crc = crc32(body, crc)
    tail = b'%08x"}\n' % crc
    return body + tail, crc32(tail, crc)


def read_header(data: bytes, path: str) -> Position | None:
    """Check the first line of ``data``; None for a creation that was interrupted.

    Raise `JournalTooNew`, `NotAJournal` or `JournalDamaged`.
    """
    match = HEADER.match(data)
    if match is None:
        if _is_beginning_of_header(data):
            return None
        if newer := re.match(re.escape(_HEAD) + rb"(\d+)\D", data):
            _refuse_newer(newer[1], path)
        if data.startswith(b'{"leftoff"'):
            raise JournalDamaged(
                f"{path}: line 1 (offset 0), the header, is not what was written; restore a copy of the file"
            )
        raise NotAJournal(f"{path} is not a leftoff journal; name another file, or move this one away")
    _refuse_newer(match[1], path)
    if crc32(data[: match.end() - SUM_TAIL]) != int(match[4], 16):
        raise JournalDamaged(
            f"{path}: line 1 (offset 0), the header, is not what was written; restore a copy of the file"
        )
    return Position(match.end(), crc32(match[0]), 0)


def _refuse_newer(version: bytes, path: str) -> None:
    if len(version) > 9 or int(version) > FORMAT:  # Python refuses to convert very long numbers
        raise JournalTooNew(
            f"{path} was written in format {version[:20].decode()}; this release reads up to {FORMAT}: upgrade"
            " leftoff. The file is untouched"
        )


def _is_beginning_of_header(data: bytes) -> bool:
    """Return whether all there is can be the beginning of a header, with zeros where it did not reach the disk."""
    if len(data) > SECTOR:
        return not data.strip(b"\0")
    text = data.rstrip(b"\0")
    classes = {ord("h"): b"0123456789abcdef", ord("t"): b"0123456789TZ:.-"}
    return len(text) < HEADER_LENGTH and all(
        found == wanted or found in classes.get(wanted, b"") for found, wanted in zip(text, _HEADER_SHAPE, strict=False)
    )


def check(fd: int, start: Position, path: str) -> tuple[Position, bytes]:
    """Check everything from ``start`` to the end of the file; return the end of its last whole commit and the torn
    tail.

    Raise `JournalDamaged` for anything that is neither whole nor a torn tail. The end is the one of this moment: what
    another process appends meanwhile must not be taken for lines behind a tear.
    """
    size = os.fstat(fd).st_size
    offset, crc, last_line = start.offset, start.crc, b""
    while block := _read(fd, BLOCK, offset, size):
        end = block.rfind(b"\n") + 1
        while not end and len(block) < _LONGEST_TAIL and (rest := _read(fd, BLOCK, offset + len(block), size)):
            block += rest
            end = block.rfind(b"\n") + 1
        after = crc_after(memoryview(block)[:end], crc)
        if after is None:
            return _end_at(fd, size, Position(offset, crc, 0), last_line, start, path)
        last_line = block[block.rfind(b"\n", 0, end - 1) + 1 : end]
        crc = after
        offset += end
    if b',"more":1,"sum":"' in last_line[-40:]:
        return _end_at(fd, size, Position(offset, crc, 0), last_line, start, path)
    return Position(offset, crc, _last_seq(last_line, start.seq)), b""


def crc_after(lines: bytes | memoryview, crc: int) -> int | None:
    """Return the CRC behind some whole lines; None unless the last sum in them is the CRC of every byte before it."""
    tail = bytes(lines[-SUM_TAIL:])
    crc = crc32(lines[:-SUM_TAIL], crc)
    return crc32(tail, crc) if tail == b'%08x"}\n' % crc else None


def _read(fd: int, length: int, offset: int, size: int) -> bytes:
    """Read at most ``length`` bytes at ``offset``, of the first ``size`` of the file."""
    return os.pread(fd, max(0, min(length, size - offset)), offset)


def region(fd: int, begin: int, size: int) -> bytes:
    """Read what may be a torn tail, for `is_torn`; longer than any by one byte where it is none."""
    return _read(fd, _LONGEST_TAIL + 1, begin, size)


def _end_at(fd: int, size: int, known: Position, before: bytes, start: Position, path: str) -> tuple[Position, bytes]:
    """Find the first line that does not fit, from the last place known to be good, and decide: torn, or damaged."""
    offset, crc, _ = known
    data = _read(fd, _LONGEST_TAIL, offset, size)
    good = 0
    while end := data.find(b"\n", good) + 1:
        line = data[good:end]
        after = crc_after(line, crc)
        if after is None:
            break
        crc, good, before = after, end, line
    bad = offset + good
    begin, last_seq = bad, _last_seq(before, start.seq)
    if (match := WHOLE.match(before)) and match[4]:
        begin = int(match[2])
    if begin < start.offset or not is_torn(region(fd, begin, size), begin, bad):
        raise JournalDamaged(
            f"{path}: the entry behind seq {last_seq} (offset {bad}) is not what was written; nothing was changed."
            " Restore a copy of"
            " the file; everything before that place is sound"
        )
    if begin == bad:
        return Position(begin, crc, last_seq), data[good:]
    return _position_of(fd, start, begin), _read(fd, _LONGEST_TAIL, begin, size)


def _position_of(fd: int, start: Position, offset: int) -> Position:
    """Return the position at a commit's begin that was just checked, reading from ``start`` once more."""
    at, crc, last_line = start.offset, start.crc, b""
    while at < offset:
        block = os.pread(fd, min(BLOCK, offset - at), at)
        last_line += block
        last_line = last_line[last_line.rfind(b"\n", 0, -1) + 1 :]  # whole, however long it is: its seq stands first
        crc, at = crc32(block, crc), at + len(block)
    return Position(offset, crc, _last_seq(last_line, start.seq))


def is_torn(data: bytes, begin: int, bad: int) -> bool:
    """Return whether ``data``, from the begin of the first incomplete commit on, can be what a power failure left.

    ``bad`` is the offset of the first line that does not fit.
    """
    if len(data) > _LONGEST_TAIL:
        return False
    *lines, rest = data.split(b"\n")
    at, hole_seen, torn = begin, False, True
    for line in lines:
        whole = WHOLE.fullmatch(line)
        if whole is not None and b"\0" not in line:
            if int(whole[3] or whole[2]) > begin or (at >= bad and not hole_seen):
                return False
        elif _holes_fit(line, at, last=False):
            hole_seen = True
        else:
            return False
        at += len(line) + 1
        torn = whole is None or bool(whole[4])
    if not rest:
        return hole_seen or torn
    whole = WHOLE.match(rest)
    # A sector may begin at the line's very end, and be lost with what follows; some of that may be there all the same.
    ends_well = whole is None or rest[whole.end() : whole.end() + 1] in (b"", b"\0")
    return ends_well and (b"\0" not in rest or _holes_fit(rest, at, last=True))


def _holes_fit(line: bytes, at: int, *, last: bool) -> bool:
    """Return whether every run of zeros in a line that begins at ``at`` can be sectors that never reached the disk.

    A hole begins at the line's begin or at a sector, and ends at a sector or with the file; a flipped bit never looks
    so.
    """
    holes = [hole.span() for hole in _ZEROS.finditer(line)]
    return bool(holes) and all(
        (start == 0 or (at + start) % SECTOR == 0) and ((at + end) % SECTOR == 0 or (last and end == len(line)))
        for start, end in holes
    )


def _last_seq(line: bytes, default: int) -> int:
    """Return the seq of the last entry on a line that was checked."""
    if not line.startswith(b'{"seq":'):
        return default
    fields = json.loads(line)
    return int(fields["seq"]) + ("done" in fields and "started" in fields)


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Let an error of the system surface as one of ours.

    Raise `JournalDamaged` where a line says what no release writes though its sum fits: forged, or a bug of ours.
    """
    try:
        yield
    except OSError as error:
        raise unusable(path, error) from error
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise JournalDamaged(
            f"{path}: a line cannot be understood though its sum fits ({type(error).__name__}: {str(error)[:200]});"
            " nothing was changed."
            " Restore a copy of the file"
        ) from error


def open_readable(path: Path, url: str) -> int:
    """Open a journal's file for reading.

    Raise `JournalReadOnly` where this user may not, and FileNotFoundError where there is none.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise unreadable(url, error) from error


def entries_on(line: bytes) -> Iterator[Entry]:
    """Yield the one or two entries of a line that was checked; wrap it in `understood`."""
    fields: dict[str, Any] = json.loads(line)
    seq, run, epoch = fields["seq"], fields["run"], fields["epoch"]
    if type(seq) is not int or type(epoch) is not int:
        raise TypeError("seq and epoch are integers")
    at = to_datetime(parse_time(fields["at"]))
    kind = next(name for name in fields if name not in _NOT_A_KIND)
    if type(run) is not str or type(fields[kind]) is not str or type(fields.get("started", "")) is not str:
        raise TypeError("run and key are texts")
    check_value(kind, fields.get("value"))
    yield Entry(seq, run, kind, fields[kind], fields.get("value"), at, epoch)
    if kind == "done" and "started" in fields:
        yield Entry(seq + 1, run, "started", fields["started"], None, at, epoch)


def time_text(seconds: float) -> str:
    """Return a time since 1970 as journals write it, such as 2026-11-23T22:20:01.123Z."""
    milliseconds = round(seconds * 1000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{text}.{milliseconds % 1000:03d}Z"


def parse_time(text: str) -> float:
    """Return the seconds since 1970 of a time as journals write it, such as 2026-11-23T22:20:01.123Z."""
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
