"""The user's connection: their rows commit with the item's entry, or not at all.

1. Outside an item it is plain autocommit. Inside one, the first use opens one transaction; only the owner ends it:
   `commit()` is absorbed, `rollback()` takes back what the item wrote, SQL that would end it is refused before it is
   sent.
2. Whether the transaction still stands is known without asking the server. If it does not, the next use is refused, and
   so is the item's commit.
3. A forked child neither uses nor closes it: what it would send is the parent's.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from leftoff.errors import ForkedHandle, TransactionEnded, UsageError, WrongThread

_ENDS: Final = "leftoff commits what the item wrote together with its done entry"
_QUOTED: Final = re.compile(
    r"""--[^\n]*|/\*(?:(?!/\*|\*/).)*\*/|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$([^\W\d]\w*|)\$.*?\$\1\$""",
    re.DOTALL,
)
_ENDING: Final = re.compile(
    r"(begin|start|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b)|discard)\b",
    re.IGNORECASE,
)
_OURS: Final = re.compile(r'(?:\b|")leftoff"?\s*\.\s*"?(?:journal|run|entry|seq)\b', re.IGNORECASE)
_READING: Final = re.compile(r"(select|table|explain|show)\b", re.IGNORECASE)
_alive: weakref.WeakSet[Guarded] = weakref.WeakSet()


def refusal_of(sql: str) -> str | None:
    """Return why a user's SQL is refused, None where it is not. Every statement of the text is looked at."""
    before = None
    while before != sql:  # comments nest, so from the innermost on
        before, sql = sql, _QUOTED.sub(" ", sql)
    for statement in sql.split(";"):
        text = statement.strip(" \t\r\n(")
        if found := _ENDING.match(text):
            return f"{found[0].upper()} is refused on this connection: {_ENDS}"
        if _OURS.search(text) and not _READING.match(text):
            return "tables of the schema leftoff are the journal's own; only leftoff writes them"
    return None


class Guarded(psycopg.Connection[Any]):
    """Be a connection that a forked child neither uses nor closes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Open as `psycopg.Connection` does."""
        super().__init__(*arguments, **options)
        self.pid = os.getpid()
        _alive.add(self)

    def own(self, sql: str, parameters: Any = ()) -> psycopg.Cursor[Any]:
        """Execute a statement of the journal's, whatever factories the user has set; binary, for speed."""
        cursor = psycopg.Cursor(self, row_factory=tuple_row)
        return cursor.execute(sql.replace("?", "%s"), parameters, prepare=True, binary=True)

    def close_for_good(self) -> None:
        """Close, also where the user may not; nothing in a forked child."""
        if os.getpid() == self.pid and not self.closed:
            super().close()

    def __del__(self, *_: Any) -> None:
        """Close without a warning: a process that dies leaves its connections so, too."""
        if hasattr(self, "pgconn") and getattr(self, "pid", None) == os.getpid():
            self.pgconn.finish()


def _leave_to_parent() -> None:
    """Take the inherited sockets away: the server must see the parent's end, and hear nothing from the child."""
    null = os.open(os.devnull, os.O_RDWR)
    for connection in list(_alive):
        if not connection.closed:
            os.dup2(null, connection.pgconn.socket)
    os.close(null)


os.register_at_fork(after_in_child=_leave_to_parent)


class _Admitted:
    """Let each statement of a cursor in through its connection."""

    connection: Any

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """Execute a statement, inside the item where there is one."""
        self.connection.admit(query)
        return super().execute(query, *arguments, **options)  # type: ignore[misc]

    def executemany(self, query: Any, *arguments: Any, **options: Any) -> Any:
        """Execute a statement for each of many parameters, inside the item where there is one."""
        self.connection.admit(query)
        return super().executemany(query, *arguments, **options)  # type: ignore[misc]

    def stream(self, query: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        """Iterate the rows of a query as they come."""
        self.connection.admit(query)
        yield from super().stream(query, *arguments, **options)  # type: ignore[misc]

    def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
        """Copy many rows, inside the item where there is one."""
        self.connection.admit(statement)
        return super().copy(statement, *arguments, **options)  # type: ignore[misc]


class Cursor(_Admitted, psycopg.Cursor[Any]):
    """Be a cursor of the user's connection."""


class ServerCursor(_Admitted, psycopg.ServerCursor[Any]):
    """Be a named cursor of the user's connection."""


class Connection(Guarded):
    """Be the user's connection to the journal's database, for the thread that owns the run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin with nothing in hand."""
        super().__init__(*arguments, **options)
        self.cursor_factory = Cursor
        self.server_cursor_factory = ServerCursor
        self.thread = threading.get_ident()
        self.in_item = False  # an item is in hand
        self.opened = False  # … and its transaction was begun

    # -- for the owner -------------------------------------------------------------------------------------------

    @property
    def status(self) -> TransactionStatus:
        """Where the connection stands, as the server said last."""
        return TransactionStatus(self.pgconn.transaction_status)

    def begin_item(self) -> None:
        """Say that an item begins, in this thread."""
        self.thread = threading.get_ident()
        self.in_item, self.opened = True, False

    def end_item(self) -> None:
        """Say that the item's rows are committed or taken back."""
        self.in_item = self.opened = False

    def end_transaction(self) -> None:
        """Commit; the server answers a COMMIT that did not with another word."""
        if self.own("COMMIT").statusmessage != "COMMIT":
            raise TransactionEnded(f"the database has rolled this item back instead of committing it; {_ENDS}")

    def undo_transaction(self) -> None:
        """Roll back, if there is anything to roll back."""
        if not self.closed and self.status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            self.own("ROLLBACK")

    def check_not_ended(self) -> None:
        """Raise `TransactionEnded` if a statement has ended the item's transaction."""
        if self.opened and not self.closed and self.status == TransactionStatus.IDLE:
            raise TransactionEnded(
                "a statement has ended this item's transaction, so what the item wrote is no longer one with its entry;"
                " let the error out of the item so that it is tried again"
            )

    def admit_commit(self) -> None:
        """Raise if this thread may not end the item, or its transaction cannot be committed."""
        thread = threading.get_ident()
        if thread != self.thread:
            if self.in_item:
                raise WrongThread("an item is committed by the thread that began it; this one did not")
            self.thread = thread
        self.check_not_ended()
        if self.opened and self.status == TransactionStatus.INERROR:
            raise TransactionEnded(
                "a statement of this item failed, and PostgreSQL has given up all that it wrote; let the error out, or"
                " put what may fail under with connection.transaction()"
            )

    def has_rows(self) -> bool:
        """Return whether the user has written anything since the item began."""
        if not self.opened or self.closed or self.status != TransactionStatus.INTRANS:
            return False
        row = self.own("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
        return row is not None and bool(row[0])

    # -- letting statements in -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise whatever forbids the user to use the connection here and now."""
        if threading.get_ident() != self.thread:
            raise WrongThread(
                "this connection belongs to the thread that owns the run; workers compute, and map(…,"
                " write=) stores what they return"
            )
        if os.getpid() != self.pid:
            raise ForkedHandle("this connection was opened before a fork; open the journal again in this process")
        self.check_not_ended()

    def admit(self, query: Any) -> None:
        """Let one text of the user's in; raise if it would end the item's transaction or touch the journal."""
        self.check()
        if isinstance(query, bytes):
            text = query.decode()
        else:
            text = query if isinstance(query, str) else query.as_string(self)
        if (refusal := refusal_of(text)) is not None:
            raise (TransactionEnded if refusal.endswith(_ENDS) else UsageError)(refusal)
        self._open()

    def _open(self) -> None:
        if self.in_item and not self.opened:
            self.own("BEGIN")
            self.opened = True

    # -- what psycopg.Connection offers --------------------------------------------------------------------------

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        """Return a cursor of this connection, a named one as psycopg has it."""
        cursor = super().cursor(*arguments, **options)
        if not isinstance(cursor, _Admitted):
            raise UsageError("a cursor of this connection must be a leftoff cursor, so that its rows stay in the item")
        return cursor

    def commit(self) -> None:
        """Do nothing: what the item wrote commits with its done entry, and outside an item everything is committed."""
        self.check()

    def rollback(self) -> None:
        """Take back what was written since the item began; nothing outside an item."""
        self.check()
        self.undo_transaction()
        self.opened = False

    @contextmanager
    def transaction(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """Keep or undo a part of what the item writes, as a savepoint."""
        self.check()
        if not self.in_item:
            raise UsageError(
                f"outside an item every statement commits by itself, so no transaction can be opened here; {_ENDS}"
            )
        self._open()
        with super().transaction(*arguments, **options) as inner:
            yield inner

    def __enter__(self) -> Connection:  # noqa: PYI034  # typing has no Self before 3.11
        self.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        elif not self.closed:
            self.rollback()

    def close(self) -> None:
        """Refuse: the connection is closed with the journal."""
        raise UsageError("this connection is the run's and is closed with the journal; close the journal instead")

    def pipeline(self) -> Any:
        """Refuse: what fails in a pipeline would be told only behind the item's end."""
        raise UsageError(
            "a pipeline tells its errors late, perhaps behind the item's commit; use executemany() or copy()"
        )

    def set_autocommit(self, value: bool) -> None:  # noqa: ARG002  # psycopg names it
        """Refuse: outside an item every statement commits by itself, inside one leftoff commits."""
        raise UsageError(f"autocommit cannot be set on this connection: {_ENDS}")

    def tpc_begin(self, *_: Any) -> None:
        """Refuse: the item's transaction is leftoff's to end."""
        raise UsageError(f"two-phase commits are refused on this connection: {_ENDS}")
