"""What a file holds, as records that can be compared: lines, rows, keys of a journal, a JSON value, or bytes.

The uninterrupted run decides how a file is read; one that cannot be read so any more is `Unreadable`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from leftoff.errors import LeftoffError
from leftoff.journal.entry import CONCLUSIONS, SUPERSEDING
from leftoff.journal.segments_header import HEADER as SEGMENTS_HEADER
from leftoff.work.journal import SQLITE_SUFFIXES
from leftoff.work.journal import open as open_journal

_SQLITE: Final = b"SQLite format 3\0"
_JOURNAL: Final = b'{"leftoff":"journal"'
_SEGMENTS: Final = b'{"leftoff":"segments"'


class Record(NamedTuple):
    """Be one line, row or key: ``key`` is None where records of this kind have none, ``text`` is what is compared."""

    key: str | None
    text: str


class Part(NamedTuple):
    """Be the records of a file, or of one table or run in it; ``ordered``: their order says something."""

    records: list[Record]
    ordered: bool = False


class Unreadable(Exception):
    """Say that a file cannot be read as what it was in the uninterrupted run."""


Parts = dict[str, Part]
"""The parts of a file; the name of the only part is ""."""


class Kind(NamedTuple):
    """Be one way to read a file: whether it is one of these, and its parts; ``ignore`` is what to leave out of it."""

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, frozenset[str]], Parts]


def _begins(path: Path, with_: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(with_)) == with_


def _is_journal(path: Path) -> bool:
    if path.is_dir():
        return _begins(path / SEGMENTS_HEADER, _SEGMENTS)
    if path.suffix == ".jsonl":
        return _begins(path, _JOURNAL)
    return path.suffix in SQLITE_SUFFIXES and _begins(path, _SQLITE) and "leftoff_journal" in _all_tables(path)


def _read_journal(path: Path, ignore: frozenset[str]) -> Parts:
    """Return the fates, steps and cursors of each run, and the user's own tables beside them."""
    runs: dict[str, dict[str, str]] = {}
    try:
        with open_journal(path, create=False) as journal:
            for entry in journal.entries():
                if entry.kind in ignore:
                    continue
                _fold(runs.setdefault(f"run {entry.run}", {}), entry.kind, entry.key, entry.value)
    except LeftoffError as error:
        raise Unreadable(str(error)) from error
    parts = {name: Part([Record(key, text) for key, text in held.items()]) for name, held in runs.items()}
    return parts | (_read_sqlite(path, ignore) if _is_sqlite(path) else {})


def _fold(held: dict[str, str], kind: str, key: str, value: Any) -> None:
    """Bring what a run holds up to date with one more entry."""
    if kind in CONCLUSIONS:
        # The tries and the trace of a dead letter tell of the kills themselves.
        held[f"item {key}"] = f"done: {_json(value)}" if kind == "done" else kind
    elif kind in SUPERSEDING:
        held.pop(f"item {key}", None)
    elif kind in ("step", "cursor"):
        held[f"{kind} {key}"] = _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _is_sqlite(path: Path) -> bool:
    return _begins(path, _SQLITE)


def _all_tables(path: Path) -> list[str]:
    try:
        with closing(sqlite3.connect(path)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    except sqlite3.DatabaseError:
        return []
    return [name for (name,) in names]


def _read_sqlite(path: Path, ignore: frozenset[str]) -> Parts:
    try:
        with closing(sqlite3.connect(path)) as connection:
            # What the file holds may be no UTF-8; it is compared, not shown.
            connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            names = [name for name in _all_tables(path) if not name.startswith(("leftoff_", "sqlite_"))]
            return {f"table {name}": _table(connection, name, ignore) for name in names if f"{name}.*" not in ignore}
    except sqlite3.Error as error:
        raise Unreadable(f"cannot be read as an SQLite database any more: {error}") from error


def _table(connection: sqlite3.Connection, name: str, ignore: frozenset[str]) -> Part:
    columns = connection.execute(f"PRAGMA table_info({_quoted(name)})").fetchall()
    kept = [(column, place) for _, column, _, _, _, place in columns if ignore.isdisjoint((column, f"{name}.{column}"))]
    if not kept:
        return Part([])
    listed = ", ".join(_quoted(column) for column, _ in kept)
    rows = connection.execute(f"SELECT {listed} FROM {_quoted(name)}")  # noqa: S608  # names are quoted
    in_key = [number for number, (_, place) in enumerate(kept) if place]
    if len(in_key) < sum(1 for *_, place in columns if place):
        in_key = []  # a key without one of its columns tells no two rows apart
    return Part([_row([column for column, _ in kept], in_key, row) for row in rows])


def _row(columns: list[str], in_key: list[int], values: tuple[Any, ...]) -> Record:
    """Return a row with the names of its columns, so that what is to be ignored can be seen."""
    text = ", ".join(f"{column}={value!r}" for column, value in zip(columns, values, strict=True))
    return Record(str([values[number] for number in in_key]) if in_key else None, text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_json(path: Path) -> bool:
    if path.suffix != ".json":
        return False
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _read_json(path: Path, _: frozenset[str]) -> Parts:
    """Return the members of an object, the elements of an array, or the one value."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise Unreadable(f"is no JSON any more: {error}") from error
    if isinstance(value, dict):
        return {"": Part([Record(key, _json(member)) for key, member in value.items()])}
    if isinstance(value, list):
        return {"": Part([Record(None, _json(element)) for element in value], ordered=True)}
    return {"": Part([Record("its value", _json(value))])}


def _is_text(path: Path) -> bool:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _read_lines(path: Path, _: frozenset[str]) -> Parts:
    lines = path.read_bytes().decode("utf-8", "backslashreplace").split("\n")
    if lines[-1] == "":
        del lines[-1]
    else:
        lines[-1] += " (no line end)"  # a torn last line is not the whole one
    return {"": Part([Record(None, line) for line in lines], ordered=True)}


def _read_bytes(path: Path, _: frozenset[str]) -> Parts:
    data = path.read_bytes()
    return {"": Part([Record("its bytes", f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}")])}


KINDS: Final = (
    Kind("leftoff journal", _is_journal, _read_journal),
    Kind("SQLite database", _is_sqlite, _read_sqlite),
    Kind("JSON value", _is_json, _read_json),
    Kind("lines", _is_text, _read_lines),
    Kind("bytes", lambda _: True, _read_bytes),
)
"""The first that recognises a file reads it."""

_SIDES: Final = re.compile(r"(.+?)(?:\.lock|-wal|-shm|-journal|\.torn-\d+)")
"""What a journal or database keeps beside itself: part of it, or of nothing."""


def kind_of(path: Path) -> Kind:
    """Return how a file is read."""
    return next(kind for kind in KINDS if kind.recognises(path))


def without_sides(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the names of files without those of what a journal or database keeps beside itself."""

    def beside(name: str) -> bool:
        match = _SIDES.fullmatch(name)
        return match is not None and any(_begins(folder / match[1], magic) for magic in (_SQLITE, _JOURNAL, _SEGMENTS))

    return [name for name in names if not beside(name)]


def things(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the names of what is compared as one: a directory of segments in place of the files in it."""
    found: dict[str, None] = {}
    for name in names:
        above = [str(parent) for parent in PurePosixPath(name).parents][:-1]
        found[next((parent for parent in above if _is_journal(folder / parent)), name)] = None
    return list(found)
