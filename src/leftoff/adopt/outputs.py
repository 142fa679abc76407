"""Files that the work has written, one an item: ``out/{key}.json``.

1. A file tells that an item is done only if it is a regular file and not empty.
2. Who was killed left one file per worker half-written, and those are the newest: so many are doubted if the user says
   how many there were, else the newest is read where it can prove that it is whole, and named where it cannot.
3. Only a format that tells by itself where it ends can prove that such a file is whole: JSON's brackets, gzip's sum.
"""

from __future__ import annotations

import gzip
import heapq
import json
import os
import re
import stat
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from leftoff.adopt.found import Done, Doubt, Found, NotDone, Note
from leftoff.errors import UsageError

KEY: Final = "{key}"
_BLOCK: Final = 1 << 20


def outputs(pattern: str, *, in_hand: int | None = None, check: bool = False) -> Iterator[Found]:
    """Yield the keys whose output is there.

    pattern: a path with one ``{key}`` in it, which stands for a name or a part of one, never for several directories;
    in_hand: how many items were worked on when the work died, whose files are the newest and are not believed (0
    believes them all); check: read each file whole, which a ``.json`` or ``.gz`` needs to prove that it is complete.

    Raises UsageError for a pattern that finds no file at all.
    """
    if pattern.count(KEY) != 1:
        raise UsageError(f"{pattern}: write {KEY} once, where the key stands, such as 'out/{KEY}.json'")
    if check and _kind(pattern) is None:
        raise UsageError(f"{pattern}: what is whole can be told of .json, .jsonl and .gz; leave --check out")
    return _outputs(pattern, in_hand, check=check)


def _outputs(pattern: str, in_hand: int | None, *, check: bool) -> Iterator[Found]:
    kind = _kind(pattern)
    proves = check and kind in ("json", "gz")
    newest = _nth_newest(pattern, 0 if proves else in_hand or 0)
    torn = None if check or in_hand is not None else (yield from _torn_newest(pattern, kind))
    there = False
    for key, path in _matching(pattern):
        there = True
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            yield Doubt(str(path), "it is no regular file")
        elif not status.st_size:
            yield NotDone(key, "its file is empty")
        elif path == torn:
            yield NotDone(key, "it is the newest, and not whole")
        elif newest is not None and status.st_mtime_ns >= newest:
            yield Doubt(str(path), "it is among the newest, and may have been in hand")
        elif check and (why := _broken(path, kind)):
            yield NotDone(key, why)
        else:
            yield Done(key)
    if not there:
        raise UsageError(f"there is no file {pattern}; nothing was changed")


def _torn_newest(pattern: str, kind: str | None) -> Generator[Found, None, Path | None]:
    """Return the newest file if it is half-written; say which it is where that cannot be told."""
    files = (path for _, path in _matching(pattern) if path.is_file() and path.stat().st_size)
    found = heapq.nlargest(2, files, key=lambda path: path.stat().st_mtime_ns)
    if not found:
        return None
    newest, *before = found
    if kind in ("json", "gz"):
        if _broken(newest, kind) is None:
            return None
        if before and _broken(before[0], kind) is None:  # else they are not what their names say
            return newest
    yield Note(f"{newest} is the newest; if the work was killed it may be half-written: --workers 1 leaves it out")
    return None


def _kind(pattern: str) -> str | None:
    return next((kind for kind in ("gz", "json", "jsonl") if pattern.endswith(f".{kind}")), None)


def _matching(pattern: str) -> Iterator[tuple[str, Path]]:
    """Yield the keys and files of a pattern. As in a shell, no name that begins with a dot is meant by ``{key}``."""
    before, after = pattern.split(KEY)
    folder, _, prefix = before.rpartition("/")
    name, slash, below = after.partition("/")
    form = re.compile(f"{re.escape(prefix)}{'' if prefix else '(?![.])'}(?P<key>.+){re.escape(name)}", re.DOTALL)
    top = Path(folder or ("/" if before.startswith("/") else "."))
    try:
        names = os.scandir(top)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no directory {top}; nothing was changed") from None
    with names:
        for entry in names:
            if match := form.fullmatch(entry.name):
                path = Path(entry.path) / below if slash else Path(entry.path)
                if path.exists():
                    yield match["key"], path


def _nth_newest(pattern: str, count: int) -> int | None:
    """Return when the file that is ``count``-th newest was written, None for no file."""
    if not count:
        return None
    times = heapq.nlargest(count, (path.stat().st_mtime_ns for _, path in _matching(pattern)))
    return times[-1] if times else None


def _broken(path: Path, kind: str | None) -> str | None:
    """Return why a file is not whole; None if it is."""
    try:
        if kind == "gz":
            with gzip.open(path) as file:
                while file.read(_BLOCK):
                    pass
        elif kind == "json":
            if not isinstance(json.loads(path.read_bytes()), (dict, list)):
                return "it holds no object or array, so its end cannot be told"
        else:
            with path.open("rb") as file:
                for line in file:
                    json.loads(line)
                    if not line.endswith(b"\n"):
                        return "its last line is torn"
    except (ValueError, RecursionError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"it is not whole: {error}"
    return None
