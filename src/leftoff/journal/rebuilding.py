"""Replace a journal's file by another one, so that at any instant the old is there, or the new.

1. Whoever rebuilds holds the journal: nobody else owns a run of it meanwhile.
2. The original is kept first, byte by byte and durably; only then anything changes.
3. The new file is built under another name, checked, synced and renamed.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from leftoff.errors import JournalError
from leftoff.journal.sync import open_private, put_in_place_by_name, unusable, write_all

_BLOCK: Final = 1 << 20
_SUFFIX: Final = ".rebuilding"
_SIDES: Final = ("", "-wal")


@contextmanager
def rebuilding(path: Path) -> Iterator[Path]:
    """Yield the name to build a file under; when the block ends well, sync the file and rename it to ``path``."""
    temporary = path.with_name(f"{path.name}{_SUFFIX}")
    temporary.unlink(missing_ok=True)  # what a killed attempt left
    try:
        os.close(open_private(temporary, os.O_EXCL))
        yield temporary
        put_in_place_by_name(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, JournalError):
            raise unusable(path, error) from error
        raise


def keep_original(path: Path, word: str) -> Path:
    """Keep a journal's bytes durably as ``PATH.WORD-N``, private, and return that name; SQLite's ``-wal`` beside it.

    What an interrupted attempt has kept already is not kept twice.
    """
    number = 1
    while True:
        aside = path.with_name(f"{path.name}.{word}-{number}")
        there = [side for side in _SIDES if os.path.lexists(f"{aside}{side}")]
        if "" not in there:
            break  # what an interrupted attempt kept of a log alone is kept anew
        if all(_same(f"{path}{side}", f"{aside}{side}") for side in _SIDES):
            return aside
        number += 1
    for side in reversed(_SIDES):  # the file itself last: where it is, all is
        Path(f"{aside}{side}").unlink(missing_ok=True)
        if os.path.exists(f"{path}{side}"):
            _copy(Path(f"{path}{side}"), Path(f"{aside}{side}"))
    return aside


def free_name(path: Path, word: str) -> Path:
    """Return the first ``PATH.WORD-N`` that is not there."""
    number = 1
    while os.path.lexists(path.with_name(f"{path.name}.{word}-{number}")):
        number += 1
    return path.with_name(f"{path.name}.{word}-{number}")


def _same(one: str, other: str) -> bool:
    if not (os.path.exists(one) and os.path.exists(other)):
        return os.path.exists(one) == os.path.exists(other)
    return filecmp.cmp(one, other, shallow=False)


def _copy(source: Path, target: Path) -> None:
    with rebuilding(target) as temporary, open(source, "rb") as old:
        fd = os.open(temporary, os.O_WRONLY | os.O_CLOEXEC)
        try:
            while block := old.read(_BLOCK):
                write_all(fd, block)
        finally:
            os.close(fd)
