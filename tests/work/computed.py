"""What the tests of executors let other processes compute, and programs of their own."""

import os
import signal
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import leftoff

LEDGER = "executed.txt"
prepared = []


def note(text):
    with open(LEDGER, "a") as ledger:  # short lines: one write each
        ledger.write(f"{text}\n")


def prepare(value):
    prepared.append(value)


def processes(workers=2, method="forkserver", value="ready"):
    return ProcessPoolExecutor(workers, get_context(method), prepare, (value,))


def squared(n):
    note(n)
    return {"square": n * n, "prepared": prepared, "pid": os.getpid()}


def told(key):
    current = leftoff.current()
    assert current.key == str(key)
    return [current.token, current.attempt]


class CannotTravel(Exception):
    """Pickles, and breaks the process that unpickles it."""

    def __init__(self, one, two):
        super().__init__("it cannot travel")


def refuses(n):
    note(n)
    if n == 1:
        raise CannotTravel(1, 2)
    if n == 2:
        error = ValueError("holds what cannot be pickled")
        error.held = lambda: None
        raise error
    return n


def unusable(n):
    return object() if n == 1 else n


def leaves(n):
    if n == 1:
        sys.exit("enough")
    return n


def kills(n):
    """Work for a moment; 3 kills the process that has it in hand, 4 does so once."""
    note(n)
    if n == 3 or (n == 4 and not Path("killed").exists()):
        if n == 4:
            Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return n


def is_timeout(error):
    return isinstance(error, TimeoutError)


def times_out(n):
    note(n)
    if n == 1:
        raise TimeoutError("slow")
    if n == 2:
        raise ValueError("wrong")
    return n


class Breaks(ThreadPoolExecutor):
    """An executor of somebody else's: breaks at the third item, as a whole."""

    handed = 0

    def submit(self, function, /, *args, **kwargs):
        self.handed += 1
        if self.handed < 3:
            return super().submit(function, *args, **kwargs)
        if self.handed > 3:
            raise BrokenProcessPool("broken already")
        future = Future()
        future.set_exception(BrokenProcessPool("its workers died"))
        return future


class Cancels(ThreadPoolExecutor):
    """An executor whose first future is cancelled."""

    handed = 0

    def submit(self, function, /, *args, **kwargs):
        self.handed += 1
        if self.handed > 1:
            return super().submit(function, *args, **kwargs)
        future = Future()
        future.cancel()
        return future


class IsBroken(ThreadPoolExecutor):
    """An executor of somebody else's that takes no second item."""

    handed = 0

    def submit(self, function, /, *args, **kwargs):
        self.handed += 1
        if self.handed > 1:
            raise BrokenProcessPool("broken already")
        return super().submit(function, *args, **kwargs)


class Raises(ThreadPoolExecutor):
    """An executor whose second future ends with what is no error."""

    handed = 0

    def submit(self, function, /, *args, **kwargs):
        self.handed += 1
        if self.handed != 2:
            return super().submit(function, *args, **kwargs)
        future = Future()
        future.set_exception(KeyboardInterrupt("in a worker"))
        return future


class CannotBeSaid:
    """Fails in a way of its own where it is pickled."""

    def __call__(self, item):
        return item

    def __reduce__(self):
        raise OSError("the disk is gone")


class Direct(Executor):
    """An executor that does not say how many workers it has, and works at once."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        future.set_result(function(*args, **kwargs))
        return future


def slow(n):
    note(f"begun {n} {os.getpid()}")
    time.sleep(float(os.environ.get("NAP", "0.5")))
    note(f"ended {n}")
    return n


def lingers(n):
    """1 sleeps for an hour, 2 where nothing but its process's end can help."""
    note(n)
    if n == 2:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    if n in (1, 2):
        time.sleep(3600)
    return os.getpid()


def main():
    """Work in processes until something ends us."""
    with processes() as pool:
        for outcome in leftoff.map(slow, range(1000), "progress.jsonl", run="slow", executor=pool, progress=False):
            print("done", outcome.key, flush=True)


if __name__ == "__main__":
    main()


def charge(item: int) -> int:
    """Cost a quarter."""
    leftoff.current().charge(usd=0.25)
    return item
