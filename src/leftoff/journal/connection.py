"""The user's connection: their rows commit with the item's entry, or not at all.

1. Outside an item it is plain autocommit. Inside one, the first use opens one transaction with one savepoint; only the
   owner ends it: `commit()` is absorbed, `rollback()` goes back to the savepoint, SQL that would end it is refused.
2. A statement can roll the whole transaction back (``OR ROLLBACK``, a full disk). The *next* use is refused, else its
   row would commit by itself and be written again when the item is repeated.
3. SQLite asks the authorizer when it prepares a statement, and Python caches prepared statements by their text. So the
   owner's statements carry a random comment: no statement of the user's can have been prepared as one of them.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal

from leftoff.errors import ForkedHandle, TransactionEnded, UsageError, WrongThread
from leftoff.journal.script import statements

PREFIX: Final = "leftoff_"
"""What the names of the journal's own tables, indexes and savepoints begin with."""

_ENDS: Final = "leftoff commits what the item wrote together with its done entry"
_DDL: Final = frozenset(
    getattr(sqlite3, f"SQLITE_{verb}_{noun}")
    for verb in ("CREATE", "DROP")
    for noun in ("INDEX", "TABLE", "TEMP_INDEX", "TEMP_TABLE", "TEMP_TRIGGER", "TEMP_VIEW", "TRIGGER", "VIEW", "VTABLE")
) | {sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_REINDEX}
_ROWS: Final = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_KEPT: Final = frozenset(  # what the journal's promises rest on
    "synchronous journal_mode locking_mode fullfsync checkpoint_fullfsync writable_schema journal_size_limit mmap_size"
    " trusted_schema query_only encoding page_size auto_vacuum schema_version wal_checkpoint defer_foreign_keys".split()
)
_alive: weakref.WeakSet[Guarded] = weakref.WeakSet()


class Guarded(sqlite3.Connection):
    """Be a connection that a forked child neither uses nor closes.

    SQLite's manual (howtocorrupt.html, 2.6) forbids even to close an inherited connection: the child would undo the
    parent's transaction in the memory both share.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Open as `sqlite3.Connection` does."""
        super().__init__(*arguments, **options)
        self.pid = os.getpid()
        _alive.add(self)


def _keep_from_closing_in_child() -> None:
    if not _alive:
        return  # importing ctypes takes longer than the fork itself
    import ctypes

    for connection in list(_alive):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # never freed, so never closed


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_keep_from_closing_in_child)


class Cursor(sqlite3.Cursor):
    """Be a cursor of the user's connection; each statement is let in by the connection first."""

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Execute one statement, inside the item where there is one."""
        self._admitted(super().execute, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        """Execute one statement for each of many parameters, inside the item where there is one."""
        self._admitted(super().executemany, sql, parameters)
        return self

    def executescript(self, script: str, /) -> Cursor:
        """Execute a script's statements one by one; unlike sqlite3's own it does not commit first."""
        for statement in statements(script):
            self._admitted(super().execute, statement)
        return self

    def _admitted(self, call: Callable[..., Any], *arguments: Any) -> None:
        connection = self.connection
        if not isinstance(connection, Connection):
            raise UsageError("this cursor is not of the journal's connection; ask connection.cursor() for one")
        before = connection.admit()
        try:
            call(*arguments)
        except sqlite3.DatabaseError as error:
            connection.explain(error)
            raise
        finally:
            connection.dismiss(before)
        if self.description is not None:  # only what gives rows can stand in a commit's way
            connection.unread.add(self)


class Connection(Guarded):
    """Be the user's connection to the journal's database, for the thread that owns the run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Open in autocommit mode, with nothing in hand."""
        super().__init__(*arguments, isolation_level=None, check_same_thread=False, **options)
        mark = secrets.token_hex(4)
        self._begin = f"BEGIN IMMEDIATE -- {mark}"
        self._savepoint = f"SAVEPOINT {PREFIX}item -- {mark}"
        self._back = f"ROLLBACK TO {PREFIX}item -- {mark}"
        self._rollback = f"ROLLBACK -- {mark}"
        self._commit = f"COMMIT -- {mark}"
        self.thread = threading.get_ident()
        self.on_busy: Callable[[sqlite3.Error], BaseException] = lambda error: error
        self.in_item = False  # an item is in hand
        self.opened = False  # … and its transaction was begun
        self.trusted = False  # the statement being prepared is the owner's own
        self._own_cursor = sqlite3.Cursor(self)
        self.unread: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self._let_in = False
        self._refusal: str | None = None
        self._changes = 0
        self._ddl = False
        super().set_authorizer(self._authorize)

    # -- for the owner -------------------------------------------------------------------------------------------

    def own(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Execute a statement of the owner's; its text must not be one that a user would write."""
        return self._trusting(self._own_cursor.execute, sql, parameters)

    def own_many(self, sql: str, rows: Any) -> None:
        """Execute a statement of the owner's for many rows."""
        self._trusting(self._own_cursor.executemany, sql, rows)

    def _trusting(self, execute: Callable[[str, Any], sqlite3.Cursor], sql: str, given: Any) -> sqlite3.Cursor:
        self.trusted = True
        try:
            return execute(sql, given)
        except sqlite3.DatabaseError as error:
            self._refusal = None  # of an earlier statement, by a cursor that did not ask: what is ours is not refused
            self.explain(error)
            raise
        finally:
            self.trusted = False

    def begin_transaction(self) -> None:
        """Take SQLite's write lock, waiting for it as long as the connection's timeout says."""
        self.own(self._begin)

    def end_transaction(self) -> None:
        """Commit; a RETURNING of the user's that was not read to its end is closed for it."""
        try:
            self.own(self._commit)
        except sqlite3.OperationalError as error:
            if "in progress" not in str(error):
                raise
            for cursor in list(self.unread):
                cursor.close()
            self.own(self._commit)

    def undo_transaction(self) -> None:
        """Roll back, if there is anything to roll back."""
        if self.in_transaction:
            self.own(self._rollback)

    def begin_item(self) -> None:
        """Say that an item begins, in this thread."""
        self.thread = threading.get_ident()
        self.in_item, self.opened = True, False

    def end_item(self) -> None:
        """Say that the item's rows are committed or taken back."""
        self.in_item = self.opened = False

    def check_not_ended(self) -> None:
        """Raise `TransactionEnded` if a statement has rolled the item's transaction back."""
        if self.opened and not self.in_transaction:
            raise TransactionEnded(
                "a statement has rolled this item's transaction back (such as INSERT OR ROLLBACK, or a full"
                " disk), so what the item"
                " wrote is gone; let the error out of the item so that it is tried again, or use OR ABORT"
            )

    def admit_commit(self) -> None:
        """Raise if this thread may not end the item. Between items another thread may go on with the run."""
        thread = threading.get_ident()
        if thread != self.thread:
            if self.in_item:
                raise WrongThread("an item is committed by the thread that began it; this one did not")
            self.thread = thread
        self.check_not_ended()

    def has_rows(self) -> bool:
        """Return whether the user has written anything since the item began."""
        return self.opened and self.in_transaction and (self._ddl or self.total_changes != self._changes)

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

    def admit(self) -> bool:
        """Let one statement of the user's in; return what `dismiss` wants to know."""
        self.check()
        if self.in_item and not self.opened:
            self._open()
        before, self._let_in, self._refusal = self._let_in, True, None
        return before

    def dismiss(self, before: bool) -> None:
        """Say that the statement is over."""
        self._let_in = before
        if self.in_transaction and not self.in_item:
            self.own(self._rollback)
            raise UsageError(
                f"outside an item every statement commits by itself, so no transaction can be opened here; {_ENDS}"
            )

    def explain(self, error: sqlite3.DatabaseError) -> None:
        """Raise the reason in words if the statement that just failed was refused by us, or by a signal's handler."""
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            kind = TransactionEnded if refusal.endswith(_ENDS) else UsageError
            raise kind(refusal) from None
        denied = str(error).startswith("not authorized") or str(error).endswith(" is prohibited")
        if denied and not isinstance(error, sqlite3.IntegrityError):  # which is a trigger's own words
            # SQLite takes what is raised in `_authorize` for a No and drops it: a signal's handler raised there.
            raise KeyboardInterrupt("a signal came while SQLite prepared a statement") from error

    def _open(self) -> None:
        try:
            self.own(self._begin)
        except sqlite3.OperationalError as error:
            raise self.on_busy(error) from error
        self.own(self._savepoint)
        self.opened, self._ddl, self._changes = True, False, self.total_changes

    def _authorize(
        self, action: int, first: str | None, second: str | None, database: str | None, *_: str | None
    ) -> int:
        if self.trusted:
            return sqlite3.SQLITE_OK
        refusal = self._refuse(action, first or "", second or "", database or "")
        if refusal is None:
            self._ddl = self._ddl or action in _DDL or (action == sqlite3.SQLITE_PRAGMA and bool(second))
            return sqlite3.SQLITE_OK
        self._refusal = refusal
        return sqlite3.SQLITE_DENY

    def _refuse(self, action: int, first: str, second: str, database: str) -> str | None:
        if not self._let_in:
            return "use a cursor that connection.cursor() made: this one cannot be kept inside the item"
        if action == sqlite3.SQLITE_TRANSACTION:
            return f"{first} is refused on this connection: {_ENDS}"
        if action == sqlite3.SQLITE_SAVEPOINT and second.lower().startswith(PREFIX):
            return f"{first} {second} is refused, the savepoint is the item's own: {_ENDS}"
        if action == sqlite3.SQLITE_PRAGMA and first.lower() in _KEPT and (second or first.lower() == "wal_checkpoint"):
            return (
                f"PRAGMA {first} is leftoff's to set: its promises rest on it; open a connection of your own for that"
            )
        if action in _ROWS or action in _DDL:
            return _refuse_write(action, first, second, database)
        return None

    # -- what sqlite3.Connection offers --------------------------------------------------------------------------

    def cursor(self, factory: Any = Cursor) -> Any:
        """Return a cursor of this connection."""
        if not (isinstance(factory, type) and issubclass(factory, Cursor)):
            raise UsageError(
                "a cursor of this connection must be a leftoff cursor, so that its rows stay inside the item"
            )
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Execute one statement with a new cursor."""
        return super().cursor(Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        """Execute one statement for each of many parameters with a new cursor."""
        return super().cursor(Cursor).executemany(sql, parameters)

    def executescript(self, script: str, /) -> Cursor:
        """Execute a script's statements with a new cursor."""
        cursor: Cursor = self.cursor()
        return cursor.executescript(script)

    def commit(self) -> None:
        """Do nothing: what the item wrote commits with its done entry, and outside an item everything is committed."""
        self.check()

    def rollback(self) -> None:
        """Take back what was written since the item began; nothing outside an item."""
        self.check()
        if self.opened:
            self.own(self._back)
            self._ddl, self._changes = False, self.total_changes

    def __enter__(self) -> Connection:  # noqa: PYI034  # typing has no Self before 3.11
        self.check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if kind is None:
            self.commit()
        elif not self.opened or self.in_transaction:
            self.rollback()
        return False

    def close(self) -> None:
        """Refuse: the connection is closed with the journal."""
        raise UsageError("this connection is the run's and is closed with the journal; close the journal instead")

    def close_for_good(self) -> None:
        """Close, for the owner; nothing in a forked child."""
        if os.getpid() == self.pid:
            super().close()

    def backup(self, *arguments: Any, **options: Any) -> None:
        """Copy the database, outside an item: inside one the copy would hold rows that are not committed."""
        self.check()
        if self.in_item:
            raise UsageError(
                "a backup inside an item would hold rows that are not committed; make it before or after the loop"
            )
        super().backup(*arguments, **options)

    def blobopen(self, *arguments: Any, readonly: bool = False, **options: Any) -> Any:
        """Open a blob for reading; writing through it would not be kept inside the item."""
        self.check()
        if not readonly:
            raise UsageError(
                "a blob is opened with readonly=True here; write it with UPDATE, so that it commits with the item"
            )
        return super().blobopen(*arguments, readonly=True, **options)  # type: ignore[misc,unused-ignore]

    def deserialize(self, *_: Any, **__: Any) -> None:
        """Refuse: it would replace the journal."""
        raise UsageError("deserialize() would replace the journal; open a connection of your own")

    def set_authorizer(self, *_: Any, **__: Any) -> None:
        """Refuse: the authorizer keeps the item's transaction whole."""
        raise UsageError(
            "this connection's authorizer keeps the item's transaction whole; open a connection of your own"
        )

    @property
    def isolation_level(self) -> None:
        """Return None: Python never begins a transaction here."""
        return None

    @isolation_level.setter
    def isolation_level(self, value: object) -> None:
        if value is not None:
            raise UsageError(f"isolation_level stays None on this connection: {_ENDS}")

    @property
    def autocommit(self) -> Any:
        """Return what sqlite3 (3.12 and newer) says: its legacy mode, in which isolation_level counts."""
        return getattr(super(), "autocommit", -1)

    @autocommit.setter
    def autocommit(self, _: object) -> None:
        raise UsageError(f"autocommit cannot be set on this connection: {_ENDS}")


def _refuse_write(action: int, first: str, second: str, database: str) -> str | None:
    """Return why a write is refused, None where it is not.

    To our own tables, or to where it could not commit with the item.
    """
    names = (first,) if action in _ROWS else (first, second)
    if any(name.lower().startswith(PREFIX) for name in names):
        return f"tables whose names begin with {PREFIX} are the journal's own; only leftoff writes them"
    attached = second if action == sqlite3.SQLITE_ALTER_TABLE else database
    if attached not in ("", "main", "temp") and action != sqlite3.SQLITE_ALTER_TABLE:
        return (
            f"the attached database {attached} is for reading: two files in WAL mode do not commit"
            " together, so a row there"
            " could outlive an item that failed"
        )
    return None
