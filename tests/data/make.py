"""Write the journals of a format's folder, as the release that brought the format writes them.

Run once for each format, by hand, in the new folder: ``python ../make.py``, with an empty PostgreSQL database at
``postgresql:///``. What it wrote is never written again.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import leftoff


def fill(place: str, durability: Any) -> None:
    """Let two runs have entries of every kind."""

    def work(key: str) -> Any:
        if key == "always fails":
            raise ValueError("no such paper")
        return {"plain": None, "bytes": b"\x00\xff", "ünïcode 😀": {"$x": ["ü", 1.5]}}.get(key, {"key": key})

    with leftoff.open(place, durability=durability) as journal:
        run = journal.run("papers")
        run.step("build-index", lambda version: {"version": version}, "v2")
        list(run.map(work, ["plain", "bytes", "ünïcode 😀", "always fails"], attempts=1, progress=False))
        cursor = run.cursor("since", start="2026-01-01")
        for key in run.each(["line\nbreak", "forgotten"], progress=False):
            cursor.advance(f"2026-02 {key}")
        run.forget(["forgotten"])
        run.retry(["always fails"])
        list(run.map(work, ["always fails", "more"], attempts=1, progress=False))
        for _ in journal.run("batched ü").batches(range(12), size=4, progress=False):
            pass
        for key in run.each(["given back"], progress=False):
            print(place, key)
            break


def kill(place: str, durability: Any) -> None:
    """Do some more, and die with an item in hand."""
    if os.fork() == 0:
        for key in leftoff.open(place, durability=durability).run("papers").each("xyz", progress=False):
            if key == "z":
                os.kill(os.getpid(), signal.SIGKILL)
    os.wait()


def dump() -> str:
    """Return the statements that make the journal in PostgreSQL anew, as they are in this release."""
    import psycopg
    from psycopg import sql

    from leftoff.journal.postgres_server import SCHEMA

    statements = [*SCHEMA]
    with psycopg.connect("postgresql:///") as connection:
        for table in ("journal", "run", "entry"):
            for row in connection.execute(f"SELECT * FROM leftoff.{table} ORDER BY 1, 2"):
                values = sql.SQL(", ").join(map(sql.Literal, row)).as_string(connection)
                statements.append(f"INSERT INTO leftoff.{table} VALUES ({values})")
        (last,) = connection.execute("SELECT last_value FROM leftoff.seq").fetchone() or (1,)
    return ";\n".join([*statements, f"SELECT setval('leftoff.seq', {last})"]) + ";\n"


def main() -> None:
    fill("power.jsonl", "power")
    fill("process.jsonl", "process")
    kill("process.jsonl", "process")
    fill("closed.db", "power")
    fill("killed.db", "power")
    kill("killed.db", "power")
    fill("segments/", "power")
    kill("segments/", "power")
    fill("postgresql:///", "power")  # the environment says where that is
    kill("postgresql:///", "power")
    Path("postgres.sql").write_text(dump(), "utf-8")
    for rest in (*Path().rglob("*.lock"), *Path().glob("*-shm")):
        rest.unlink()


if __name__ == "__main__":
    sys.exit(main())
