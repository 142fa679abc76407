"""A coroutine function over items: several tasks of one event loop, with the results kept.

The owner's round is that of `in_flight.py`. It is made, commit included, in the event loop's own thread: whatever has
finished is in one commit, and no cancellation can come between a commit and what follows from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from leftoff.errors import JournalError, Stopped
from leftoff.work.attempt import Attempts
from leftoff.work.how import How
from leftoff.work.in_flight import InFlight
from leftoff.work.options import Options
from leftoff.work.outcome import Outcome
from leftoff.work.tasks import AsyncFeed, Tasks, make_feed

if TYPE_CHECKING:
    from leftoff.work.passes import Pass
    from leftoff.work.run import Run

_AT_ONCE = (Stopped, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit)  # tasks are cancelled, not waited for


async def amap_items(run: Run, items: Any, options: Options, how: How) -> AsyncGenerator[Outcome[Any, Any], None]:
    """Yield the outcomes."""
    with run.walk(items, options, how.function) as walk:
        how.check(walk.owner.connection, run.store.url)
        attempts = Attempts(how.function, run.name, run.run_id, options.retry_on, how.timeout)
        async with aclosing(InTasks(run, walk, how, attempts).outcomes_async()) as outcomes:
            async for outcome in outcomes:
                yield outcome
        run.report_of_pass = walk.end()


class InTasks(InFlight):
    """Run a map in tasks."""

    def __init__(self, run: Run, walk: Pass, how: How, attempts: Attempts) -> None:
        """Begin with no task; nothing is asked of the input yet."""
        self._tasks = Tasks(attempts, how.workers or 1)
        super().__init__(run, walk, how, self._tasks, make_feed)

    async def outcomes_async(self) -> AsyncGenerator[Outcome[Any, Any], None]:
        """Yield the outcomes. Whatever ends the loop, what is in flight is finished and committed, or given back."""
        guard = self.walk.guard
        guard.wake = self._tasks.wake
        try:
            while True:
                self._round()
                if guard.asked is not None and (guard.urgent or not self.working):
                    guard.check()
                before = self.delivered
                for outcome in self._deliver():
                    yield outcome
                if self._is_over():
                    break
                self._take(await self._tasks.wait_async(0.0 if self.delivered != before else self._patience()))
        except JournalError:
            await self._tasks.end()
            raise
        except BaseException as error:
            await self._drain_async(cancel=isinstance(error, _AT_ONCE))
            raise
        finally:
            guard.wake = None
            self.feed.stop()
            if isinstance(self.feed, AsyncFeed):
                await self.feed.end()

    async def _drain_async(self, *, cancel: bool) -> None:
        """Commit what the tasks in flight bring, give back what brings nothing because it is cancelled."""
        self.draining = True
        self._tasks.stop(now=cancel)
        while self.working or self.finished:
            self._round()
            if self.working:
                try:
                    self._take(await self._tasks.wait_async(None))
                except asyncio.CancelledError:  # once more: what ends the loop is raised behind this anyway
                    self._tasks.stop(now=True)
