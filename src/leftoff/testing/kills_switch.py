"""The switch that kills a process at a numbered place: right before or behind a call that changes what is on disk.

Boundary 2i lies right before the i-th call of `COUNTED` or statement of `ENDING`, 2i + 1 right behind it.
"""

from __future__ import annotations

import itertools
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NoReturn

from leftoff.journal.connection import Guarded

COUNTED: Final = ("write", "pwrite", "ftruncate", "fsync", "fdatasync", "rename", "replace", "unlink")
"""The functions of `os` that count."""

ENDING: Final = ("COMMIT", "RELEASE", "ROLLBACK", "PRAGMA")
"""The first words of the SQL statements on a journal's database that count: between them it does not change on disk."""

BOARD: Final = struct.Struct("q")
"""A number in memory shared with the parent, which a kill leaves readable: how many calls were counted, at `CALLS`, and
how many lines, at `LINES`."""

CALLS: Final = 0
LINES: Final = BOARD.size


def die() -> NoReturn:
    """End this process by SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL was survived")


class Switch:
    """Count the calls that change what is on disk, and kill this process at one of the boundaries between them."""

    def __init__(self, boundary: int | None, board: mmap.mmap | None = None) -> None:
        """Choose where to die, None for nowhere; ``board`` keeps the number of calls."""
        self._boundary = boundary
        self._board = board
        self._calls = itertools.count()  # next() is one step for all threads

    def arm(self) -> None:
        """Begin to count, in this process and for good."""
        for name in COUNTED:
            if hasattr(os, name):
                setattr(os, name, self._counted(getattr(os, name)))
        open_connection, statement = Guarded.__init__, self._statement

        def open_counted(self: Guarded, *arguments: Any, **options: Any) -> None:
            open_connection(self, *arguments, **options)
            self.set_trace_callback(statement)

        Guarded.__init__ = open_counted  # type: ignore[method-assign]

    def _begin(self) -> int:
        call = next(self._calls)
        if self._board is not None:
            BOARD.pack_into(self._board, CALLS, call + 1)
        if self._boundary == 2 * call:
            die()
        return call

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            number = self._begin()
            result = function(*arguments, **options)
            if self._boundary == 2 * number + 1:
                die()
            return result

        return call

    def _statement(self, sql: str) -> None:
        if not sql.startswith(ENDING) or self._boundary != 2 * self._begin() + 1:
            return
        here = sys._getframe()

        def next_event(frame: FrameType, _event: str, _argument: object) -> None:
            if frame is not here:
                die()

        # SQLite tells when a statement begins, not when it has ended: whatever Python does next comes behind it.
        sys.setprofile(next_event)
