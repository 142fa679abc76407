"""What a disk may hold after its power failed, given the calls that programs made on the files of one folder.

The model, which is harsher than most file systems:

1. What is written reaches the disk whole only by a sync of that file. Without one, each sector of 512 or 4,096 bytes
   is as it was at any moment since the last sync, whatever its neighbours are, and so is the length; a sector that the
   length covers but that was never written reads as zeros. A file that grows may end at any byte of the newest write.
2. A new folder or name, a rename and an unlink reach the disk by a sync of the folder they stand in; without one, as a
   prefix of what happened there.
3. After a sync of a file that failed its pages count as clean: what they held reaches the disk no more
   (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Names go on waiting.
4. Only in the mode ``trash``: sectors that were being written hold garbage where something was written to them. What
   had been synced in them before stays, as SQLite assumes by default (sqlite.org/psow.html).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

SECTORS: Final = (512, 4096)
MODES: Final = ("drop", "keep", "zeros", "torn", "mix", "mix", "mix")
"""What becomes of what was not synced: nothing of it, all, its lengths, all but the last write's end, or a mix."""
SURE: Final = ("drop", "keep", "zeros")
"""The modes that leave nothing to chance."""
TRASH: Final = "trash"
"""The mode in which sectors hold garbage; not among `MODES`, since a journal may have to report it."""

NAMES: Final = ("link", "mkdir", "rename", "unlink")
"""The kinds of operations that a sync of their folder makes durable."""
CHANGES: Final = ("write", "truncate", *NAMES)
"""The kinds of operations that a sync makes durable."""

FOLDER: Final = 0
"""The number of the folder itself, among those of the files and of the folders in it."""


class Operation(NamedTuple):
    """Be one thing that happened: ``kind`` with the fields it needs.

    ``link`` and ``mkdir`` (name, file), ``rename`` (name, target), ``unlink`` (name), ``write`` (file, offset, data),
    ``truncate`` (file, offset), ``sync`` and ``failed`` (file), ``told`` (name: the line). Names are relative to the
    recorded folder, those of folders end with a slash; ``folder`` is the number of the one a name stands in. ``began``
    and ``ended`` are places in the trace: a sync covers what had ended before it began.
    """

    kind: str
    began: int
    ended: int
    file: int = 0
    name: str = ""
    target: str = ""
    offset: int = 0
    data: bytes = b""
    call: str = ""
    folder: int = FOLDER


class Disk:
    """Be the disk to which operations happen, one after the other."""

    def __init__(self) -> None:
        """Begin with an empty folder."""
        self._files: dict[int, bytearray] = {}
        self._names: dict[str, int] = {}
        self._waiting: dict[int, list[Operation]] = {}

    def take(self, operation: Operation) -> None:
        """Let an operation happen."""
        if operation.kind in ("sync", "failed"):
            self._sync(operation)
        elif operation.kind in CHANGES:
            place = operation.folder if operation.kind in NAMES else operation.file
            self._waiting.setdefault(place, []).append(operation)

    def _sync(self, sync: Operation) -> None:
        """Take what a sync covers out of what waits, and onto the disk if it did not fail."""
        pending = self._waiting.pop(sync.file, [])
        failed = sync.kind == "failed"
        if failed and pending and pending[0].kind in NAMES:
            self._waiting[sync.file] = pending
            return
        late = [operation for operation in pending if operation.ended >= sync.began]
        if late:
            self._waiting[sync.file] = late
        for operation in pending:
            if failed or operation.ended >= sync.began:
                continue
            if operation.kind in NAMES:
                _name(self._names, operation)
            else:
                _change(self._files.setdefault(sync.file, bytearray()), operation)

    def image(self, mode: str, rng: random.Random) -> dict[str, bytes]:
        """Return the files, by name, that the disk may hold when the power fails now; folders as empty files."""
        names = dict(self._names)
        files: dict[int, bytes | bytearray] = dict(self._files)
        for number, waiting in self._waiting.items():
            if waiting[0].kind in NAMES:
                chance = rng.randrange(len(waiting) + 1)
                count = {"drop": 0, "keep": len(waiting), "zeros": len(waiting)}.get(mode, chance)
                for operation in waiting[:count]:
                    _name(names, operation)
            elif mode != "drop":
                files[number] = _survivor(bytearray(self._files.get(number, b"")), waiting, mode, rng)
        return {name: bytes(files.get(file, b"")) for name, file in names.items() if _parents(name) <= names.keys()}


def parent(name: str) -> str:
    """Return the name of the folder that a name stands in, "" for the recorded folder itself."""
    head, slash, _ = name.rstrip("/").rpartition("/")
    return head + slash


def _parents(name: str) -> set[str]:
    """Return the folders that must be there for a name to be found."""
    above = set()
    while name := parent(name):
        above.add(name)
    return above


def _name(names: dict[str, int], operation: Operation) -> None:
    """Let a new name, a rename or an unlink reach the disk."""
    if operation.kind in ("link", "mkdir"):
        names[operation.name] = operation.file
    elif operation.kind == "unlink":
        names.pop(operation.name, None)
    elif operation.name in names:
        names[operation.target] = names.pop(operation.name)


def _grow(data: bytearray, size: int) -> None:
    if len(data) < size:
        data.extend(bytes(size - len(data)))


def _put(data: bytearray, offset: int, part: bytes) -> None:
    _grow(data, offset + len(part))
    data[offset : offset + len(part)] = part


def _change(data: bytearray, operation: Operation) -> None:
    """Let a write or a truncation reach the disk."""
    if operation.kind == "truncate":
        del data[operation.offset :]
        _grow(data, operation.offset)
    else:
        _put(data, operation.offset, operation.data)


def _survivor(data: bytearray, writes: Sequence[Operation], mode: str, rng: random.Random) -> bytearray:
    """Return what may have become of a file, given what it held when it was synced last, and was written since."""
    if mode == "mix":
        return _mixed(data, writes, rng)
    if mode == TRASH:
        return _trashed(_mixed(data, writes, rng), writes, rng)
    synced = bytes(data)
    for operation in writes[:-1]:
        _change(data, operation)
    if mode == "torn":
        _cut(data, writes[-1], rng)
        return data
    _change(data, writes[-1])
    if mode == "zeros":
        length = len(data)
        data[:] = synced[:length]
        _grow(data, length)
    return data


def _cut(data: bytearray, operation: Operation, rng: random.Random) -> None:
    """Let the beginning of a write reach the disk: a file may end at any byte, what it held changes by sectors."""
    if operation.kind == "truncate":
        return
    end = operation.offset + rng.randrange(len(operation.data) + 1)
    if end < len(data):
        end = max(end - end % rng.choice(SECTORS), operation.offset)
    _put(data, operation.offset, operation.data[: end - operation.offset])


def _mixed(data: bytearray, writes: Sequence[Operation], rng: random.Random) -> bytearray:
    """Return a file of which each sector, and the length, is as it was at one of a few moments of its own."""
    moments = {rng.randrange(len(writes) + 1) for _ in range(2)} | {len(writes)}
    states = [bytes(data)]
    for count, operation in enumerate(writes, start=1):
        _change(data, operation)
        if count in moments:
            states.append(bytes(data))
    sector, newest = rng.choice(SECTORS), rng.random()
    length = len(states[-1] if rng.random() < 0.5 else rng.choice(states))
    mixed = bytearray(length)
    for at in range(0, length, sector):
        state = states[-1] if rng.random() < newest else rng.choice(states)
        part = state[at : min(at + sector, length)]
        mixed[at : at + len(part)] = part
    return mixed


def _trashed(data: bytearray, writes: Sequence[Operation], rng: random.Random) -> bytearray:
    """Put garbage into sectors that were being written, where something was written to them."""
    sector = rng.choice(SECTORS)
    parts = []
    for operation in writes:
        end = min(operation.offset + len(operation.data), len(data))
        starts = [operation.offset, *range(operation.offset - operation.offset % sector + sector, end, sector)]
        parts += [(start, end_of) for start, end_of in zip(starts, [*starts[1:], end], strict=True) if start < end_of]
    for start, end in rng.sample(parts, min(len(parts), rng.choice((1, 1, 2, 4)))):
        data[start:end] = rng.choice((rng.randbytes(end - start), bytes(end - start), b"\xff" * (end - start)))
    return data
