"""What a disk may hold after its power failed, given the calls that a program made on the files of one folder.

The model, which is harsher than most file systems:

1. What is written reaches the disk whole only by a sync of that file. Without one, each sector of 512 or 4,096 bytes
   is as it was at any moment since the last sync, whatever its neighbours are, and so is the length; a sector that the
   length covers but that was never written reads as zeros. A file that grows may end at any byte of the newest write.
2. A name, a rename and an unlink reach the disk by a sync of the directory; without one, as a prefix of what happened.
3. After a sync of a file that failed its pages count as clean: what they held reaches the disk no more
   (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Names go on waiting.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

SECTORS: Final = (512, 4096)
MODES: Final = ("drop", "keep", "torn", "mix", "mix", "mix")
"""What becomes of what was not synced: nothing of it, all, all but the end of the last write, or anything."""
CHANGES: Final = ("write", "truncate", "link", "rename", "unlink")
"""The kinds of operations that a sync makes durable."""

FOLDER: Final = 0
"""The number of the folder itself, among those of the files."""


class Operation(NamedTuple):
    """Be one thing that happened: ``kind`` with the fields it needs.

    ``link`` (name, file), ``rename`` (name, target), ``unlink`` (name), ``write`` (file, offset, data), ``truncate``
    (file, offset), ``sync`` and ``failed`` (file), ``told`` (name: the line). ``began`` and ``ended`` are places in the
    trace: a sync covers what had ended before it began.
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


def image(operations: Sequence[Operation], mode: str, rng: random.Random) -> dict[str, bytes]:
    """Return the files, by name, that the disk may hold when the power fails behind these operations."""
    files: dict[int, bytearray] = {}
    names: dict[str, int] = {}
    waiting: dict[int, list[Operation]] = {}
    for operation in operations:
        if operation.kind in ("write", "truncate"):
            waiting.setdefault(operation.file, []).append(operation)
        elif operation.kind in ("link", "rename", "unlink"):
            waiting.setdefault(FOLDER, []).append(operation)
        elif operation.kind in ("sync", "failed"):
            _sync(operation, waiting, files, names)
    _survive(waiting, files, names, mode, rng)
    return {name: bytes(files.get(file, b"")) for name, file in names.items()}


def _sync(
    sync: Operation, waiting: dict[int, list[Operation]], files: dict[int, bytearray], names: dict[str, int]
) -> None:
    """Take what a sync covers out of what waits, and onto the disk if it did not fail."""
    if sync.kind == "failed" and sync.file == FOLDER:
        return
    pending = waiting.pop(sync.file, [])
    late = [operation for operation in pending if operation.ended >= sync.began]
    if late:
        waiting[sync.file] = late
    if sync.kind == "failed":
        return
    for operation in pending:
        if operation.ended >= sync.began:
            continue
        if sync.file == FOLDER:
            _rename(names, operation)
        else:
            _change(files.setdefault(sync.file, bytearray()), operation)


def _survive(
    waiting: dict[int, list[Operation]],
    files: dict[int, bytearray],
    names: dict[str, int],
    mode: str,
    rng: random.Random,
) -> None:
    """Let some of what waits reach the disk."""
    renames = waiting.pop(FOLDER, [])
    count = {"drop": 0, "keep": len(renames)}.get(mode, rng.randrange(len(renames) + 1))
    for operation in renames[:count]:
        _rename(names, operation)
    if mode == "drop":
        return
    for file, writes in waiting.items():
        data = files.setdefault(file, bytearray())
        if mode == "mix":
            files[file] = _mixed(data, writes, rng)
            continue
        for operation in writes[:-1]:
            _change(data, operation)
        (_change if mode == "keep" else _cut)(data, writes[-1], rng)


def _rename(names: dict[str, int], operation: Operation) -> None:
    if operation.kind == "link":
        names[operation.name] = operation.file
    elif operation.kind == "unlink":
        names.pop(operation.name, None)
    elif operation.name in names:
        names[operation.target] = names.pop(operation.name)


def _grow(data: bytearray, size: int) -> None:
    if len(data) < size:
        data.extend(bytes(size - len(data)))


def _change(data: bytearray, operation: Operation, _rng: random.Random | None = None) -> None:
    if operation.kind == "truncate":
        del data[operation.offset :]
        _grow(data, operation.offset)
    else:
        _grow(data, operation.offset + len(operation.data))
        data[operation.offset : operation.offset + len(operation.data)] = operation.data


def _cut(data: bytearray, operation: Operation, rng: random.Random) -> None:
    """Let the beginning of a write reach the disk: a file may end at any byte, what it held changes by sectors."""
    if operation.kind == "truncate":
        return
    end = operation.offset + rng.randrange(len(operation.data) + 1)
    if end < len(data):
        end = max(end - end % SECTORS[0], operation.offset)
    kept = operation.data[: end - operation.offset]
    _grow(data, operation.offset + len(kept))
    data[operation.offset : operation.offset + len(kept)] = kept


def _mixed(data: bytearray, writes: Sequence[Operation], rng: random.Random) -> bytearray:
    """Return a file of which each sector, and the length, is as it was at one of a few moments of its own."""
    moments = {rng.randrange(len(writes) + 1) for _ in range(2)} | {0, len(writes)}
    states = [bytes(data)] if 0 in moments else []
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
