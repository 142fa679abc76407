"""One attempt at an item, in whatever thread or process it is made: what it brought, or what went wrong."""

from __future__ import annotations

import inspect
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from leftoff.errors import UnusableValue, UsageError
from leftoff.work import retry
from leftoff.work.values import Failure, encode, failure_of

R = TypeVar("R")
RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]


class Fault(NamedTuple):
    """Be what an attempt raised: for the journal, whether another try is worth it, and the seconds asked for before."""

    failure: Failure
    again: bool = True
    wait: float = 0.0

    def pause(self, errors: int) -> float:
        """Return how many seconds to wait before the next try, after so many errors."""
        return max(retry.delay(errors), self.wait)


class Brought(NamedTuple):
    """Be what an attempt brought: a value and its JSON text, a fault of the item, or what ends the loop."""

    value: Any = None
    text: str | None = None
    fault: Fault | None = None
    fatal: BaseException | None = None
    charges: tuple[Mapping[str, float], ...] = ()  # of another process, which come with it

    @property
    def done(self) -> bool:
        """Whether it brought a value."""
        return self.fault is None and self.fatal is None


class Overdue(BaseException):
    """Be raised in an attempt that takes too long; no ``except Exception`` of the user's eats it."""


class Attempts(NamedTuple):
    """Be how attempts at the items of a run are made, wherever that is: it can be sent to another process.

    timeout: the seconds that one may take. In a main thread they are kept here, elsewhere the owner looks after them.
    """

    function: Callable[[Any], Any]
    run: str
    run_id: str
    retry_on: RetryOn = Exception
    timeout: float | None = None

    def at(self, key: str, item: Any) -> Brought:
        """Call the function with an item; whatever it raises is returned."""
        try:
            value = self.call(item)
            return Brought(value, encode(value, key))
        except BaseException as error:  # noqa: BLE001  # whatever the user's code raises
            return self.take(error)

    def take(self, error: BaseException) -> Brought:
        """Return what an attempt brought that ended with this."""
        if isinstance(error, Overdue):
            return self.late(error)
        if isinstance(error, UnusableValue) or not isinstance(error, Exception):
            return Brought(fatal=error)  # the owner raises it again
        return self.judge(error)

    def call(self, item: Any) -> Any:
        """Call the function with an item; in a main thread, raise TimeoutError where that takes too long."""
        if self.timeout is None or not has_alarm():
            return self.function(item)
        return call_within(self.timeout, self.function, item)

    def judge(self, error: Exception) -> Brought:
        """Return what an attempt brought that raised; what ``retry_on`` itself raises ends the loop."""
        try:
            return Brought(fault=fault_of(error, self.retry_on))
        except Exception as fatal:  # noqa: BLE001  # the user's own function failed: no item is to blame
            return Brought(fatal=fatal)

    def late(self, where: Overdue | None = None) -> Brought:
        """Return what an attempt brought that was ended because it took too long."""
        error = overdue(self.timeout)
        error.__cause__ = where
        return self.judge(error)


def overdue(timeout: float | None) -> TimeoutError:
    """Return what an item is told to have raised that took too long."""
    return TimeoutError(f"it took longer than timeout={timeout:g} s")


def has_alarm() -> bool:
    """Return whether this thread can be woken by a timer."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def call_within(timeout: float, function: Callable[[Any], R], item: Any) -> R:
    """Call the function in the main thread; raise TimeoutError where it takes longer, whatever it waits for.

    A timer of somebody else's goes on behind it.
    """

    def ring(*_: object) -> None:
        raise Overdue

    begun, handler = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    theirs, interval = 0.0, 0.0
    try:
        try:
            theirs, interval = signal.setitimer(signal.ITIMER_REAL, timeout)
            return function(item)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    except Overdue as where:  # it may come as late as in the `finally`
        raise overdue(timeout) from where
    finally:
        signal.signal(signal.SIGALRM, handler)
        if theirs:
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, theirs - (time.monotonic() - begun)), interval)


def fault_of(error: Exception, retry_on: RetryOn) -> Fault:
    """Judge an error: is another try worth it, and when. What ``retry_on`` raises passes."""
    again = isinstance(error, retry_on) if isinstance(retry_on, (type, tuple)) else bool(retry_on(error))
    return Fault(failure_of(error), again, asked_wait(error) or 0.0)


def check_retry_on(retry_on: Any) -> None:
    """Raise UsageError unless ``retry_on`` can judge an error."""
    kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return
    if inspect.isclass(retry_on) or not callable(retry_on):
        raise UsageError(
            f"retry_on={retry_on!r}: give exception classes, such as (TimeoutError, ConnectionError), or a function"
            " from an exception to a bool"
        )


def asked_wait(error: Exception) -> float | None:
    """Return the seconds that the service behind an error asks to wait, None if it names none.

    Read are ``error.retry_after`` in seconds, and the Retry-After header of ``error.response`` (requests, httpx, …)
    or of the error itself (urllib).
    """
    with suppress(Exception):  # whatever a foreign exception's attributes do, the item's own error stands
        seconds = getattr(error, "retry_after", None)
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and math.isfinite(seconds):
            return max(0.0, float(seconds))
        headers = getattr(getattr(error, "response", None) or error, "headers", None)
        if headers is not None:
            return retry.after(headers.get("Retry-After") or headers.get("retry-after") or "")
    return None
