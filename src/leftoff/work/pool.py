"""Who computes what a map works on: threads of our own here; `executors.py` has what others provide."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from leftoff.work.attempt import Attempts, Brought, Overdue
from leftoff.work.current import Hand, hold
from leftoff.work.signals import SLICE


class Event(NamedTuple):
    """Be something the owner waits for.

    An attempt, by its item's key, that has ``charged`` something, is ``finished`` or ``cancelled`` or whose worker
    ``died``; or the input's next ``item``, its ``end`` or an ``error`` of it.
    """

    what: str
    key: str = ""
    value: Any = None  # of an attempt: what it brought, its number and amounts, or whether we ended it; or the item
    error: BaseException | None = None


class Pool(ABC):
    """Make attempts at items somewhere else; what comes back comes back as events.

    ``workers``: how many it makes at once; ``idle`` is called when one was successful, in whatever thread that is seen.
    """

    workers: int
    grace = 0.0
    """Seconds behind an item's timeout until `interrupt` is to be called."""

    def __init__(self, attempts: Attempts) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.attempts = attempts
        self.idle: Callable[[], None] = lambda: None

    def put(self, event: Event) -> None:
        """Bring an event to the owner, from any thread."""
        self.events.put(event)

    def charge(self, key: str, attempt: int, amounts: Mapping[str, float]) -> None:
        """Bring a charge of an item's attempt to the owner, from any thread."""
        self.put(Event("charged", key, (attempt, amounts)))

    @abstractmethod
    def submit(self, key: str, item: Any, number: int) -> None:
        """Let attempt ``number``, from 1, at an item be made. Never more are asked for than there are workers."""

    @abstractmethod
    def stop(self, *, now: bool) -> None:
        """Let the workers end: when what they have in hand is finished, or as soon as can be."""

    @abstractmethod
    def interrupt(self, key: str) -> None:
        """End an attempt that takes too long, if that can be done from outside."""

    def renew(self) -> bool:
        """Replace workers that died; return whether that can be done."""
        return True

    def wait(self, timeout: float | None) -> list[Event]:
        """Wait for an event, at most so many seconds and never for long; return all that are there."""
        # In slices: a signal that comes just before the wait, or to another thread, does not end it.
        try:
            return [self.events.get(timeout=SLICE if timeout is None else min(timeout, SLICE)), *self.waiting()]
        except Empty:
            return []

    def waiting(self) -> list[Event]:
        """Return the events that are there."""
        events = []
        while not self.events.empty():
            events.append(self.events.get_nowait())
        return events


class Threads(Pool):
    """Call one function in some threads of this process."""

    def __init__(self, attempts: Attempts, workers: int) -> None:
        """Start the threads. They are daemons: a second Ctrl-C leaves without them."""
        super().__init__(attempts)
        self.workers = workers
        self._work: SimpleQueue[tuple[str, Any, int] | None] = SimpleQueue()
        self._inside: dict[str, int] = {}  # the thread that has an item in hand
        self._entering = threading.Lock()
        self._threads = [threading.Thread(target=self._serve, name=f"leftoff-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, key: str, item: Any, number: int) -> None:
        """Hand an item to the next thread that is free."""
        self._work.put((key, item, number))

    def _serve(self) -> None:
        hand = Hand(self.attempts.run, self.attempts.run_id, self.charge)
        hold(hand)
        while (work := self._work.get()) is not None:
            key, item, hand.attempt = work
            hand.key = key
            brought = self._attempt(key, item)
            hand.key = None
            if brought.done:
                self.idle()
            self.put(Event("finished", key, brought))

    def _attempt(self, key: str, item: Any) -> Brought:
        """Make an attempt that `interrupt` can end; nothing behind this it can."""
        try:
            self._inside[key] = threading.get_ident()
            brought = self.attempts.at(key, item)
            self._leave(key)
        except Overdue as where:  # it came when the item was just finished, or on its way out in `_leave`
            self._leave(key)
            return self.attempts.late(where)
        return brought

    def _leave(self, key: str) -> None:
        with self._entering:
            self._inside.pop(key, None)  # gone already where the interruption came just behind this
            if self.attempts.timeout is not None:
                _raise_in(threading.get_ident(), None)  # what was asked for and has not come yet must not come any more

    def interrupt(self, key: str) -> None:
        """Raise `Overdue` in the thread that has an item in hand, once it runs Python code again."""
        with self._entering:
            if key in self._inside:
                _raise_in(self._inside[key], Overdue)

    def stop(self, *, now: bool) -> None:
        """Let the threads end, and wait for them unless that is to be now."""
        for _ in self._threads:
            self._work.put(None)
        if not now:
            for thread in self._threads:
                thread.join()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    import ctypes  # it costs a millisecond, and few loops have a timeout

    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
