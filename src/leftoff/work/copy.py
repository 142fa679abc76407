"""Copy a journal to another place or format, and go on there.

A move is a copy after which the old journal refuses to go on and names the new one. What a kill leaves, step by step:

1. the target is locked, and empty        the source goes on
2. the source's runs are owned            the source goes on
3. the copy is built, seen by nobody      the source goes on; what was built is removed by the server or the next copy
4. the source's runs are marked moved     neither goes on: the same command, run again, builds the copy anew
5. the copy appears                       it goes on there

Appearing is the rename of a file, or the commit of a transaction.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from leftoff.errors import JournalBusy, JournalMissing, JournalMoved, UsageError
from leftoff.journal.copying import appearing, back_up, write_jsonl, write_sqlite
from leftoff.journal.entry import Draft, moved_to
from leftoff.journal.lock import whoami
from leftoff.journal.segments_copying import appearing_directory, ascending
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.store import Owner, Store
from leftoff.work.journal import SQLITE_SUFFIXES, is_server, make_store, place_text, require_psycopg

_FORMATS: Final = "progress.jsonl (JSON Lines), papers.db (SQLite), progress/ (segments) or postgresql://… (PostgreSQL)"


class Copied(NamedTuple):
    """Be what a copy holds: how many entries of which runs, and whether the user's own tables came along."""

    entries: int
    runs: list[str]
    tables: bool


Build = Callable[[Store], tuple[int, bool]]
"""Build the copy of a store; return how many entries it has, and whether the user's tables came along."""


class _Target(NamedTuple):
    """Be where a copy is to appear: how it is opened, what the mark of a move calls it, and how it comes to be."""

    url: str
    place: str
    appearing: Callable[[Store], AbstractContextManager[Build]]


def copy(store: Store, target: str | os.PathLike[str]) -> Copied:
    """Copy an open store to ``target``; `Journal.copy` says the rest."""
    there = _target(target)
    runs = _runs_of(store)
    with there.appearing(store) as build:
        entries, tables = build(store)
    return Copied(entries, runs, tables)


def move(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Copied:
    """Copy the journal at ``source`` to ``target`` and go on there: ``source`` then refuses to, and names ``target``.

    A move that was interrupted is finished by the same call; one that was complete is not repeated.

    Raises what `Journal.copy` does, JournalMissing, JournalBusy while another process owns a run, and JournalMoved if a
    run went elsewhere before.
    """
    there = _target(target)
    store = make_store(source, "power", create=False)
    try:
        runs = _runs_of(store)
        if store.shared:
            _refuse_others(store, runs)
        gone = {run: place for run in runs if (place := moved_to(store.latest(run, "owner")))}
        for run, place in gone.items():
            if place != there.place:
                raise JournalMoved(f"the run {run!r} of {store.url} was moved to {place}; copy it from there")
        if len(gone) == len(runs) and _holds(there, store, runs):
            return Copied(0, runs, tables=False)
        with there.appearing(store) as build:
            owners = [store.own(run) for run in runs]  # which also takes back the marks of a move that was interrupted
            entries, tables = build(store)
            for owner in owners:
                _mark(store, owner, there.place)
        return Copied(entries, runs, tables)
    finally:
        store.close()


def _runs_of(store: Store) -> list[str]:
    runs = store.runs()
    if not runs:
        raise UsageError(f"{store.url} holds no run yet, so there is nothing to copy")
    return runs


def _refuse_others(store: Store, runs: list[str]) -> None:
    """Raise `JournalBusy` while a process works on a run that several may own at once: owning it keeps nobody out."""
    for run in runs:
        if (who := store.holder(run)) is not None:
            raise JournalBusy(
                f"the run {run!r} of {store.url} is worked on by process {who.get('pid')} on {who.get('host')}; wait"
                " for it to end or stop it"
            )


def _holds(there: _Target, store: Store, runs: list[str]) -> bool:
    """Return whether the target is a copy of a store: a run keeps its random id."""
    try:
        found = make_store(there.url, "process", create=False)
    except JournalMissing:
        return False
    try:
        return all(_id_of(found, run) == _id_of(store, run) for run in runs)
    finally:
        found.close()


def _id_of(store: Store, run: str) -> object:
    header = store.latest(run, "created")
    return None if header is None else header.value["id"]


def _mark(store: Store, owner: Owner, place: str) -> None:
    """Mark a run as moved; an owner that lost its connection says that it owns the run, behind the mark."""
    value = {**whoami(), "durability": store.durability, "moved": place}
    draft = Draft("owner", "", json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    while moved_to(store.latest(owner.run, "owner")) != place:
        owner.commit([draft])


# -- the targets: each says what it is called and how a copy appears there -----------------------------------------


def _target(target: str | os.PathLike[str]) -> _Target:
    url = place_text(target)
    if is_server(url):
        return _in_database(url)
    return _as_directory(url) if url.endswith(os.sep) else _as_file(url)


def _as_file(url: str) -> _Target:
    path = _new_path(url)
    if url == "memory:" or "://" in url or path.suffix not in (".jsonl", *SQLITE_SUFFIXES):
        raise UsageError(f"{url}: name a new place: {_FORMATS}")

    @contextmanager
    def appear(source: Store) -> Iterator[Build]:  # noqa: ARG001  # a file is always synced
        with appearing(path) as temporary:
            yield lambda store: _write_file(store, temporary, path)

    return _Target(str(path), str(path), appear)


def _as_directory(url: str) -> _Target:
    path = _new_path(url)

    @contextmanager
    def appear(source: Store) -> Iterator[Build]:  # noqa: ARG001  # a directory is always synced
        with appearing_directory(path) as segment:
            yield lambda store: (write_jsonl(segment, ascending(store.entries())), False)

    place = f"{path}{os.sep}"
    return _Target(place, place, appear)


def _new_path(url: str) -> Path:
    path = Path(os.path.realpath(url))
    if not path.parent.is_dir():
        raise JournalMissing(f"{url} cannot be created: there is no directory {path.parent}")
    return path


def _write_file(store: Store, temporary: Path, path: Path) -> tuple[int, bool]:
    """Build the copy at ``temporary``, in the format that the target's name asks for."""
    if isinstance(store, SqliteStore) and path.suffix in SQLITE_SUFFIXES:
        return back_up(store, temporary), True
    write = write_sqlite if path.suffix in SQLITE_SUFFIXES else write_jsonl
    return write(temporary, store.entries()), False


def _in_database(url: str) -> _Target:
    require_psycopg()
    from leftoff.journal.postgres_copying import appearing_in
    from leftoff.journal.postgres_server import spelled_out

    @contextmanager
    def appear(source: Store) -> Iterator[Build]:
        with appearing_in(url, source.durability) as making:
            yield lambda store: (making.write(store.entries()), False)

    return _Target(url, spelled_out(url), appear)
