"""A map whose attempts are made by an executor of `concurrent.futures`: processes, Dask's, MPI's.

1. The owner commits, the executor computes: no worker ever touches the journal.
2. An attempt returns what happened as plain data: an exception that cannot be sent does no harm. So what a future
   itself raises is the executor's: the worker that had the item in hand died, or the item cannot be sent.
3. A `ProcessPoolExecutor` breaks as a whole when one of its workers dies, and is made again from its own settings; of
   others only a factory can make another.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Final

from leftoff.errors import Stopped, UsageError
from leftoff.work.attempt import Attempts, Brought, Fault
from leftoff.work.current import Hand, hold, let_go
from leftoff.work.pool import Event, Pool
from leftoff.work.values import failure_of

ExecutorOrFactory = Executor | Callable[[], Executor]


class InExecutor(Pool):
    """Make attempts in an executor."""

    def __init__(self, attempts: Attempts, executor: ExecutorOrFactory, workers: int | None) -> None:
        """Use an executor that somebody else ends, or make one that ends with this.

        workers: how many attempts to have in flight, at most and by default as many as the executor has workers.
        """
        super().__init__(attempts)
        self._make = None if isinstance(executor, Executor) else executor
        self._ours = self._make is not None
        self._executor = _prepared(executor) if isinstance(executor, Executor) else _made(executor)
        self._broken = False
        self._killed: Executor | None = None
        number: int | None = getattr(self._executor, "_max_workers", None)  # of the standard library's, and of loky's
        if number is None and workers is None:
            raise UsageError(
                f"map(executor=…): a {type(self._executor).__name__} does not say how many workers it has; pass"
                " workers=N"
            )
        self.workers = min(each for each in (workers, number) if each is not None)
        if isinstance(self._executor, ProcessPoolExecutor):
            _check_sendable(self._executor, attempts)

    def submit(self, key: str, item: Any, number: int) -> None:
        """Hand an item to the executor, or to its successor where it has broken since."""
        try:
            try:
                future = self._executor.submit(_attempt, self.attempts, key, item, number)
            except BrokenExecutor as error:
                self._broken = True
                if not self.renew():
                    raise broken(error) from error
                future = self._executor.submit(_attempt, self.attempts, key, item, number)
        except BaseException as error:  # noqa: BLE001  # nobody has begun it: the owner gives it back, and raises this
            self.put(Event("finished", key, Brought(fatal=error)))
            return
        future.add_done_callback(partial(self._finished, self._executor, key, number))

    def _finished(self, executor: Executor, key: str, number: int, future: Future[Brought]) -> None:
        if future.cancelled():  # by whoever else has the executor; no item is to blame
            self.put(Event("died", key, value=True))
            return
        error = future.exception()
        if error is None:
            brought = future.result()
            for amounts in brought.charges:
                self.charge(key, number, amounts)
            if brought.done:
                self.idle()
        elif isinstance(error, Exception) and _is_about_sending(error):
            brought = Brought(fault=Fault(failure_of(error), again=False))
        elif isinstance(error, Exception):
            self._broken = self._broken or (isinstance(error, BrokenExecutor) and executor is self._executor)
            self.put(Event("died", key, executor is self._killed, error))
            return
        else:
            brought = Brought(fatal=error)
        self.put(Event("finished", key, brought))

    grace = 5.0  # a process looks after itself as long as it runs Python code; and it may have had to start first

    def interrupt(self, key: str) -> None:  # noqa: ARG002  # which of the processes has it in hand nobody knows
        """Kill the processes of a pool, one of which has not come back from where no timer can end it."""
        self._kill()

    def _kill(self) -> None:
        if isinstance(self._executor, ProcessPoolExecutor):
            self._killed = self._executor
            for process in list((vars(self._executor)["_processes"] or {}).values()):
                process.kill()

    def renew(self) -> bool:
        """Make the executor again if it is broken; return whether there is one to go on with."""
        if not self._broken:
            return True
        old = self._executor
        if self._make is not None:
            self._executor = _made(self._make)
        elif type(old) is ProcessPoolExecutor:
            self._executor = _made_again(old)
        else:
            return False
        old.shutdown(wait=False)
        self._broken, self._ours = False, True
        return True

    def stop(self, *, now: bool) -> None:
        """End an executor of ours. Now also means not to wait for processes: the interpreter would, at its end."""
        if now:
            self._kill()
        if self._ours:
            self._executor.shutdown(wait=not now)


def broken(error: BaseException | None) -> Stopped:
    """Return what ends a loop whose executor is broken for good."""
    return Stopped(
        f"stopped: the executor broke ({error}) and only a function can make another: pass executor=FACTORY;"
        " everything finished is kept: run the same again to go on",
        75,
    )


def _attempt(attempts: Attempts, key: str, item: Any, number: int) -> Brought:
    """Make an attempt, in a worker. What it brought comes back as the text that the journal keeps."""
    if threading.current_thread() is threading.main_thread():
        _depend_on_owner()  # the process may be older than this loop
    charges: list[Mapping[str, float]] = []
    hand = Hand(attempts.run, attempts.run_id, lambda _key, _attempt, amounts: charges.append(amounts))
    hand.key, hand.attempt = key, number
    hold(hand)
    try:
        return attempts.at(key, item)._replace(value=None, charges=tuple(charges))
    finally:
        let_go(hand)


_LOOK_EVERY: Final = 0.5  # seconds
_depending: set[int] = set()  # pids: a fork of a worker process has to begin anew


def _depend_on_owner() -> None:
    """Let a worker process leave a terminal's Ctrl-C to its owner, and end with it.

    An orphan would go on with an item that the run's next owner begins again, and then wait for more for ever.
    """
    owner = multiprocessing.parent_process()
    if owner is None or os.getpid() in _depending:  # the executor works in this very process, or this was done
        return
    parent = os.getppid()
    _depending.add(os.getpid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end() -> None:
        if owner.sentinel is not None:
            owner.join()
        else:  # as in loky's processes; an orphan gets another parent
            while os.getppid() == parent:
                time.sleep(_LOOK_EVERY)
        os._exit(1)  # from here only this ends a process; nothing that it holds is anybody's any more

    threading.Thread(target=end, name="leftoff-owner", daemon=True).start()


def _made(factory: Callable[[], Executor]) -> Executor:
    if not callable(factory):
        raise UsageError(f"executor={factory!r}: give an executor of concurrent.futures, or a function that makes one")
    executor = factory()
    if not isinstance(executor, Executor):
        raise UsageError(f"executor={factory!r} made {executor!r}, which is no executor of concurrent.futures")
    return _prepared(executor)


def _prepared(executor: Executor) -> Executor:
    """Let each process that the executor starts from now on depend on its owner before it has anything to do."""
    if type(executor) is ProcessPoolExecutor:
        settings = vars(executor)  # private, in all of Python 3.10 to 3.14
        if getattr(settings["_initializer"], "func", None) is not _begin:
            settings["_initializer"] = partial(_begin, settings["_initializer"])
    return executor


def _begin(initializer: Callable[..., object] | None, *arguments: Any) -> None:
    """Begin a worker process."""
    _depend_on_owner()
    if initializer is not None:
        initializer(*arguments)


def _made_again(old: ProcessPoolExecutor) -> ProcessPoolExecutor:
    """Return a new executor with the settings of one that broke."""
    settings = vars(old)
    more = {"max_tasks_per_child": settings["_max_tasks_per_child"]} if sys.version_info >= (3, 11) else {}
    return ProcessPoolExecutor(
        settings["_max_workers"], settings["_mp_context"], settings["_initializer"], settings["_initargs"], **more
    )


def _is_about_sending(error: Exception) -> bool:
    """Return whether an executor's error says that something cannot be sent."""
    return isinstance(error, (TypeError, AttributeError)) or type(error).__name__ == "PicklingError"


def _check_sendable(executor: ProcessPoolExecutor, attempts: Attempts) -> None:
    """Raise UsageError where the worker processes could not get at the function: each would die of it."""
    try:
        ForkingPickler.dumps(attempts)  # as the executor will
    except Exception as error:
        if not _is_about_sending(error):
            raise
        raise UsageError(
            f"the function and retry_on must be sent to another process, and cannot ({error}): define them at the top"
            " of a module, or work in threads: workers=N without executor="
        ) from None
    main = sys.modules["__main__"]
    # What a prompt, -c or a pipe brought has no file, or one that is called <stdin>; a zipped program has a __spec__.
    is_typed_in = getattr(main, "__spec__", None) is None and not Path(getattr(main, "__file__", "")).is_file()
    is_in_main = getattr(attempts.function, "__module__", None) == "__main__"
    if is_typed_in and is_in_main and vars(executor)["_mp_context"].get_start_method() != "fork":
        raise UsageError(
            "a worker process cannot import a function that was typed in: put it into a module, or work in threads:"
            " workers=N without executor="
        )
