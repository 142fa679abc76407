"""What a source says: what is done, what is not, and what cannot be believed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, NamedTuple

from leftoff.errors import UsageError

LONGEST_LINE: Final = 16 << 20  # bytes; what is longer was not written by a line-wise tool, or is a hole of zeros


class Done(NamedTuple):
    """Be an item that the source says is done, and its result where the source has one."""

    key: Any
    value: Any = None


class NotDone(NamedTuple):
    """Be an item that the source says has failed."""

    key: str
    why: str


class Doubt(NamedTuple):
    """Be something that is not believed: where it stands, and why."""

    where: str
    why: str


class Note(NamedTuple):
    """Be a word to the user about a source."""

    text: str


Found = Done | NotDone | Doubt | Note


class Line(NamedTuple):
    """Be one line of a file, without its end: its number from 1, and whether it has an end."""

    number: int
    data: bytes
    ended: bool


def open_source(path: str) -> IO[bytes]:
    """Open a regular file for reading; it may be read twice. Raise UsageError for anything else."""
    try:
        file = open(path, "rb")  # noqa: SIM115, PTH123  # the caller closes it
    except (FileNotFoundError, IsADirectoryError) as error:
        what = "there is no file" if isinstance(error, FileNotFoundError) else "this is a directory, not a file:"
        raise UsageError(f"{what} {path} to adopt from; nothing was changed") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UsageError(f"{path} is a pipe or a device; it is read twice, so write it to a file first")
    return file


def lines_of(file: IO[bytes], end: int) -> Iterator[Line]:
    """Yield the lines of a file up to the offset ``end``; what its writer appends meanwhile is left for another time.

    A line that is far too long is cut, so that a hole of zeros does not fill the memory.
    """
    file.seek(0)
    number = 0
    while (left := end - file.tell()) > 0:
        data = file.readline(min(left, LONGEST_LINE))
        number += 1
        yield Line(number, data.rstrip(b"\n") if data.endswith(b"\n") else data, data.endswith(b"\n"))


def last_words(read: Callable[[], Iterator[Found]], in_hand: int = 0) -> Iterator[Found]:
    """Yield what is done by the last word that a source says of it.

    read: reads the source from its beginning, and is called twice: what it finds wrong with the source as a whole it
    raises the first time, before anything was yielded; in_hand: so many of the keys named last are doubted.
    """
    failed: dict[str, str] = {}
    newest: dict[str, None] = {}
    for found in read():
        if isinstance(found, (Doubt, Note)):
            continue
        if isinstance(found, Done):
            failed.pop(found.key, None)
        else:
            failed[found.key] = found.why
        if in_hand:
            newest.pop(found.key, None)
            newest[found.key] = None
            if len(newest) > in_hand:
                del newest[next(iter(newest))]
    for key, why in failed.items():
        yield NotDone(key, why)
    for key in newest.keys() - failed.keys():
        yield Doubt(key, "it was among the last, and may have been in hand")
    for found in read():
        if isinstance(found, (Doubt, Note)) or (
            isinstance(found, Done) and not (found.key in failed or found.key in newest)
        ):
            yield found
