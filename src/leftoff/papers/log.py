"""Keep a progress log of papers in JSON Lines: one line a paper, for people and other programs to read.

1. The database is the truth, the log follows it: each line is a row of `event` that was committed before.
2. A kill leaves at most the last line torn, or lines missing at the end. Opening cuts the torn one and appends what the
   database has and the log has not, so a complete log never lacks a stored paper.
3. A log that another database wrote, or more than this one knows, is kept, and what it lacks of this one is appended.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, final

from leftoff.errors import JournalDamaged
from leftoff.papers import doi as dois

BEGINNING = b'{"seq": '
BLOCK = 1 << 16
CHUNK = 500  # lines appended by one write
COLUMNS = "seq, at, source, pmid, doi, what"
NOT_SENT = ("absent", "deleted")  # what is said of a record that the service did not send


class Event(NamedTuple):
    """Be what happened to a record, which becomes a line of the log; the columns of the table."""

    at: str
    source: str
    pmid: int | None
    doi: str | None
    what: str


def note(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Write events down, in this order; they commit with the caller's entries."""
    connection.executemany("INSERT INTO event (at, source, pmid, doi, what) VALUES (?, ?, ?, ?, ?)", events)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Iterate the whole lines of a log; a torn last line is passed over.

    Raises JournalDamaged, with the number of the line, for a line that is not one of ours.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            yield _parsed(path, number, line)


def wanted(path: Path, source: str) -> Iterator[dict[str, Any]]:
    """Iterate the lines of a log that tell of a service's records, without those that the service did not send."""
    return (line for line in read(path) if line["source"] == source and line.get("what") not in NOT_SENT)


@final
class ProgressLog:
    """Append the events of a database to its log, from where the log ends.

    path: the log, made if absent (0600). connection: reads the database; nothing is written through it but a temporary
    table. Use as a context manager; call `follow` after each commit.

    Raises JournalDamaged for a file that is no such log.
    """

    def __init__(self, path: str | os.PathLike[str], connection: sqlite3.Connection) -> None:
        self.path = Path(path)
        self._connection = connection
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            self._seq = self._complete(self._cut())
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> ProgressLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def follow(self) -> None:
        """Append what was committed since; a kill in here costs lines that the next opening appends."""
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM event WHERE seq > ? ORDER BY seq",  # noqa: S608  (names of our own)
            (self._seq,),
        )
        while chunk := rows.fetchmany(CHUNK):
            self._append(chunk)
            self._seq = chunk[-1][0]

    def _complete(self, last: dict[str, Any] | None) -> int:
        """Append what the log lacks and return the last event that it has."""
        self._seq = 0
        if last is not None:
            known = self._connection.execute(
                f"SELECT {COLUMNS} FROM event WHERE seq = ?",  # noqa: S608  (names of our own)
                (last.get("seq"),),
            ).fetchone()
            if known is not None and _line(known) == last:
                self._seq = known[0]
            else:
                self._append_lacking()
                return self._seq
        self.follow()
        return self._seq

    def _append_lacking(self) -> None:
        """Append each event that no line tells of, comparing on disk: the log may be larger than memory."""
        run = self._connection.execute
        run("CREATE TEMP TABLE IF NOT EXISTS logged (key TEXT, at TEXT, PRIMARY KEY (key, at)) WITHOUT ROWID")
        run("DELETE FROM temp.logged")
        self._connection.executemany(
            "INSERT OR IGNORE INTO temp.logged VALUES (?, ?)", ((line["key"], line["at"]) for line in read(self.path))
        )
        rows = run(
            f"SELECT {COLUMNS} FROM event WHERE NOT EXISTS"  # noqa: S608  (names of our own)
            " (SELECT 1 FROM temp.logged WHERE logged.at = event.at AND logged.key ="
            " CASE WHEN event.pmid IS NULL THEN 'doi:' || event.doi ELSE 'pmid:' || event.pmid END) ORDER BY seq"
        )
        while chunk := rows.fetchmany(CHUNK):
            self._append(chunk)
        self._seq = run("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0]
        run("DROP TABLE temp.logged")

    def _append(self, rows: Iterable[tuple[Any, ...]]) -> None:
        data = b"".join(json.dumps(_line(row), ensure_ascii=False).encode() + b"\n" for row in rows)
        while data:
            data = data[os.write(self._fd, data) :]

    def _cut(self) -> dict[str, Any] | None:
        """Cut a torn last line off and return the last whole one, None if there is none."""
        size = start = os.fstat(self._fd).st_size
        tail = b""
        while start > 0 and tail.count(b"\n") < 2:
            start = max(0, start - BLOCK)
            tail = os.pread(self._fd, size - start, start)
        whole = tail[: tail.rfind(b"\n") + 1]
        if not whole and start > 0:
            raise JournalDamaged(f"{self.path} has no line in {size} bytes: it is no progress log; name another file")
        last = _parsed(self.path, None, whole.splitlines()[-1]) if whole else None
        if last is None and not tail.startswith(BEGINNING[: len(tail)]):
            raise JournalDamaged(f"{self.path} is no progress log: name another file")
        if len(whole) < len(tail):  # only now: what is not ours is never cut
            os.ftruncate(self._fd, start + len(whole))
        return last


def _line(row: tuple[Any, ...]) -> dict[str, Any]:
    seq, at, source, pmid, doi, what = row
    digest = dois.digest(doi) if doi else None
    return {
        "seq": seq, "key": f"doi:{doi}" if pmid is None else f"pmid:{pmid}", "source": source, "pmid": pmid, "doi": doi,
        "doi_hash": digest, "what": what, "at": at,
    }  # fmt: skip


def _parsed(path: Path, number: int | None, line: bytes) -> dict[str, Any]:
    where = "its last line" if number is None else f"line {number}"
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if isinstance(value, dict) and "source" not in value:  # a line that names none is PubMed's
        value |= {"source": "pubmed", "key": f"pmid:{value.get('pmid')}"}
    if not isinstance(value, dict) or not isinstance(value.get("at"), str) or not _names_a_record(value):
        raise JournalDamaged(f"{path}: {where} is no line of a progress log; name another file, or repair that line")
    return value


def _names_a_record(line: dict[str, Any]) -> bool:
    """Say whether a line has what its service knows the record by."""
    if line["source"] == "pubmed":
        return isinstance(line.get("pmid"), int)
    return line["source"] == "crossref" and dois.normal(str(line.get("doi"))) == line.get("doi")
