"""Coroutines that compute while the owner commits, all in one event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from leftoff.work.attempt import Attempts, Brought, Fault
from leftoff.work.current import Hand, hold
from leftoff.work.feed import Feed
from leftoff.work.pool import Event, Pool
from leftoff.work.values import encode, failure_of


class Tasks(Pool):
    """Await one coroutine function's calls in tasks of the running event loop."""

    def __init__(self, attempts: Attempts, workers: int) -> None:
        """Begin with no task; ``workers`` is how many there will be at most."""
        super().__init__(attempts)
        self.workers = workers
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._woken = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[Brought | None]] = {}
        self._late: set[str] = set()
        self._stopped = False

    def put(self, event: Event) -> None:
        """Bring an event to the owner, and wake it."""
        super().put(event)
        if threading.get_ident() == self._thread:
            self._woken.set()
        else:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                self.wake()

    def submit(self, key: str, item: Any, number: int) -> None:
        """Begin a task."""
        task = self._tasks[key] = self._loop.create_task(self._attempt(key, item, number), name=f"leftoff {key}")
        task.add_done_callback(partial(self._finished, key))

    async def _attempt(self, key: str, item: Any, number: int) -> Brought | None:
        hand = Hand(self.attempts.run, self.attempts.run_id, self.charge)
        hand.key, hand.attempt = key, number
        hold(hand)  # the task's alone, and gone with it
        try:
            value = await self.attempts.function(item)
            return Brought(value, encode(value, key))
        except asyncio.CancelledError:  # not raised: a tracer lets it arrive as an error like any other (Python 3.11)
            return None
        except BaseException as error:  # noqa: BLE001  # whatever the user's code raises
            return self.attempts.take(error)

    def _finished(self, key: str, task: asyncio.Task[Brought | None]) -> None:
        del self._tasks[key]
        brought = None if task.cancelled() else task.result()
        if brought is not None:
            if brought.done:
                self.idle()
        elif key in self._late:
            brought = self.attempts.late()
        elif self._stopped:
            self.put(Event("cancelled", key))
            return
        else:  # by the user's own code, which may mean anything: an error of the item like any other
            brought = Brought(fault=Fault(failure_of(asyncio.CancelledError("the item's task was cancelled"))))
        self._late.discard(key)
        self.put(Event("finished", key, brought))

    def interrupt(self, key: str) -> None:
        """Cancel the task of an item that takes too long."""
        self._late.add(key)
        self._tasks[key].cancel()

    def stop(self, *, now: bool) -> None:
        """Cancel the tasks, if it is to be now; what they do about it is theirs."""
        if now:
            self._stopped = True
            for task in self._tasks.values():
                task.cancel()

    async def end(self) -> None:
        """Cancel the tasks, and wait until they have ended."""
        self.stop(now=True)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def wake(self) -> None:
        """Let the owner look around, from a signal's handler too."""
        self._loop.call_soon_threadsafe(self._woken.set)

    async def wait_async(self, timeout: float | None) -> list[Event]:
        """Wait for an event, at most so many seconds, or until somebody wakes us; return all that are there."""
        if self.events.empty():
            # Not wait_for(): before Python 3.12 that may eat a cancellation.
            timer = None if timeout is None else self._loop.call_later(timeout, self._woken.set)
            try:
                await self._woken.wait()
            finally:
                self._woken.clear()
                if timer is not None:
                    timer.cancel()
        else:
            await asyncio.sleep(0)  # the others have their turn
        return self.waiting()


class AsyncFeed(Feed):
    """Bring the items of an asynchronous input."""

    def _begin(self, items: Any) -> None:
        self._wanted = asyncio.Semaphore(0)
        self._pulling = asyncio.get_running_loop().create_task(self._pull_async(aiter(items)), name="leftoff input")

    def _permit(self, count: int) -> None:
        for _ in range(count):
            self._wanted.release()

    def stop(self) -> None:
        """Ask for nothing more; an input that waits is cancelled."""
        self._pulling.cancel()

    async def end(self) -> None:
        """Stop, and wait until the input is closed."""
        self.stop()
        await asyncio.wait([self._pulling])

    async def _pull_async(self, source: AsyncIterator[Any]) -> None:
        try:
            while True:
                await self._wanted.acquire()
                self._put(Event("item", value=await anext(source)))
        except StopAsyncIteration:
            self._put(Event("end"))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  # raised again by the owner
            self._put(Event("error", error=error))
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()


def make_feed(items: Any, put: Callable[[Event], object]) -> Feed:
    """Return what brings the items, whether they come asynchronously or not."""
    return AsyncFeed(items, put) if hasattr(items, "__aiter__") else Feed(items, put)
