"""What a folder tells of a program that worked in it: the items its journals and its ledger name, and its files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import leftoff
from leftoff.errors import NotAJournal
from leftoff.testing.kills import count, read_ledger
from leftoff.work.journal import SQLITE_SUFFIXES

LEDGER: Final = "ledger"
"""The name under which a program may keep a `Ledger` in its folder."""

SUFFIXES: Final = (".jsonl", *SQLITE_SUFFIXES)
"""How the names of journals end."""

Compare = Sequence[str] | Callable[[Path], Any]


@dataclass
class Story:
    """Be what became of the items: done, dead, worked on again though done, and how often work began anew."""

    done: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    redone: set[str] = field(default_factory=set)
    repeats: int = 0


def read_story(folder: Path) -> Story:
    """Read all journals in a folder, and its ledger. Raise LeftoffError for one that is damaged."""
    story = Story()
    for place in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file()):
        with suppress(NotAJournal), leftoff.open(place, create=False) as journal:  # it may be a file of the program's
            for damage in journal.verify():
                raise leftoff.JournalDamaged(f"{place}: {damage}")
            _add(story, place.relative_to(folder), journal)
    ledger = count(read_ledger(folder / LEDGER))
    story.done |= {f"{LEDGER}: {key}" for key in ledger.acknowledged}
    story.redone |= {f"{LEDGER}: {key}" for key in ledger.redone}
    story.repeats = max(story.repeats, ledger.repeats)  # both tell of the same work
    return story


def _add(story: Story, place: Path, journal: leftoff.Journal) -> None:
    state: dict[str, str] = {}
    for entry in journal.entries():
        item = f"{place}: {entry.run}: {entry.key}"
        before = state.get(item)
        if entry.kind == "started":
            story.repeats += before == "started"
            if before == "done":
                story.redone.add(item)
        if entry.kind in ("started", "done", "failed", "dead", "released", "retried", "forgotten"):
            state[item] = entry.kind
    story.done |= {item for item, kind in state.items() if kind == "done"}
    story.dead |= {item for item, kind in state.items() if kind == "dead"}


def read_result(folder: Path, compare: Compare) -> Any:
    """Read what is to be the same after a kill: some files of the folder, or whatever a function reads."""
    if callable(compare):
        return compare(folder)
    return {name: _content(folder / name) for name in compare}


def _content(path: Path) -> Any:
    """Return a file's bytes, a database's rows in no order, None for nothing."""
    if not path.exists():
        return None
    if path.suffix not in SQLITE_SUFFIXES:
        return path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: sorted(map(repr, connection.execute(f'SELECT * FROM "{table}"'))) for table in _tables(connection)
        }


def _tables(connection: sqlite3.Connection) -> Iterator[str]:
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if not name.startswith(("leftoff_", "sqlite_")):
            yield name.replace('"', '""')


def told_apart(whole: Any, killed: Any) -> str:
    """Say where a result differs from that of the uninterrupted run."""
    if isinstance(whole, dict) and isinstance(killed, dict) and whole.keys() == killed.keys():
        names = [str(name) for name in whole if whole[name] != killed[name]]
        return f"{', '.join(names)}: not as after an uninterrupted run"
    return f"compare returned {killed!r:.200}, and {whole!r:.200} after an uninterrupted run"
