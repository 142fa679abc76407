"""The plain loop, item by item.

What an item goes through, and which commit makes it so:

    pulled ── known ───────────────────────────────► resumed (or a duplicate)
       └──── new ──[started]──► in hand ──next asked──[done]──► done
                                   ├── stop, break, close ──[released]──► new again
                                   └── exception ──[failed | dead]──► new again, or a dead letter

A `for` body's exception cannot be seen from here: a generator that is closed cannot tell it from `break`. So an item
in hand when the loop is closed stays `started` until the run is settled (`Run.settle`), which learns what happened.

[done] of one item and [started] of the next are one commit where the next is at hand and may start at once. An input
that may make us wait is asked only when [done] is committed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from leftoff.errors import RunInUse, WrongThread
from leftoff.journal.entry import Draft, Tries
from leftoff.work.keys import is_at_hand
from leftoff.work.lookup import lookup
from leftoff.work.options import Options
from leftoff.work.passes import Pass

if TYPE_CHECKING:
    from leftoff.work.run import Run

T = TypeVar("T")
FIRST: Tries = Tries()


class Loop(Generic[T]):
    """Be a loop's iterator, and a context manager that ends it exactly.

    Under ``with``, what ends the loop is known: an exception in the body counts as an error of the item in hand.
    """

    def __init__(self, run: Run, generator: Generator[T, None, None], after: Callable[[], None] | None = None) -> None:
        """Wrap a generator that has not begun; ``after`` is called once the loop was ended by `close` or ``with``."""
        self._run = run
        self._generator = generator
        self._after = after

    def __iter__(self) -> Iterator[T]:
        # The generator itself: the quickest, and freed with the `for` statement even while this object is still named.
        return self._generator

    def __next__(self) -> T:
        return next(self._generator)

    def __enter__(self) -> Loop[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    def close(self) -> None:
        """End the loop: an item in hand is given back."""
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        self._generator.close()
        self._run.settle(error)
        if self._after is not None:
            self._after()


def each(run: Run, items: Iterable[T], options: Options) -> Generator[T, None, None]:
    """Yield every item that is not done; it is done when the next one is asked for."""
    with run.walk(items, options) as walk:
        yield from _each(run, walk, walk.items)
        run.report_of_pass = walk.end()


def _each(run: Run, walk: Pass, items: Iterable[T]) -> Generator[T, None, None]:  # noqa: C901, PLR0912, PLR0915  # inline for speed
    owner, key_of, guard, progress, hand = walk.owner, walk.key_of, walk.guard, walk.progress, walk.hand
    commit, meet, tries_of, mark_of = owner.commit, walk.meet, owner.open_items.get, lookup(owner)
    limiter, told, deadline, begun = walk.limiter, walk.fates.wanted, walk.guard.deadline, 0.0
    limited = bool(walk.budget.limits)
    begin = owner.begin if owner.connection is not None else None
    thread, get_ident = walk.thread, threading.get_ident
    fuse = is_at_hand(items) and limiter is None  # only then may `done` wait for the next item's `started`
    waiting: str | None = None  # worked on; its `done` is still to be committed
    try:
        for item in items:
            walk.pulled += 1
            key = key_of(item)
            if key == waiting:
                done, waiting = waiting, None
                walk.finish(done)
                guard.hand = None
            mark = mark_of(key)
            if mark:
                walk.meet_known(key, mark)
                if waiting is None and guard.asked is None:
                    continue
            elif deadline is not None and deadline.is_near():
                guard.look()
            elif limited and not walk.may_spend():
                pass
            else:
                tries = tries_of(key)
                if tries is None or walk.may_start(key, tries):
                    if limiter is not None:
                        limiter.wait(guard.sleep)
                    guard.hand = key
                    started = Draft("started", key, None if tries is None else tries.to_json())
                    if waiting is None:
                        commit((started,))
                    else:
                        done, waiting = waiting, None
                        if told or walk.beside:
                            walk.conclude((Draft("done", done), started))
                        else:  # the same, quicker
                            meet(commit((Draft("done", done), started))[0])
                            walk.done += 1
                    if begin is not None:
                        begin()
                    run.in_hand = {key: FIRST if tries is None else tries}
                    hand.key, hand.attempt = key, 1 if tries is None else 1 + tries.errors + tries.crashes
                    if guard.urgent:
                        guard.check()
                    if deadline is not None:
                        begun = time.monotonic()
                    yield item
                    if deadline is not None:
                        deadline.took(time.monotonic() - begun)
                    if run.current_walk is not walk:
                        raise RunInUse(f"{run.label}: a newer loop took this run over; name one of them: run=…")
                    if get_ident() != thread:
                        raise WrongThread(
                            f"{run.label}: another thread asked this loop for an item; to share work use map(…,"
                            " workers=N)"
                        )
                    run.in_hand = hand.key = None
                    waiting = key
                    now = time.time()
                    if now >= progress.due:
                        walk.show(now)
            if waiting is not None and (mark or not fuse or guard.asked is not None or run.drafts):
                done, waiting = waiting, None
                walk.finish(done, run.take_drafts())
            guard.hand = waiting
            if guard.asked is not None:
                guard.check()
    finally:
        if waiting is not None:
            walk.finish(waiting)
        guard.hand = None
