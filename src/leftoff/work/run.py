"""One named operation with one key space, and everything that can be done with it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from leftoff.errors import PendingRows, Stopped, UsageError, WrongThread
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.shard import WHOLE, Shard, make_shard
from leftoff.journal.store import Owner, Store
from leftoff.work.aeach import AsyncLoop, aeach
from leftoff.work.amap import amap_items
from leftoff.work.batches import batches
from leftoff.work.budget import Uncertain, spent_of, uncertain
from leftoff.work.change import bring_in, refuse_change
from leftoff.work.current import Inside, began_inside, hold, let_go
from leftoff.work.deciding import dead_letters, supersede
from leftoff.work.each import Loop, each
from leftoff.work.executors import ExecutorOrFactory
from leftoff.work.fingerprint import version_of
from leftoff.work.how import How
from leftoff.work.keys import own_key
from leftoff.work.map import map_items
from leftoff.work.moved import own_unmoved
from leftoff.work.options import KeyOf, LoopOptions, Options, make_options, takes_options
from leftoff.work.outcome import DeadLetter, Outcome
from leftoff.work.passes import Pass, uncaught
from leftoff.work.plan import Plan, plan
from leftoff.work.report import Report, report_of
from leftoff.work.signals import StopGuard
from leftoff.work.step import Cursor, step

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from leftoff.work.journal import Journal

T = TypeVar("T")
R = TypeVar("R")


class Run:
    """Be one named operation of a journal. Making one only opens: nothing is created or owned before the first loop.

    Get it from `Journal.run`. All loops and steps of a run share one space of keys.
    """

    def __init__(self, journal: Journal, name: str, program: str | None = None) -> None:
        """Name a run of ``journal``; ``program`` is set where the name is a default that no other program may use."""
        self.name = name
        self.label = name
        self.in_hand: Mapping[str, Tries] | None = None
        self.drafts: dict[str, Draft] = {}  # cursors moved by the item in hand: part of its commit
        self.current_walk: Pass | None = None
        self.report_of_pass: Report | None = None
        self._journal = journal
        self._program = program
        self._owner: Owner | None = None
        self._owning = threading.RLock()
        self._inside: Inside | None = None  # the item that it was begun in, and is given up behind
        self._shard = WHOLE
        self._seen = uncaught()
        self.has_concluded = False  # its present owner, some item
        self._newest_walk: Pass | None = None

    # -- loops ---------------------------------------------------------------------------------------------------

    @takes_options
    def each(
        self,
        items: Iterable[T],
        *,
        key: Callable[[T], Any] | str | None = None,
        **options: Unpack[LoopOptions],
    ) -> Loop[T]:
        """Yield every item that is not done yet; an item is done when its body has come back for the next one.

        Do not hand the loop to something that reads ahead (``list``, ``pool.map``): it would mark items done that
        nobody worked on; use `map`. items: any iterable, also endless; key: what makes an item the same item next
        time, a function or a field's name (default: the item itself); attempts: tries that may raise, crashes: tries
        that the process may not survive, before an item is a dead letter; retry_on: the errors that are worth another
        try, exception classes or a function from an exception to a bool (default: all); rate: at most so many starts,
        such as "3/s", over all processes of the machine; progress: show a bar; on_fate: called with "done", "failed" or
        "dead", the key, the number of the attempt and its `Failure` or None, once that is committed; stop_after:
        seconds, or such as "2h30m", after which nothing is begun any more, nor what would probably not end before;
        grace: between a SIGTERM and the kill, in which what is in hand may end; budget: what the run may spend, such as
        ``{"usd": 20}``, see `Current.charge`; on_change: "warn", "refuse" or "redo" where the function's meaning has
        changed, or ``parameters``, any JSON that results depend on; duplicates: "skip" or "refuse" a key met twice
        (default: skip items that are their own key); shard: ``(number, total)``, this share of the keys alone.

        Raises UsageError and JournalError as `leftoff.errors` draws them, `IncompleteRun` if the accounts do not
        match at the end, and `Stopped` after Ctrl-C or SIGTERM.
        """
        return Loop(self, each(self, items, make_options("each", key, options)))

    @takes_options
    def batches(
        self, items: Iterable[T], size: int, *, key: KeyOf[T] = None, **options: Unpack[LoopOptions]
    ) -> Loop[list[T]]:
        """Yield lists of at most ``size`` items that are not done yet; all are done when the next list is asked for.

        A batch that raised, or that the process did not survive, is retried item by item. The rest is as in `each`.
        """
        return Loop(self, batches(self, items, size, make_options("batches", key, options)))

    @takes_options
    def pages(
        self, pages: Iterable[Iterable[T]], *, key: KeyOf[T] = None, **options: Unpack[LoopOptions]
    ) -> Loop[list[T]]:
        """Yield what is not done yet of each page, such as an API gives it; it is done when the next is asked for.

        A page is asked for when the one before is durable, whole. The rest is as in `batches`; there are no shards.
        """
        return Loop(self, batches(self, iter(pages), None, make_options("pages", key, options)))

    @takes_options
    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        key: Callable[[T], Any] | str | None = None,
        workers: int | None = None,
        executor: ExecutorOrFactory | None = None,
        ordered: bool = True,
        write: Callable[[Any, Outcome[T, R]], object] | None = None,
        result_type: type[R] | None = None,
        timeout: float | None = None,
        **options: Unpack[LoopOptions],
    ) -> Loop[Outcome[T, R]]:
        """Yield an `Outcome` for every item, resumed or fresh; an outcome that is yielded is durable.

        function: called with the item, in this thread, in one of ``workers`` threads, or by an executor of
        `concurrent.futures` (or what a function makes one of); its result must be JSON, bytes or a dataclass and is
        kept; timeout: the seconds that an item may take, after which it has failed (a thread is only interrupted where
        it runs Python code); ordered: outcomes in the order of the input, else as they come; write:
        called as ``write(connection, outcome)`` in this thread within the item's own commit; result_type: the
        dataclass that results are made into, fresh and resumed. An item that raised ``attempts`` times is yielded
        with its ``error``. The rest is as in `each`.
        """
        how = How(function, workers, executor, ordered, write, result_type, timeout)
        return Loop(self, map_items(self, items, make_options("map", key, options), how))

    @takes_options
    def aeach(
        self,
        items: Iterable[T] | AsyncIterable[T],
        *,
        key: Callable[[T], Any] | str | None = None,
        **options: Unpack[LoopOptions],
    ) -> AsyncLoop[T]:
        """Yield every item that is not done yet to an ``async for``, whose body may await; else as `each`.

        items: an asynchronous iterable, or any other; what a synchronous one waits for, the whole event loop waits for.
        Python closes a loop that was left by ``break`` some time later: use ``async with run.aeach(…) as items:``.
        """
        return AsyncLoop(self, aeach(self, items, make_options("aeach", key, options)))

    @takes_options
    def amap(
        self,
        function: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        key: Callable[[T], Any] | str | None = None,
        concurrency: int = 8,
        ordered: bool = True,
        write: Callable[[Any, Outcome[T, R]], object] | None = None,
        result_type: type[R] | None = None,
        timeout: float | None = None,
        **options: Unpack[LoopOptions],
    ) -> AsyncLoop[Outcome[T, R]]:
        """Yield an `Outcome` for every item to an ``async for``; an outcome that is yielded is durable.

        function: a coroutine function, of which ``concurrency`` calls at most are in flight; timeout: the seconds after
        which a call is cancelled and has failed. Where the loop is cancelled, or left, what is in flight is cancelled,
        too: what does not end with a value is given back. The rest is as in `map` and `aeach`.
        """
        if concurrency < 1:
            raise UsageError(f"concurrency={concurrency}: at least one is needed")
        how = How(function, concurrency, None, ordered, write, result_type, timeout)
        return AsyncLoop(self, amap_items(self, items, make_options("amap", key, options), how))

    def step(self, name: str, function: Callable[..., R], *arguments: Any) -> R:
        """Call ``function(*arguments)`` once for this name and arguments; return its recorded result ever after.

        The result is what JSON, bytes or a dataclass can hold (as a dict). What the function writes through
        `connection` commits with it. Raises `PendingRows` inside an item that has written rows already.
        """
        return step(self, name, function, arguments)

    def cursor(self, name: str, start: Any = None) -> Cursor:
        """Return the durable position called ``name``, at ``start`` (JSON) where none was recorded."""
        return Cursor(self, name, start)

    # -- looking and mending -------------------------------------------------------------------------------------

    def keys(self, fate: str) -> Iterator[str]:
        """Iterate the keys of one fate, ``"done"`` or ``"dead"``, in the order in which they met it."""
        if fate not in ("done", "dead"):
            raise UsageError(f"keys({fate!r}): write 'done' or 'dead'")
        return self.store.keys(self.name, fate)

    def dead(self) -> list[DeadLetter]:
        """Return the dead letters, oldest first: each an `Outcome` with its error, its tries, and when it was."""
        return dead_letters(self.store, self.name)

    def retry(self, keys: Iterable[Any] | None = None) -> int:
        """Let dead letters be worked on again, from their first try; return how many. Without keys, all of them."""
        return supersede(self, "retried", None if keys is None else [own_key(key) for key in keys], "dead")

    def forget(self, keys: Iterable[Any] | None = None) -> int:
        """Take these keys' conclusions back, so that they are worked on again; return how many. Without keys, all.

        The old entries stay in the journal.
        """
        chosen = None if keys is None else [own_key(key) for key in keys]
        return supersede(self, "forgotten", chosen, "done", "dead")

    def report(self) -> Report:
        """Return the run's accounts, recomputed from the store; complete once a loop has met all its input."""
        if self.current_walk is not None:
            return self.current_walk.accounts(ended=False)
        return report_of(self.store, self.name)

    def plan(
        self,
        items: Iterable[T],
        function: Callable[..., Any] | None = None,
        *,
        key: Callable[[T], Any] | str | None = None,
        parameters: Any = None,
    ) -> Plan:
        """Return what a loop over ``items`` would do, and what has changed in its function; only look."""
        self._journal.check()
        return plan(self.store, self.name, items, key, function, parameters)

    def spent(self) -> dict[str, float]:
        """Return what the run's attempts have charged in all, by the name of what is spent."""
        return spent_of(self.store, self.name)

    def uncertain(self) -> list[Uncertain]:
        """Return the attempts that were cut off and may have been paid for without a charge, with their tokens."""
        return uncertain(self.store, self.name)

    # -- the user's rows -----------------------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """The user's connection to the journal's database: rows written inside an item commit with its `done` (P5).

        Outside an item every statement commits by itself. Raises UsageError where the journal has no tables.
        """
        connection = self.own().connection
        if connection is None:
            raise UsageError(
                f"{self.store.url} holds no tables; for run.connection use papers.db (SQLite) or PostgreSQL"
            )
        return connection

    def reader(self) -> Any:
        """Open a second, read-only connection: to read items from a table that the loop's body writes to."""
        return self._journal.reader()

    # -- for the loops -------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The store that keeps this run."""
        return self._journal.store

    @property
    def run_id(self) -> str:
        """The random id of the run, which makes its items' tokens."""
        header = self.store.latest(self.name, "created")
        return str(header.value["id"]) if header is not None else ""

    def own(self, shard: Shard = WHOLE) -> Owner:
        """Take over the run, or a share, once. Raise JournalBusy while another has it, WrongThread for a worker."""
        self._journal.check()
        if self.current_walk is not None and self.current_walk.thread != threading.get_ident():
            raise WrongThread(
                f"{self.label}: only the thread of its loop writes to this run; a worker returns what is to be kept,"
                " and map(…, write=) stores it"
            )
        inside = began_inside()  # which gives up what an earlier item began
        with self._owning:
            if self._owner is None or (self.store.shared and shard not in (WHOLE, self._shard)):
                self._owner, self._shard, self.has_concluded = self._taken_over(shard), shard, False
                self._inside = inside
                self._journal.keep(self)
                if inside is not None:
                    inside.owned.append(self.give_up)  # or a loop over thousands would hold as many runs
            elif self._inside is not inside:
                self._inside = None  # others use it, too
            return self._owner

    def _taken_over(self, shard: Shard) -> Owner:
        self._journal.check_program(self.name, self._program)
        owner = own_unmoved(self.store, self.name, self._program, shard)
        self._journal.tell_notes()
        return owner

    def own_anew(self) -> Owner:
        """Take the run over from this process itself: what is written from now on bears another epoch."""
        self.own(self._shard).release()
        self._owner = None
        return self.own(self._shard)

    def give_up(self) -> None:
        """Let go of a run that was begun inside an item and is used by nobody else, now that the item has ended."""
        with self._owning:
            is_idle = self.current_walk is None and self.in_hand is None
            if self._owner is not None and self._inside is not None and is_idle:
                self._owner.release()
                self._owner = None
                self._journal.drop(self)

    @contextmanager
    def walk(self, items: Any, options: Options, function: Callable[..., Any] | None = None) -> Iterator[Pass]:
        """Begin a loop over ``items``: owned, guarded against signals, accounted for."""
        version = version_of(function, options.parameters)
        self.settle_earlier()
        self.refuse_pending("a loop")  # before the run is owned: that is a commit too
        if version is not None:
            refuse_change(self, version, options.on_change)
        owner = self.own(make_shard(options.shard))
        if owner.connection is not None and getattr(items, "connection", None) is owner.connection:
            raise UsageError(
                f"{self.label}: items read from run.connection never end while the loop commits through it; read"
                " them with run.reader().execute(…)"
            )
        with StopGuard() as guard:
            change = None if version is None else bring_in(self, version, options.on_change)
            owner = self.own(self._shard)  # which may be anew
            walk = self.current_walk = self._newest_walk = Pass(self.store, owner, items, options, guard, self.run_id)
            walk.pending_rows = self._journal.run_with_pending_rows
            if change is not None:
                walk.take_up(change)
            hold(walk.hand)
            try:
                yield walk
            except Stopped as stop:
                if not stop.told:  # nobody else prints a SystemExit, and it may pass through no other loop
                    walk.say(stop.message)
                    stop.told = True
                raise
            finally:
                let_go(walk.hand)
                self.has_concluded = self.has_concluded or walk.done + walk.dead > 0
                if self.current_walk is walk:
                    self.current_walk = None
                    self.drafts.clear()
                    self._seen = uncaught()
                    owner.abandon()
                walk.close()

    def refuse_pending(self, what: str) -> None:
        """Raise `PendingRows` if an item of this journal has rows that this would commit apart from it."""
        if run := self._journal.run_with_pending_rows():
            raise PendingRows(
                f"{what} of run {self.name} was begun inside an item of run {run.name} that has written rows"
                " already; begin it before the first row is written"
            )

    def has_pending_rows(self) -> bool:
        """Return whether an item in hand has written rows that its commit is to take with it."""
        return self.in_hand is not None and self._owner is not None and self._owner.pending()

    @property
    def in_item(self) -> bool:
        """Whether a loop is in the middle of an item; one that `break` left in hand only waits to be settled."""
        return self.in_hand is not None and self.current_walk is not None

    def take_drafts(self) -> list[Draft]:
        """Return what belongs into the commit of the item in hand."""
        if not self.drafts:
            return []
        drafts = list(self.drafts.values())
        self.drafts.clear()
        return drafts

    def settle(self, error: BaseException | None) -> None:
        """Record what ended a loop with items in hand: an Exception is an error of theirs, all else gives them back."""
        items, walk, self.in_hand = self.in_hand, self._newest_walk, None
        if not items or self._owner is None or walk is None:
            return
        self._owner.abandon()  # a loop that somebody still holds has rows that belong to no entry of these
        drafts = walk.settled(items, error)
        self._owner.commit([*walk.take_beside(), *drafts])
        self.has_concluded = self.has_concluded or any(draft.kind == "dead" for draft in drafts)
        walk.fates.tell(drafts, {})

    def settle_earlier(self) -> None:
        """Settle what an earlier loop left: an exception that nobody caught since then was its end."""
        latest = uncaught()
        self.settle(latest if latest is not self._seen else None)
