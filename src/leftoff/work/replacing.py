"""The user's own files: whole and durable, or as they were (P1)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from leftoff.errors import UsageError
from leftoff.journal.sync import create_beside, put_in_place


@contextmanager
def replacing(path: str | os.PathLike[str], mode: str = "w", *, encoding: str = "utf-8") -> Iterator[IO[Any]]:
    """Replace a file durably and at once: when the block ends the new content is on disk under its name.

    Write to the file it yields. A block that raises, or a process that is killed, leaves the file as it was. path: the
    file to make or replace, its directory must exist; mode: "w" for text, "wb" for bytes; encoding: of text.

    Raises UsageError for another mode and for a device or a pipe, which a file must not take the place of, OSError as
    the system gives it. A temporary file in the same directory, fsync,
    rename, fsync of the directory, as in Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.
    """
    if mode not in ("w", "wb"):
        raise UsageError(f"replacing(mode={mode!r}): write the whole file: 'w' for text, 'wb' for bytes")
    target = Path(os.path.realpath(path))  # through a symbolic link, so that the link stays
    if target.exists() and not target.is_file() and not target.is_dir():
        raise UsageError(
            f"{path} is no file that could be replaced, but a device, a pipe or a socket: open it to write"
        )
    fd, temporary = create_beside(target)
    try:
        with os.fdopen(fd, mode, encoding=None if "b" in mode else encoding) as file:
            yield file
            file.flush()
            put_in_place(file.fileno(), temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
