"""The plain loop, item by item, where the body may await.

The arrows are those of `each.py`; [done] of one item and [started] of the next are two commits here.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from leftoff.errors import RunInUse, WrongThread
from leftoff.journal.entry import Draft, Tries
from leftoff.work.each import FIRST
from leftoff.work.lookup import lookup
from leftoff.work.options import Options
from leftoff.work.passes import Pass
from leftoff.work.signals import StopGuard

if TYPE_CHECKING:
    from leftoff.work.run import Run

T = TypeVar("T")
_TURN: Final = 0.02  # seconds after which the other tasks have their turn, however many items were done before


class AsyncLoop(Generic[T]):
    """Be an asynchronous loop's iterator, and a context manager that ends it exactly.

    Python closes an asynchronous generator that a `break` left some time later; ``async with`` closes it there. Under
    it, what ends the loop is known: an exception in the body counts as an error of the item in hand.
    """

    def __init__(self, run: Run, generator: AsyncGenerator[T, None], after: Callable[[], None] | None = None) -> None:
        """Wrap a generator that has not begun; ``after`` is called once the loop was ended."""
        self._run = run
        self.generator = generator
        self._after = after

    def __aiter__(self) -> AsyncIterator[T]:
        return self.generator

    async def __anext__(self) -> T:
        return await anext(self.generator)

    async def __aenter__(self) -> AsyncLoop[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(error)

    async def aclose(self) -> None:
        """End the loop: an item in hand is given back."""
        await self._end(None)

    async def _end(self, error: BaseException | None) -> None:
        await self.generator.aclose()
        self._run.settle(error)
        if self._after is not None:
            self._after()


async def aeach(run: Run, items: Any, options: Options) -> AsyncGenerator[Any, None]:
    """Yield every item that is not done; it is done when the next one is asked for."""
    with run.walk(items, options) as walk:
        owner, guard, hand = walk.owner, walk.guard, walk.hand
        async with aclosing(_new(walk)) as new:
            async for key, item, tries in new:
                guard.hand = key
                owner.commit([Draft("started", key, tries.to_json())])
                owner.begin()
                run.in_hand = {key: tries}
                hand.key, hand.attempt = key, 1 + tries.errors + tries.crashes
                if guard.urgent:
                    guard.check()
                begun = time.monotonic()
                yield item
                if guard.deadline is not None:
                    guard.deadline.took(time.monotonic() - begun)
                if run.current_walk is not walk:
                    raise RunInUse(f"{run.label}: a newer loop took this run over; name one of them: run=…")
                if threading.get_ident() != walk.thread:
                    raise WrongThread(f"{run.label}: another thread asked this loop for an item; use amap(…)")
                run.in_hand = hand.key = None
                walk.finish(key, run.take_drafts())
                guard.hand = None
                if (now := time.time()) >= walk.progress.due:
                    walk.show(now)
        run.report_of_pass = walk.end()


async def _new(walk: Pass) -> AsyncGenerator[tuple[str, Any, Tries], None]:
    """Yield the items to be worked on, each when it may start."""
    mark_of, turn = lookup(walk.owner), time.monotonic() + _TURN
    async with aclosing(_pulled(walk)) as items:
        async for item in items:
            walk.guard.look()
            walk.guard.check()
            walk.pulled += 1
            key = walk.key_of(item)
            if mark := mark_of(key):
                walk.meet_known(key, mark)
            else:
                tries = walk.owner.open_items.get(key, FIRST)
                if not walk.may_spend():
                    walk.guard.check()
                if tries is FIRST or walk.may_start(key, tries):
                    while walk.limiter is not None and (seconds := walk.limiter.claim()):
                        await _stoppable(walk.guard, asyncio.sleep(seconds))
                    yield key, item, tries
            if time.monotonic() >= turn:
                await _stoppable(walk.guard, asyncio.sleep(0))
                turn = time.monotonic() + _TURN


async def _pulled(walk: Pass) -> AsyncGenerator[Any, None]:
    """Yield the items of an input, whether they come asynchronously or not."""
    if not hasattr(walk.items, "__aiter__"):
        for item in walk.items:
            yield item
        return
    source = aiter(walk.items)
    try:
        while True:
            yield await _stoppable(walk.guard, anext(source))
    except StopAsyncIteration:
        return
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _stoppable(guard: StopGuard, awaitable: Awaitable[T]) -> T:
    """Await with nothing in hand, so that a signal ends it at once."""
    task, loop = cast("asyncio.Task[Any]", asyncio.current_task()), asyncio.get_running_loop()

    def wake() -> None:
        task.cancel()
        loop.call_soon_threadsafe(lambda: None)  # a signal alone does not end what an event loop waits in

    def end() -> None:
        guard.look(over=True)
        task.cancel()

    guard.wake = wake
    timer = None if guard.deadline is None else loop.call_later(guard.deadline.left, end)
    try:
        return await awaitable
    except asyncio.CancelledError:
        if guard.asked is not None and sys.version_info >= (3, 11):
            task.uncancel()
        guard.check()
        raise
    finally:
        guard.wake = None
        if timer is not None:
            timer.cancel()
