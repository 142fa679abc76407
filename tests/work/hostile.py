"""Items and functions that do harm on their way to a worker process, in it, or on their way back.

The cases are those of CPython's own `test_concurrent_futures.test_deadlock`; what they are run against is a map.
"""

from __future__ import annotations

import os
import pickle  # what an executor sends with, to be abused here
import sys
from typing import Any, NamedTuple


def die(*_: object) -> None:
    os._exit(9)


def leave(*_: object) -> None:
    sys.exit(1)


def refuse(*_: object) -> None:
    raise pickle.UnpicklingError("cannot be read")


class Sent:
    """Do something when it is written or read."""

    def __init__(self, where: str, what: Any) -> None:
        self.where, self.what = where, what

    def __reduce__(self) -> Any:
        if self.where == "written":
            self.what()
            raise pickle.PicklingError("cannot be written")
        return self.what, ()


class Case(NamedTuple):
    """A key, and what the worker process is to call with what."""

    key: str
    function: Any = len
    argument: Any = "abc"


def call(case: Case) -> Any:
    return case.function(case.argument)


def give(argument: Any) -> Any:
    return Sent(*argument)


def raising(argument: str) -> None:
    raise RuntimeError(argument)
