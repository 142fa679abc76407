"""Keep which query found which record, so that what came in can be told query by query.

1. It is noted with the list that a record is on, before the record itself is stored: a record that is found and not
   stored yet is what is still to be fetched, or absent, or a dead letter.
2. A record stays noted when its service finds it no longer; `left_at` is when that was noticed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from leftoff.papers.tables import now


def note_found(connection: sqlite3.Connection, source: str, query: str, identifiers: Sequence[int | str]) -> None:
    """Note that the query found these records; what is noted already costs no write. Nothing is noted of no query."""
    if query and identifiers:
        connection.execute(
            "INSERT INTO found (source, query, identifier, at)"
            " SELECT ?, ?, each.value, ? FROM json_each(?) AS each WHERE true"
            " ON CONFLICT (source, query, identifier) DO UPDATE SET left_at = NULL WHERE left_at IS NOT NULL",
            (source, query, now(), json.dumps(identifiers)),
        )


def note_left(connection: sqlite3.Connection, source: str, query: str, identifiers: Sequence[int | str]) -> None:
    """Note that the query finds these records no longer."""
    connection.execute(
        "UPDATE found SET left_at = ?"
        " WHERE source = ? AND query = ? AND identifier IN (SELECT value FROM json_each(?))",
        (now(), source, query, json.dumps(identifiers)),
    )
