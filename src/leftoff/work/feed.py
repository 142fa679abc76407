"""The items of an input, never more of them than were asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from leftoff.work.keys import is_at_hand
from leftoff.work.pool import Event


class Feed:
    """Bring the items of an input, never more of them than were asked for.

    An input that may make us wait is asked in a thread of its own, so that what finishes meanwhile can be committed.
    """

    def __init__(self, items: Any, put: Callable[[Event], object]) -> None:
        """Begin with nothing asked for."""
        self.ended = False
        self.error: BaseException | None = None  # what the input raised, until it is raised here
        self.asked = 0  # so many items are still to come as events, or the end before them
        self._put = put
        self._counting = threading.Lock()  # of what was asked
        self._at_hand = is_at_hand(items)
        self._begin(items)

    def _begin(self, items: Any) -> None:
        self._source: Iterator[Any] = iter(items)
        self._permits = threading.Semaphore(0)
        self._stopped = False
        if not self._at_hand:
            threading.Thread(target=self._pull, name="leftoff-input", daemon=True).start()

    def _permit(self, count: int) -> None:
        """Let so many items more be pulled."""
        self._permits.release(count)

    def ask(self, count: int) -> list[Any]:
        """Return the next items, at most ``count``; none where the input has ended, or where events will bring them.

        Raise what the input raised, now that all before it was taken.
        """
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        if self.ended:
            return []
        if self._at_hand:
            items = list(islice(self._source, count))
            self.ended = len(items) < count
            return items
        with self._counting:
            more, self.asked = count - self.asked, max(count, self.asked)
        if more > 0:
            self._permit(more)
        return []

    def ask_one_more(self) -> None:
        """Ask an input that may make us wait for one item more, from any thread."""
        with self._counting:
            if self.ended or self._at_hand:
                return
            self.asked += 1
        self._permit(1)

    def take(self, event: Event) -> list[Any]:
        """Take in an event of the input: return the item, if it is one."""
        with self._counting:
            self.ended = event.what != "item"
            self.asked = 0 if self.ended else self.asked - 1
        self.error = event.error
        return [] if self.ended else [event.value]

    def stop(self) -> None:
        """Ask for nothing more; the thread ends, now or when the input gives it back."""
        self._stopped = True
        self._permits.release()

    def _pull(self) -> None:
        try:
            while True:
                self._permits.acquire()
                if self._stopped:
                    self._source = iter(())  # freed here and now, so that a generator nobody holds is closed
                    return
                for item in self._source:
                    self._put(Event("item", value=item))
                    break
                else:
                    self._put(Event("end"))
                    return
        except BaseException as error:  # noqa: BLE001  # raised again in the owner's thread
            self._put(Event("error", error=error))
