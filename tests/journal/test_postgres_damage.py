"""P8 on PostgreSQL: rows that somebody changed behind our back are told, or change no answer."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from leftoff.errors import LeftoffError
from leftoff.journal.postgres import PostgresStore
from leftoff.testing.damage_judge import look
from tests.postgres import Server

DUMP = Path(__file__).parent.parent / "data" / "format-1" / "postgres.sql"
COLUMNS = {
    "journal": ["format", "id", "created", "sum"],
    "run": ["run", "name", "epoch", "seq", "sum", "mark", "done", "dead", "superseded", "row_sum"],
    "entry": ["seq", "run", "epoch", "at", "kind", "key", "value", "value_sum", "prev", "sum"],
}
TEXTS = {"id", "created", "name", "kind", "key", "value"}
ODD: dict[bool, list[Any]] = {
    True: ["", "x", "done", "dead", "open", "papers", "null", "{", "[1]", "9" * 5000, "[" * 100_000],
    False: [-1, 0, 1, 2, 3, 7, 60, 2**31 - 1, 2**62, -(2**63)],
}
CASES = 300


def restore(connection: psycopg.Connection[Any]) -> None:
    for table in COLUMNS:
        connection.execute(f"DELETE FROM leftoff.{table}")
        connection.execute(f"INSERT INTO leftoff.{table} SELECT * FROM kept.{table}")


def change(rng: random.Random, connection: psycopg.Connection[Any]) -> None:
    """Change, remove or double one row, as an UPDATE by hand may."""
    table = rng.choice(["entry", "entry", "run", "journal"])
    (row,) = rng.choice(connection.execute(f"SELECT ctid::text FROM leftoff.{table} ORDER BY 1").fetchall())
    column, what = rng.choice(COLUMNS[table]), rng.random()
    if what < 0.1:
        connection.execute(f"DELETE FROM leftoff.{table} WHERE ctid = %s::tid", (row,))
        return
    if what < 0.3:  # what another row has: right in itself, and in the wrong place
        value: Any = sql.SQL("(SELECT {} FROM leftoff.{} ORDER BY random() LIMIT 1)")
        value = value.format(sql.Identifier(column), sql.Identifier(table))
    else:
        value = sql.Literal(rng.choice(ODD[column in TEXTS]))
    statement = sql.SQL("UPDATE leftoff.{} SET {} = {} WHERE ctid = {}::tid")
    connection.execute(statement.format(sql.Identifier(table), sql.Identifier(column), value, sql.Literal(row)))


@contextmanager
def refusing(refused: list[str]) -> Iterator[None]:
    try:
        yield
    except LeftoffError as error:
        refused.append(str(error))


def answers(keys: dict[str, list[str]]) -> tuple[dict[str, Any], list[str]]:
    """What the journal tells, and what it refused to tell."""
    found: dict[str, Any] = {}
    refused: list[str] = []
    try:
        store = PostgresStore("postgresql:///")
    except LeftoffError as error:
        return {}, [str(error)]
    for name, ask in look(store, keys):
        with refusing(refused):
            found[name] = ask()
    refused += [damage.what for damage in store.verify()]
    store.close()
    return found, refused


def test_rows_changed_behind_our_back_are_told_or_change_nothing(postgres: Server) -> None:
    """Of some hundred changed, doubled and removed rows none lets the journal tell anything but what was written."""
    seed = int(os.environ.get("LEFTOFF_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}; repeat with LEFTOFF_SEED={seed}")
    counts: Counter[str] = Counter()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(DUMP.read_text("utf-8"))
        connection.execute("CREATE SCHEMA kept")
        for table in COLUMNS:
            connection.execute(f"CREATE TABLE kept.{table} AS SELECT * FROM leftoff.{table}")
        connection.execute("SELECT setseed(0.5)")
        store = PostgresStore("postgresql:///")
        keys = {run: [*store.keys(run, "done"), *store.keys(run, "dead")] for run in store.runs()}
        store.close()
        whole, refused = answers(keys)
        assert not refused
        for number in range(CASES):
            try:
                change(random.Random(f"{seed}/{number}"), connection)
            except (psycopg.DataError, psycopg.IntegrityError):
                counts["refused by the server"] += 1
                continue
            changed = [
                row
                for table in COLUMNS
                for one, two in (("leftoff", "kept"), ("kept", "leftoff"))
                for row in connection.execute(f"SELECT * FROM {one}.{table} EXCEPT SELECT * FROM {two}.{table}")
            ]
            found, refused = answers(keys)
            wrong = [name for name, answer in found.items() if answer != whole[name]]
            assert not wrong or refused, f"case {number} of seed {seed}: {wrong} after {changed}"
            assert bool(refused) == bool(changed), f"case {number} of seed {seed}: {refused} after {changed}"
            counts["told" if refused else "same"] += 1
            restore(connection)
        connection.execute("DROP SCHEMA kept CASCADE")
    print(dict(counts))
    assert counts["told"] > CASES / 2
