"""Let a directory of segments appear in one step: built beside its name, made durable with all in it, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from leftoff.errors import UsageError
from leftoff.journal.copying import built_aside
from leftoff.journal.entry import Entry
from leftoff.journal.segments_header import HEADER, make_header, new_name
from leftoff.journal.sync import open_private, sync_directory, sync_file


@contextmanager
def appearing_directory(path: Path) -> Iterator[Path]:
    """Yield the one segment to write the copy to; when the block ends well, its directory gets the name ``path``.

    Raise UsageError where something is at ``path`` already, and JournalBusy while another process builds it.
    """
    with built_aside(path, _refuse_existing, _remove) as temporary:
        os.mkdir(temporary, 0o700)
        make_header(temporary)
        segment = temporary / new_name()
        fd = open_private(segment, os.O_EXCL)
        try:
            yield segment
            sync_file(fd)
        finally:
            os.close(fd)
        sync_directory(temporary)
        os.rename(temporary, path)
        sync_directory(path.parent)


def ascending(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries with no time before an earlier one's, as a segment has them, whatever the clock did meanwhile."""
    latest = None
    for entry in entries:
        latest = entry.at if latest is None else max(latest, entry.at)
        yield entry if entry.at == latest else replace(entry, at=latest)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise UsageError(f"{path} exists; a copy is made under a new name only: name another, or move it away")


def _remove(temporary: Path) -> None:
    """Remove what a copy left; a directory that holds anything else is not one of ours, and stays as it is."""
    if os.path.isdir(temporary):
        names = os.listdir(temporary)
        if other := [name for name in names if not (name.endswith(".jsonl") or HEADER in name)]:
            raise UsageError(f"{temporary} holds {min(other)!r}, which no copy left there; move it away")
        for name in names:
            os.unlink(temporary / name)
        os.rmdir(temporary)
