"""The working folder: a fresh copy for each journey, and which of its files a run changed."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from leftoff.errors import UsageError

LINKED: Final = (".venv", "venv", "node_modules")
"""Folders that programs read and do not change: linked into a copy, not copied."""
_UNSEEN: Final = (*LINKED, ".git", "__pycache__")
"""Folders whose files are nobody's result: not looked at."""
_LARGEST: Final = 1 << 30  # bytes; what is copied once for every journey

Stamp = tuple[int, int, int]
"""Size, time of the last change in nanoseconds, and inode of a file: two that are equal are the same content."""


def stamps(folder: Path) -> dict[str, Stamp]:
    """Return the stamp of each regular file below a folder by its name relative to it."""
    found: dict[str, Stamp] = {}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            entries = list(os.scandir(folder / inside))
        except FileNotFoundError:  # removed since it was seen
            continue
        for entry in entries:
            name = f"{inside}{entry.name}"
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _UNSEEN:
                        waiting.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    found[name] = _stamp(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
    return found


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ino


def changed(before: dict[str, Stamp], after: dict[str, Stamp]) -> list[str]:
    """Return the names of the files that are new or whose stamp is another, in order."""
    return sorted(name for name, stamp in after.items() if before.get(name) != stamp)


def refuse_odd_folder(folder: Path) -> None:
    """Raise UsageError for a folder that is none, or too large to be copied again and again."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name the one your program works in with --folder")
    size = sum(stamp[0] for stamp in stamps(folder).values())
    if size > _LARGEST:
        raise UsageError(
            f"{folder} holds {size / 1e9:.1f} GB, and each journey begins with a copy of it:"
            " prove a smaller input, or name a smaller folder with --folder"
        )


def fresh_copy(folder: Path, target: Path) -> dict[str, Stamp]:
    """Copy a folder to ``target``, in place of what is there, and return the stamps of the copy.

    Sockets, pipes, devices and compiled Python are left out.
    """
    linked: list[Path] = []

    def left_out(inside: str, names: list[str]) -> list[str]:
        odd = []
        for path in (Path(inside, name) for name in names):
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) and path.name in LINKED:
                linked.append(path)
                odd.append(path.name)
            elif path.name == "__pycache__" or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                odd.append(path.name)
        return odd

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True, ignore=left_out)
    for path in linked:
        (target / path.relative_to(folder)).symlink_to(path, target_is_directory=True)
    return stamps(target)
