"""Directories of segments for tests: what one writer after the other leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.journal import lock
from leftoff.journal.entry import Draft
from leftoff.journal.segments import SegmentsStore


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def write(folder: Path, *drafts: Draft) -> Path:
    """Let a writer come, commit and go; return its file."""
    before = set(files(folder)) if folder.exists() else set()
    store = SegmentsStore(folder)
    owner = store.own("r")
    for draft in drafts:
        owner.commit([draft])
    store.close()
    (name,) = set(files(folder)) - before
    return folder / name


def lock_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system hand the same lock out to everybody."""
    monkeypatch.setattr(lock, "_lock", lambda fd, start, path: None)
    monkeypatch.setattr(lock, "_is_locked", lambda fd, start: False)


def change(path: Path, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    """Put other bytes in the place of the first, or last, that are there; return what the file was."""
    data = path.read_bytes()
    at = data.rindex(old) if last else data.index(old)
    path.write_bytes(data[:at] + new + data[at + len(old) :])
    return data
