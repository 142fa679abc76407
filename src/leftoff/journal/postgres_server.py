"""The server: how it is reached, the schema `leftoff` in it, and what PostgreSQL's errors mean for a journal.

1. Passwords stay in the connection: a place is named without them.
2. What is found under our names must be what we would have created: a view, a rule or a trigger under them would be
   code run by reading.
3. Between us and the server there must be no pooler that hands a transaction to any connection: a lock on a run belongs
   to one.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote
from zlib import crc32

import psycopg
from psycopg.rows import tuple_row

from leftoff.errors import (
    DurabilityUnavailable,
    JournalBusy,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLost,
    JournalReadOnly,
    JournalTooNew,
    JournalUnreachable,
    NotAJournal,
    UsageError,
)
from leftoff.journal.entry import FORMAT
from leftoff.journal.postgres_connection import Guarded
from leftoff.journal.rows import IS_FATE, IS_NAMED, Dialect, Fetch
from leftoff.journal.store import Durability, redacted

_INDEXED: Final = 600  # characters of a key in an index: a row of an index has at most 2,704 bytes
SCHEMA: Final = (
    "CREATE SCHEMA IF NOT EXISTS leftoff",
    """CREATE TABLE leftoff.journal (
  format integer NOT NULL, id text NOT NULL, created text NOT NULL, sum bigint NOT NULL)""",
    """CREATE TABLE leftoff.run (
  run integer PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, epoch bigint NOT NULL, seq bigint NOT NULL,
  sum bigint NOT NULL, mark bigint NOT NULL, done bigint NOT NULL, dead bigint NOT NULL,
  superseded bigint NOT NULL, row_sum bigint NOT NULL) WITH (fillfactor = 50)""",
    """CREATE TABLE leftoff.entry (
  seq bigint NOT NULL, run integer NOT NULL, epoch bigint NOT NULL, at bigint NOT NULL,
  kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, value text, value_sum bigint NOT NULL,
  prev bigint NOT NULL, sum bigint NOT NULL, PRIMARY KEY (run, seq))""",
    "CREATE SEQUENCE leftoff.seq",
)
INDEXES: Final = (
    f"CREATE INDEX fate ON leftoff.entry (run, left(key, {_INDEXED}), seq) WHERE {IS_FATE.format('')}",
    f"CREATE INDEX named ON leftoff.entry (run, kind, left(key, {_INDEXED}), seq) WHERE {IS_NAMED}",
)
"""What the journal consists of, as docs/format.md section 4 has it."""

_SHAPE: Final = (
    "entry.seq bigint,entry.run integer,entry.epoch bigint,entry.at bigint,entry.kind text,entry.key text,"
    "entry.value text,entry.value_sum bigint,entry.prev bigint,entry.sum bigint,"
    "journal.format integer,journal.id text,journal.created text,journal.sum bigint,"
    "run.run integer,run.name text,run.epoch bigint,run.seq bigint,run.sum bigint,run.mark bigint,run.done bigint,"
    "run.dead bigint,run.superseded bigint,run.row_sum bigint"
)
_LOOK_AT_SHAPE: Final = (
    "SELECT string_agg(c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ','"
    " ORDER BY c.relname COLLATE \"C\", a.attnum), bool_or(c.relkind <> 'r' OR c.relhasrules OR c.relhastriggers"
    " OR c.relrowsecurity) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relnamespace ="
    " (SELECT oid FROM pg_namespace WHERE nspname = 'leftoff') AND c.relname IN ('journal', 'run', 'entry')"
    " AND a.attnum > 0 AND NOT a.attisdropped"
)
_SETTINGS: Final = {
    "idle_session_timeout": "0", "idle_in_transaction_session_timeout": "0", "client_encoding": "UTF8",
    "tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
}  # fmt: skip
_READING: Final = {
    "default_transaction_read_only": "on", "statement_timeout": "0", "jit": "off", "enable_seqscan": "off",
    "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_bitmapscan": "off", "enable_sort": "off",
}  # fmt: skip
"""The journal's own questions all have an index; statistics that are not there yet must not say otherwise."""

Connection = TypeVar("Connection", bound="psycopg.Connection[Any]")
PATIENCE: Final = 30.0  # seconds: how long a server that restarts is waited for, and a lock of a client that is gone


def spelled_out(url: str) -> str:
    """Return a URL without passwords that names the same database wherever it is read: defaults are written out."""
    connection = connect(Guarded, url)
    try:
        given, info = psycopg.conninfo.conninfo_to_dict(url), connection.info
        host, port = str(given.get("host") or info.host), str(given.get("port") or info.port)
        user, name = quote(str(given.get("user") or info.user), ""), quote(info.dbname, "")
    finally:
        connection.close_for_good()
    if re.fullmatch(r"[\w.-]+", host):
        return f"postgresql://{user}@{host}:{port}/{name}"
    return f"postgresql://{user}@/{name}?host={quote(host, '')}&port={quote(port, '')}"


def connect(kind: type[Connection], url: str, *, reading: bool = False, patience: float = 0.0) -> Connection:
    """Open a connection in autocommit mode, prepared for the journal.

    patience: seconds for which a server that does not answer is asked again. Raise `JournalUnreachable`, and
    UsageError for a URL that is none or that leads to a pooler.
    """
    place, end = redacted(url), time.monotonic() + patience
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise UsageError(
            f"{place} is not a URL that PostgreSQL understands: postgresql://user@host:5432/name"
        ) from None
    keep = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
    options: dict[str, Any] = {name: value for name, value in keep.items() if name not in given}
    options.setdefault("connect_timeout", given.get("connect_timeout", 10))
    while True:
        try:
            return _prepared(kind.connect(url, autocommit=True, **options), place, reading=reading)
        except psycopg.OperationalError as error:  # noqa: PERF203  # each try is a second apart at most
            if time.monotonic() >= end:
                raise JournalUnreachable(
                    f"{place}: the server cannot be reached ({_line(error)}); everything committed is kept there: see"
                    " that it runs, and start again"
                ) from error
            time.sleep(0.1)


def _prepared(connection: Connection, place: str, *, reading: bool) -> Connection:
    settings = {**_SETTINGS, **(_READING if reading else {})}
    try:
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            cursor.execute(
                "SELECT pg_backend_pid(), current_setting('server_encoding'), count(set_config(name, value, false))"
                " FROM unnest(%s::text[], %s::text[]) AS wanted (name, value) JOIN pg_settings AS known USING (name)",
                (list(settings), list(settings.values())),
            )
            pid, encoding, _ = cursor.fetchall()[0]
        _check_server(place, encoding, direct=pid == connection.pgconn.backend_pid)
    except BaseException:
        connection.pgconn.finish()
        raise
    return connection


def _check_server(place: str, encoding: str, *, direct: bool) -> None:
    if not direct:
        raise UsageError(
            f"{place} leads to a pooler (such as pgbouncer), which may give each transaction another connection; a"
            " lock on a run belongs to one: name the server itself"
        )
    if encoding != "UTF8":
        raise UsageError(f"{place}: the database is encoded in {encoding}; make one with ENCODING 'UTF8'")


def check_durability(fetch: Fetch, place: str, durability: Durability) -> None:
    """Raise `DurabilityUnavailable` where the server does not give what was asked."""
    if durability == "power":
        for setting in ("fsync", "full_page_writes"):
            if (value := fetch(f"SHOW {setting}", ())[0][0]) != "on":
                raise DurabilityUnavailable(
                    f"{place}: the server runs with {setting}={value}, so that a power failure may take what was"
                    f" committed; set {setting}=on, or ask for durability='process'"
                )


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Let whatever psycopg or damaged bytes raise inside surface as a `JournalError`."""
    try:
        yield
    except JournalError:
        raise
    except (psycopg.Error, UnicodeError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise translate(error, place) from error


def translate(error: Exception, place: str) -> JournalError:
    """Return what an error from below means for the journal."""
    if not isinstance(error, psycopg.Error):
        return damaged(place, f"{type(error).__name__}: {error}")
    state = error.sqlstate or ""
    for prefix, (kind, what) in _MEANINGS.items():
        if state.startswith(prefix):
            return kind(f"{place}: {what} ({_line(error)})")
    if isinstance(error, psycopg.OperationalError) and (not state or state.startswith(_LOST)):
        return JournalUnreachable(
            f"{place}: the connection was lost ({_line(error)}); everything committed is kept: start again"
        )
    return JournalError(f"{place}: the database refused ({_line(error)}); nothing of it was written")


_MEANINGS: Final[dict[str, tuple[type[JournalError], str]]] = {
    "42501": (JournalReadOnly, "this user may not write the schema leftoff; grant it, or use another user"),
    "25006": (JournalReadOnly, "this server can only be read; name the one that can be written"),
    "53100": (JournalFull, "the server has no space left; everything committed before is intact"),
    "55P03": (JournalBusy, "another session holds the run's row for too long; end it and start again"),
    "XX": (JournalDamaged, "the database is damaged; restore a copy"),
    "42P01": (JournalLost, "the journal's tables were dropped while it was open; put them back or start again"),
    "3F000": (JournalLost, "the schema leftoff was dropped while it was open; put it back or start again"),
}
_LOST: Final = ("08", "57P")
"""How the server says that a session is over; where it said nothing, psycopg found the connection broken."""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def damaged(place: str, what: str) -> JournalDamaged:
    """Return the error for rows that are not what was written."""
    return JournalDamaged(f"{place}: {what}; nothing was changed. Restore a copy, or look with: leftoff verify {place}")


def _one_key(key: str) -> tuple[str, tuple[Any, ...]]:
    return f"left(key, {_INDEXED}) = ? AND key = ?", (key[:_INDEXED], key)


def _many_keys(keys: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    return f"left(key, {_INDEXED}) = ANY(?) AND key = ANY(?)", ([key[:_INDEXED] for key in keys], list(keys))


POSTGRES: Final = Dialect(
    runs="leftoff.run",
    entries="leftoff.entry",
    summed="concat_ws('|', seq, run, epoch, at, kind, value_sum, key)",
    by_fate="",
    by_named="",
    by_seq="",
    newest="SELECT coalesce(max(seq), 0) FROM leftoff.run",
    same_key=f"left(later.key, {_INDEXED}) = left(e.key, {_INDEXED}) AND later.key = e.key",
    page=2000,  # measured: with 300 a sixth slower, and that without a network between
    one_key=_one_key,
    many_keys=_many_keys,
    translated=translated,
    damaged=damaged,
)
"""What is particular to PostgreSQL in reading rows."""


def read_header(fetch: Fetch, place: str) -> str | None:
    """Return the journal's id, from its checked header; None for a database that holds no journal yet."""
    shape, odd = fetch(_LOOK_AT_SHAPE, ())[0]
    if shape is None:
        return None
    rows = (
        fetch("SELECT format, id, created, sum FROM leftoff.journal", ()) if "journal.format integer" in shape else []
    )
    if len(rows) == 1 and rows[0][0] > FORMAT:
        raise JournalTooNew(
            f"{place} was written in format {rows[0][0]}; this release reads up to {FORMAT}: upgrade leftoff."
            " The database is untouched"
        )
    if shape != _SHAPE or odd:
        kind = NotAJournal if not rows else JournalDamaged
        raise kind(f"{place}: the tables of the schema leftoff are not those that leftoff creates; nothing was changed")
    if len(rows) != 1 or header_sum(*rows[0][:3]) != rows[0][3]:
        raise damaged(place, "the journal's header is not what was written")
    return str(rows[0][1])


def create_tables(own: Callable[..., psycopg.Cursor[Any]], more: Sequence[str] = ()) -> str:
    """Create an empty journal in the open transaction, with the statements that come behind its tables.

    Return its id.
    """
    journal_id, created = secrets.token_hex(8), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    missing = own("SELECT 1 FROM pg_namespace WHERE nspname = 'leftoff'").fetchone() is None
    for sql in (*SCHEMA[0 if missing else 1 :], *more):
        own(sql)
    header = (FORMAT, journal_id, created, header_sum(FORMAT, journal_id, created))
    own("INSERT INTO leftoff.journal (format, id, created, sum) VALUES (?, ?, ?, ?)", header)
    return journal_id


def header_sum(version: int, journal_id: str, created: str) -> int:
    """Return the checksum of the header row."""
    return crc32(f"{version}|{journal_id}|{created}".encode())
