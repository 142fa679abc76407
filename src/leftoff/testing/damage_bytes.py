"""Ways to damage a file whatever it holds: bits, bytes, sectors, blocks, lines, ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

Change = Callable[[random.Random, bytes, bytes], bytes]
"""From a source of chance, a file's bytes and those of another file to the damaged bytes."""

_LONGEST: Final = 64 << 10  # bytes of garbage behind the end


def same_length(one: bytes, two: bytes) -> int:
    """Return how many bytes the two have in common at their beginning."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == two[low:middle] else (low, middle - 1)
    return low


def _span(rng: random.Random, size: int, longest: int) -> tuple[int, int]:
    """Choose a part of ``size`` bytes, at least one long, short ones more often."""
    start = rng.randrange(size)
    return start, min(size, start + 1 + int(rng.random() ** 3 * longest))


def _garbage(rng: random.Random, longest: int) -> bytes:
    size = 1 + int(rng.random() ** 3 * longest)
    return bytes(size) if rng.random() < 0.5 else rng.randbytes(size)


def _put(data: bytes, start: int, part: bytes) -> bytes:
    return data[:start] + part + data[start + len(part) :]


def _bit(rng: random.Random, data: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(data))
    return _put(data, at, bytes([data[at] ^ 1 << rng.randrange(8)]))


def _bits(rng: random.Random, data: bytes, other: bytes) -> bytes:
    for _ in range(rng.randint(2, 9)):
        data = _bit(rng, data, other)
    return data


def _byte(rng: random.Random, data: bytes, _: bytes) -> bytes:
    return _put(data, rng.randrange(len(data)), bytes([rng.choice([0, 10, 34, 44, 48, 57, 92, 127, 128, 255])]))


def _number(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """Put a huge length or number, in binary or in digits, somewhere."""
    number = rng.choice([b"\xff" * 4, b"\x7f" + b"\xff" * 7, b"\x80" + bytes(7), b"9" * rng.choice([5, 19, 400])])
    return _put(data, rng.randrange(len(data)), number)


def _cut(rng: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _zeros(size: int) -> Change:
    def change(rng: random.Random, data: bytes, _: bytes) -> bytes:
        start = rng.randrange(len(data)) // size * size
        return _put(data, start, bytes(min(size, len(data) - start)))

    return change


def _trash(size: int) -> Change:
    def change(rng: random.Random, data: bytes, _: bytes) -> bytes:
        start = rng.randrange(len(data)) // size * size
        return _put(data, start, rng.randbytes(min(size, len(data) - start)))

    return change


def _insert(rng: random.Random, data: bytes, _: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + _garbage(rng, 4096) + data[at:]


def _nest(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """Insert what is nested deeper than a reader may recurse."""
    at = rng.randrange(len(data))
    return data[:at] + rng.choice([b"[", b'{"a":', b"("]) * rng.choice([1_000, 100_000]) + data[at:]


def _remove(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, len(data), 8192)
    return data[:start] + data[end:]


def _double(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, len(data), 8192)
    return data[:end] + data[start:end] + data[end:]


def _move(rng: random.Random, data: bytes, _: bytes) -> bytes:
    start, end = _span(rng, len(data), 8192)
    rest = data[:start] + data[end:]
    at = rng.randrange(len(rest) + 1)
    return rest[:at] + data[start:end] + rest[at:]


def _bring_in(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Put a part of the other file at the same place, or its end behind the first half, which makes no whole of it."""
    start, end = _span(rng, min(len(data), len(other)), 8192)
    if rng.random() < 0.7:
        return _put(data, start, other[start:end])
    middle = len(data) // 2 + start // 2
    return data[:middle] + other[middle:]


def _lines(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """Drop, double, move or exchange a line."""
    lines = data.splitlines(keepends=True)
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        del lines[one]
    elif what == 1:
        lines.insert(one, lines[one])
    elif what == 2:
        lines.insert(two, lines.pop(one))
    else:
        lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def _append(rng: random.Random, data: bytes, _: bytes) -> bytes:
    return data + _garbage(rng, _LONGEST)


CHANGES: Final[dict[str, Change]] = {
    "one bit": _bit,
    "some bits": _bits,
    "one byte": _byte,
    "huge number": _number,
    "cut": _cut,
    "512 zeros": _zeros(512),
    "4096 zeros": _zeros(4096),
    "512 trashed": _trash(512),
    "4096 trashed": _trash(4096),
    "block inserted": _insert,
    "deep nesting": _nest,
    "block removed": _remove,
    "block doubled": _double,
    "block moved": _move,
    "part of another": _bring_in,
    "lines": _lines,
    "garbage behind": _append,
}
"""Every way, by name."""
