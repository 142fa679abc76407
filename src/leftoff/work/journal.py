"""A journal as the user holds it: one place, many runs."""

from __future__ import annotations

import atexit
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from leftoff.errors import ForkedHandle, JournalClosed, JournalError, JournalMissing, MissingExtra, RunInUse, UsageError
from leftoff.journal.entry import Entry
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.memory import MemoryStore
from leftoff.journal.store import Damage, Durability, Store
from leftoff.work.naming import LONGEST, real_place
from leftoff.work.passes import uncaught
from leftoff.work.run import Run

if TYPE_CHECKING:
    from leftoff.work.copy import Copied

SQLITE_SUFFIXES: Final = (".db", ".sqlite", ".sqlite3")
_open: set[Journal] = set()  # strong: an item in hand must be settled even if nobody holds the journal any more


def open(place: str | os.PathLike[str], *, durability: Durability = "power", create: bool = True) -> Journal:  # noqa: A001  # leftoff.open
    """Open the journal at ``place``, chosen by its suffix; nothing is created before something is recorded.

    place: ``*.jsonl`` (JSON Lines), ``*.db`` or ``*.sqlite`` (SQLite), ``progress/`` (a directory with one JSON Lines
    file for each writer), ``postgresql://…`` or ``memory:``; durability: ``"power"`` (what is done has survived a power
    failure) or ``"process"`` (survives kill -9 and out of memory; a power failure may cost milliseconds of work, in
    SQLite what its log holds, about 4 MB); create: False raises `JournalMissing` where there is no journal yet.

    Raises NotAJournal, JournalTooNew, JournalDamaged, JournalReadOnly and UsageError.
    """
    return Journal(make_store(place, durability, create=create))


def at_work(real: str) -> Journal | None:
    """Return a journal in which this process owns runs at a place, given by its real path; None where there is none."""
    return next((journal for journal in list(_open) if journal.is_at_work(real)), None)


def place_text(place: str | os.PathLike[str]) -> str:
    """Return a journal's place as text. Raise UsageError for one that no system would take."""
    url = os.fspath(place)
    if "\0" in url:
        raise UsageError(f"{url!r} holds a NUL character and can be no file's name")
    return url


def is_server(url: str) -> bool:
    """Return whether a place is a database on a server, and no file."""
    return url.startswith(("postgresql://", "postgres://"))


def require_psycopg() -> None:
    """Raise `MissingExtra` where journals on a server cannot be reached."""
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtra("a journal in PostgreSQL needs psycopg: pip install 'leftoff[postgres]'")


def make_store(place: str | os.PathLike[str], durability: Durability, *, create: bool = True) -> Store:
    """Return the store for a place."""
    if durability not in ("power", "process"):
        raise UsageError(f"durability={durability!r}: write 'power' or 'process'")
    url = place_text(place)
    if url == "memory:":
        return MemoryStore(url, "process")
    if is_server(url):
        require_psycopg()
        from leftoff.journal.postgres import PostgresStore

        store = PostgresStore(url, durability)
        if not create:
            store.require()
        return store
    if "://" in url:
        raise UsageError(f"{url}: journals are kept in progress.jsonl, papers.db, progress/ or postgresql://…")
    return _make_local(url, durability, create=create)


def _make_local(url: str, durability: Durability, *, create: bool) -> Store:
    """Return the store for a file or a directory."""
    path = Path(url)
    if not create and not path.exists():
        raise JournalMissing(f"there is no journal {url}")
    if not path.parent.is_dir():
        raise JournalMissing(f"{url} cannot be created: there is no directory {path.parent}")
    if url.endswith(os.sep) or (path.is_dir() and path.suffix != ".jsonl" and path.suffix not in SQLITE_SUFFIXES):
        from leftoff.journal.segments import SegmentsStore

        return SegmentsStore(path, durability)
    if path.suffix == ".jsonl":
        return JsonlStore(path, durability)
    if path.suffix in SQLITE_SUFFIXES:
        from leftoff.journal.sqlite import SqliteStore

        return SqliteStore(path, durability)
    raise UsageError(
        f"{url}: the name chooses the journal: progress.jsonl (JSON Lines), papers.db (SQLite), progress/ (a file for"
        " each writer) or postgresql://…"
    )


class Journal:
    """Hold a journal open. As a context manager it learns from an exception how a loop ended."""

    def __init__(self, store: Store) -> None:
        """Take a store over; `leftoff.open` makes both."""
        self.store = store
        self._runs: WeakValueDictionary[str, Run] = WeakValueDictionary()
        self._owned: dict[str, Run] = {}
        self._pid = os.getpid()
        self._real = real_place(store.url)
        self._told = 0
        self._closed = False
        _open.add(self)

    @property
    def url(self) -> str:
        """The place, as it was given."""
        return self.store.url

    @property
    def durability(self) -> Durability:
        """What an acknowledged entry survives."""
        return self.store.durability

    def run(self, name: str, *, program: str | None = None) -> Run:
        """Return the run called ``name``. Only opens: it is created and owned by its first loop or step."""
        self.check()
        if not name or len(name) > LONGEST or "\0" in name or not name.isprintable():
            raise UsageError(f"run({name!r}): a run's name is 1 to {LONGEST} printable characters")
        run = self._runs.get(name)
        if run is None:
            run = self._runs[name] = Run(self, name, program)
        return run

    def runs(self) -> list[str]:
        """Return the names of the runs that the journal holds, oldest first."""
        self.check()
        return self.store.runs()

    def entries(self, run: str | None = None, *, after: int = 0) -> Iterator[Entry]:
        """Iterate every entry, oldest first; ``run`` chooses one run, ``after`` leaves out entries up to that seq."""
        self.check()
        return self.store.entries(run, after)

    def verify(self) -> list[Damage]:
        """Check every byte, without writing, and return the damaged places: an empty list for a sound journal."""
        self.check()
        return list(self.store.verify())

    def copy(self, target: str | os.PathLike[str]) -> Copied:
        """Copy what the journal holds at this instant to ``target``, which appears complete and durable, or not at all.

        target: a new ``*.jsonl`` or ``*.db``, or the ``postgresql://…`` of a database that holds no journal. Between
        two SQLite files the user's own tables come along, otherwise only the journal does. Raises UsageError where
        something is there already or there is nothing to copy.
        """
        from leftoff.work.copy import copy

        self.check()
        return copy(self.store, target)

    def close(self) -> None:
        """Give back what is in hand and close. Closing again does nothing."""
        self._end(None)

    def __enter__(self) -> Journal:  # noqa: PYI034  # typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        _open.discard(self)
        if self._closed or os.getpid() != self._pid:
            return
        try:
            for run in self.owned_runs():
                run.settle(error)
        finally:
            self._closed = True
            self.store.close()  # with it every owner: SQLite's must close behind the readers

    # -- for the runs --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise if this handle can no longer be used."""
        if self._closed:
            raise JournalClosed(f"{self.url} was closed; open it again")
        if os.getpid() != self._pid:
            raise ForkedHandle(f"{self.url} was opened before a fork; open it again in this process")

    def is_at_work(self, real: str) -> bool:
        """Return whether this is the journal of a place, and owns runs there in this process."""
        is_here = self._real == real != "memory:"  # each of those is one of its own
        return is_here and bool(self._owned) and not self._closed and self._pid == os.getpid()

    def keep(self, run: Run) -> None:
        """Take in that a run is owned now: it lives as long as this handle, or until it is given up."""
        self._owned[run.name] = run

    def drop(self, run: Run) -> None:
        """Take in that a run was given up: thousands that were begun inside items are not to be held."""
        self._owned.pop(run.name, None)

    def owned_runs(self) -> list[Run]:
        """Return the runs that this handle owns."""
        return list(self._owned.values())

    def run_with_pending_rows(self) -> Run | None:
        """Return the run whose item in hand has written rows that its commit is to take with it, if there is one."""
        return next((run for run in self.owned_runs() if run.has_pending_rows()), None)

    def check_program(self, name: str, program: str | None) -> None:
        """Raise `RunInUse` if a default name meets a run that another program began."""
        if program is None:
            return
        header = self.store.latest(name, "created")
        if header is not None and header.value["program"] != program:
            raise RunInUse(
                f"run {name} of {self.url} was begun by {header.value['program'] or 'a program that named it'}, and"
                f" this is {program}:"
                ' name this loop: each(items, run="…")'
            )

    def reader(self) -> Any:
        """Open a second, read-only connection to a journal with tables."""
        if not hasattr(self.store, "reader"):
            raise UsageError(f"{self.url} holds no tables; for run.reader() use papers.db (SQLite) or PostgreSQL")
        return self.store.reader()

    def tell_notes(self) -> None:
        """Tell the user what opening found and mended."""
        for note in self.store.notes[self._told :]:
            print(f"leftoff: {note}", file=sys.stderr)  # noqa: T201  # for people, where a bar would be
        self._told = len(self.store.notes)


@atexit.register
def _close_all() -> None:
    """Close what the program left open: an exception that nobody caught was the end of its loops."""
    for journal in list(_open):
        try:
            journal._end(uncaught())
        except JournalError as error:  # noqa: PERF203  # this one is lost; the others still have items in hand
            sys.stderr.write(f"leftoff: {error}\n")
