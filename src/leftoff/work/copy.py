"""Copy a journal to another place or format, and go on there.

A move is a copy after which the old journal refuses to go on and names the new one. What a kill leaves, step by step:

1. the source's runs are owned          the source goes on
2. the copy is built beside its name    the source goes on; the next copy removes what was built
3. the source's runs are marked moved   neither goes on: the same command, run again, builds the copy anew
4. the copy gets its name               it goes on there
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from leftoff.errors import JournalMissing, JournalMoved, UsageError
from leftoff.journal.copying import appearing, back_up, write_jsonl, write_sqlite
from leftoff.journal.entry import Draft, moved_to
from leftoff.journal.lock import whoami
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.store import Owner, Store
from leftoff.work.journal import SQLITE_SUFFIXES, make_store, place_text


class Copied(NamedTuple):
    """Be what a copy holds: how many entries of which runs, and whether the user's own tables came along."""

    entries: int
    runs: list[str]
    tables: bool


def copy(store: Store, target: str | os.PathLike[str]) -> Copied:
    """Copy an open store to ``target``; `Journal.copy` says the rest."""
    path = _path_of(target)
    runs = _runs_of(store)
    with appearing(path) as temporary:
        return _build(store, runs, temporary, path)


def move(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Copied:
    """Copy the journal at ``source`` to ``target`` and go on there: ``source`` then refuses to, and names ``target``.

    A move that was interrupted is finished by the same call; one that was complete is not repeated.

    Raises what `Journal.copy` does, JournalMissing, JournalBusy while another process owns a run, and JournalMoved if a
    run went elsewhere before.
    """
    path = _path_of(target)
    store = make_store(source, "power", create=False)
    try:
        runs = _runs_of(store)
        gone = {run: place for run in runs if (place := moved_to(store.latest(run, "owner")))}
        for run, place in gone.items():
            if place != str(path):
                raise JournalMoved(f"the run {run!r} of {store.url} was moved to {place}; copy it from there")
        if len(gone) == len(runs) and path.exists():
            return Copied(0, runs, tables=False)
        owners = [store.own(run) for run in runs]  # which also takes back the marks of a move that was interrupted
        with appearing(path) as temporary:
            copied = _build(store, runs, temporary, path)
            for owner in owners:
                _mark(owner, store.durability, path)
        return copied
    finally:
        store.close()


def _path_of(target: str | os.PathLike[str]) -> Path:
    text = place_text(target)
    path = Path(os.path.realpath(text))
    if text == "memory:" or "://" in text or path.suffix not in (".jsonl", *SQLITE_SUFFIXES):
        raise UsageError(f"{text}: name a new file: progress.jsonl (JSON Lines) or papers.db (SQLite)")
    if not path.parent.is_dir():
        raise JournalMissing(f"{text} cannot be created: there is no directory {path.parent}")
    return path


def _runs_of(store: Store) -> list[str]:
    runs = store.runs()
    if not runs:
        raise UsageError(f"{store.url} holds no run yet, so there is nothing to copy")
    return runs


def _build(store: Store, runs: list[str], temporary: Path, path: Path) -> Copied:
    """Build the copy at ``temporary``, in the format that the target's name asks for."""
    if isinstance(store, SqliteStore) and path.suffix in SQLITE_SUFFIXES:
        return Copied(back_up(store, temporary), runs, tables=True)
    write = write_sqlite if path.suffix in SQLITE_SUFFIXES else write_jsonl
    return Copied(write(temporary, store.entries()), runs, tables=False)


def _mark(owner: Owner, durability: str, path: Path) -> None:
    value = {**whoami(), "durability": durability, "moved": str(path)}
    owner.commit([Draft("owner", "", json.dumps(value, ensure_ascii=False, separators=(",", ":")))])
