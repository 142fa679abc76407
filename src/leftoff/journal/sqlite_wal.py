"""Will SQLite leave out commits that were durable? What it will do to a write-ahead log, found out before it does.

SQLite takes the log's frames up to the first whose checksum fails and silently drops all behind it: right for a torn
last transaction, wrong for a bit that flipped in an older one. So: behind the first bad frame there may be the rest of
one transaction, not more. The format is that of sqlite.org/fileformat2.html, section 4.

A frame that does not fit because it was never written holds what an earlier use of the file left there: its salts
differ *and* it does not continue the checksum. A frame with other salts that does continue it has a flipped bit there.
"""

from __future__ import annotations

import os
import struct
from typing import Final, NamedTuple

_HEADER: Final = 32
_FRAME: Final = 24
_MAGIC: Final = 0x377F0682  # the lowest bit says in which byte order the checksums were computed
_VERSION: Final = 3007000
_MASK: Final = 0xFFFFFFFF
_ATTEMPTS: Final = 5


class Tail(NamedTuple):
    """Be what lies behind the last good frame: the number of that frame, the commits behind it, whether a bit flipped.

    With ``"power"`` a power failure tears at most the last commit, with ``"process"`` all since the last checkpoint.
    """

    frame: int
    commits: int
    flipped: bool

    @property
    def torn(self) -> bool:
        """Whether a power failure can have left it where each commit was synced."""
        return self.commits < 2 and not self.flipped


def read_tail(path: str) -> Tail | None:
    """Return what SQLite will leave out of the write-ahead log at ``path``; None where it leaves nothing out.

    A log that another process writes at this moment may look odd for an instant: what looks damaged is looked at again.
    """
    tail = None
    for _ in range(_ATTEMPTS):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        tail = _check(data)
        if tail is None or tail.torn:
            break
    return tail


def _check(data: bytes) -> Tail | None:
    if len(data) < _HEADER + _FRAME:
        return None
    magic, version, size, _, salts, first, second = struct.unpack_from(">4I8s2I", data)
    order = ">" if magic & 1 else "<"
    seed = (first, second)
    if magic & ~1 != _MAGIC or version != _VERSION or _checksum(data[:24], (0, 0), order) != seed:
        return Tail(
            0, 1, True
        )  # SQLite takes it for empty; but the header was synced before the first frame was written
    step = _FRAME + size
    starts = range(_HEADER, len(data) - step + 1, step)
    return _walk(data, [Frame(data, start, size, salts, order) for start in starts], salts, seed)


class Frame:
    """Be one frame of the log."""

    def __init__(self, data: bytes, start: int, size: int, salts: bytes, order: str) -> None:
        """Take the frame that begins at ``start``; its page holds ``size`` bytes."""
        self.start, self.size, self.order = start, size, order
        self.number, self.commit = struct.unpack_from(">2I", data, start)
        self.ours = data[start + 8 : start + 16] == salts
        self.stored: tuple[int, int] = struct.unpack_from(">2I", data, start + 16)

    def continues(self, seed: tuple[int, int], data: bytes, commit: int | None = None) -> bool:
        """Return whether its checksum continues ``seed``, as it is or with another commit field."""
        head = struct.pack(">2I", self.number, self.commit if commit is None else commit)
        page = data[self.start + _FRAME : self.start + _FRAME + self.size]
        return _checksum(head + page, seed, self.order) == self.stored


def _walk(data: bytes, frames: list[Frame], salts: bytes, seed: tuple[int, int]) -> Tail | None:
    """Follow the checksums to the first frame that does not fit, and judge what lies behind it."""
    begun: list[int] = []  # pages of the transaction that the good frames leave unfinished
    for number, frame in enumerate(frames):
        fits = frame.continues(seed, data)
        if not (fits and frame.ours):
            behind = _commits_in(data, frame.start, salts, begun)
            flipped = fits or (frame.ours and _one_bit_off(frame, seed, data))
            return Tail(number, behind, flipped) if behind or flipped else None
        begun = [] if frame.commit else [*begun, frame.number]
        seed = frame.stored
    return None


def _commits_in(data: bytes, start: int, salts: bytes, begun: list[int]) -> int:
    """Return how many transactions of this use of the log there are from ``start`` on.

    A frame is known by its salts, wherever it is: bytes that were put in or taken out have moved it. SQLite writes a
    page once in a transaction; one that comes twice is of two, though the frame that ended the first may be gone.
    """
    pages, commits = list(begun), 0
    at = data.find(salts, start)
    while at >= 0:
        number, commit = struct.unpack_from(">2I", data, at - 8)
        pages.append(number)
        commits += commit > 0
        at = data.find(salts, at + 8)
    return max(commits, 2 if len(set(pages)) < len(pages) else 0)


def _one_bit_off(frame: Frame, seed: tuple[int, int], data: bytes) -> bool:
    """Return whether the frame fits with one bit of its empty commit field set: then a commit hides there."""
    return not frame.commit and any(frame.continues(seed, data, 1 << bit) for bit in range(32))


def _checksum(data: bytes, seed: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = seed
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for word, other in zip(words, words, strict=True):
        first = (first + word + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second


def size_of(path: str) -> int:
    """Return the length of a file in bytes, 0 where there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
