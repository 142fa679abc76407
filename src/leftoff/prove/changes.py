"""What the calls of a trace change in a folder: between any two of them a kill can fall."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from leftoff.prove.trace import Call

_NUMBERS: Final = re.compile(r"[0-9a-f]{8,}|\d+")
_ELSEWHERE: Final = ("/dev/", "/proc/", "/sys/")


class Change(NamedTuple):
    """Be one call that changes the folder, or syncs what was changed: ``file`` and ``target`` are relative names.

    ``kind`` is ``make`` (a new file), ``write`` (its bytes or length), ``rename``, ``link``, ``unlink`` or ``sync``;
    the folder itself is ``.``; ``at_once``: the file was opened so that each write is synced; ``call`` and ``nth`` as
    in `Call`.
    """

    kind: str
    file: str
    target: str
    at_once: bool
    call: str
    nth: int

    def __str__(self) -> str:
        names = f"{self.file} to {self.target}" if self.target else self.file
        return f"{self.call} {names}"

    @property
    def sort(self) -> str:
        """What it has in common with the same call of another item: numbers in names do not count."""
        return _NUMBERS.sub("#", str(self))


def changes(calls: Iterable[Call], folder: str, existing: Collection[str]) -> list[Change]:
    """Return the changes of a folder, in order; ``existing``: the names of the files that it held before."""
    known = set(existing)
    at_once: set[str] = set()
    found = []
    for call in calls:
        file, target = _inside(call.path, folder), _inside(call.target, folder)
        if call.name in ("sync", "syncfs"):
            found.append(Change("sync", "*", "", at_once=False, call=call.name, nth=call.nth))
        if (file is None and target is None) or "__pycache__" in call.path:
            continue
        kind = _kind(call, file, target, known)
        if call.kind == "open" and file is not None:
            (at_once.add if "O_SYNC" in call.flags or "O_DSYNC" in call.flags else at_once.discard)(file)
        if kind is not None:
            found.append(Change(kind, file or "", target or "", (file or "") in at_once, call.name, call.nth))
    return found


def _inside(path: str, folder: str) -> str | None:
    """Return a path's name in the folder, "." for the folder itself, None for one outside."""
    if path == folder:
        return "."
    return path[len(folder) + 1 :] if path.startswith(f"{folder}/") else None


def _kind(call: Call, file: str | None, target: str | None, known: set[str]) -> str | None:
    """Return what a call changes, None for nothing; keep ``known`` up to date."""
    kind: str | None = call.kind
    if call.kind == "open":
        flags = "O_CREAT|O_TRUNC" if call.name == "creat" else call.flags
        new = file not in known and "O_CREAT" in flags
        kind = "make" if new else "write" if "O_TRUNC" in flags else None
    elif call.kind == "name":
        kind = "make" if call.name.startswith("mkdir") else "write" if call.name == "truncate" else "unlink"
    elif call.kind == "pair":
        kind = "rename" if call.name.startswith("rename") else "link"
    if kind in ("unlink", "rename"):
        known.discard(file or "")
    elif kind == "make":
        known.add(file or "")
    if target is not None:
        known.add(target)
    return kind


def outside(calls: Iterable[Call], folder: str) -> list[str]:
    """Return the files that were written outside a folder; devices and temporary files are nobody's."""
    own = (*_ELSEWHERE, f"{folder}/", f"{os.path.realpath(tempfile.gettempdir())}/", f"{tempfile.gettempdir()}/")
    touched: dict[str, None] = {}
    for call in calls:
        if call.kind in ("write", "pair", "name"):
            for path in (call.path, call.target):
                if path.startswith("/") and path != folder and not path.startswith(own) and "__pycache__" not in path:
                    touched[path] = None
    return list(touched)
