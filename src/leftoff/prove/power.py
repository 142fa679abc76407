"""Read off a run what a power failure could take from the files that it left.

The rules are those of POSIX, as in Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014: a file's bytes
survive by a sync of the file, its name by a sync of its folder, and a rename may reach the disk before the bytes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from leftoff.prove.changes import Change


@dataclass
class _File:
    """Be what is known of one file: how many of its writes no sync has covered yet, and whether its name is safe."""

    writes: int = 0
    unsynced: int = 0
    named: bool = True
    how: str = "made"
    early: bool = False  # renamed into place with bytes that no sync had covered

    def written(self, *, at_once: bool) -> None:
        self.writes += 1
        self.unsynced += not at_once

    def faults(self) -> list[str]:
        if self.early and self.unsynced:
            return ["was renamed into place and never synced: a power failure may leave it empty"]
        if self.unsynced and self.unsynced == self.writes:
            return ["was written and never synced: a power failure loses it"]
        found = []
        if self.unsynced:
            found.append("was written again after its last sync: a power failure loses that")
        if self.early:
            found.append("was renamed into place before it was synced: a power failure may leave it empty")
        if not self.named:
            found.append(f"was {self.how}, and its folder not synced since: a power failure may lose the name")
        return found


def not_durable(changes: Iterable[Change], files: Iterable[str]) -> list[str]:
    """Return a sentence for each way in which a power failure, after the last change, could harm one of the files."""
    known = _states(changes)
    sentences: dict[tuple[str, str], dict[str, None]] = {}
    for name in files:
        # What it rests on: itself, SQLite's log where the program left it, and the folders on the way to it.
        for needed in (name, f"{name}-wal", *map(str, PurePosixPath(name).parents)):
            for fault in known[needed].faults() if needed in known else ():
                sentences.setdefault((re.sub(r"\d+", "#", needed), fault), {})[needed] = None
    return [
        f"{next(iter(names))}{f' (and {len(names) - 1} more like it)' if len(names) > 1 else ''} {fault}"
        for (_, fault), names in sentences.items()
    ]


def _states(changes: Iterable[Change]) -> dict[str, _File]:
    files: dict[str, _File] = {}
    for change in changes:
        if change.kind == "make":
            files[change.file] = _File(named=False)
        elif change.kind == "write":
            files.setdefault(change.file, _File()).written(at_once=change.at_once)
        elif change.kind == "unlink":
            files.pop(change.file, None)
        elif change.kind in ("rename", "link"):
            file = files.get(change.file, _File())
            if change.kind == "rename":
                files.pop(change.file, None)
            files[change.target] = replace(file, early=file.unsynced > 0, named=False, how="renamed")
        else:
            _sync(files, change.file)
    return files


def _sync(files: dict[str, _File], synced: str) -> None:
    for name, file in files.items():
        if synced in ("*", name):
            file.unsynced = 0
        if synced in ("*", posixpath.dirname(name) or "."):
            file.named = True
