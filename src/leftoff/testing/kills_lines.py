"""Send this process a signal right before a numbered line of Python, in whichever thread comes to it.

Lines are numbered from 0 as they are executed, those of the chosen files alone, so that one that is executed again has
a number for each time. From Python 3.12 on they are seen by `sys.monitoring`, before by `sys.settrace`.
"""

from __future__ import annotations

import itertools
import mmap
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import leftoff
from leftoff.testing.kills_switch import BOARD, LINES

OURS: Final = tuple(str(Path(leftoff.__file__).parent / room) + os.sep for room in ("journal", "work"))
"""The folders whose lines are counted where nobody names others: what promises rest on."""

_append = os.write  # as it was before a `Switch` was armed


class LineSwitch:
    """Count the lines that are executed in chosen files, and send this process a signal before one of them."""

    def __init__(
        self,
        line: int | None,
        sent: int,
        *,
        inside: Sequence[str] = OURS,
        board: mmap.mmap | None = None,
        record: str | None = None,
    ) -> None:
        """Choose the line, None for none, the signal, and the files: those whose paths begin as one of ``inside``.

        board: keeps the number of lines; record: a new file that gets the place of each, as ``path:line``.
        """
        self._line, self._sent, self._inside, self._board = line, sent, tuple(inside), board
        self._numbers = itertools.count()  # next() is one step for all threads
        self._record = -1
        if record is not None:
            self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def arm(self) -> None:
        """Begin to count, in this process, in all its threads and for good."""
        if sys.version_info >= (3, 12):
            self._monitor()
        else:
            threading.settrace(self._enter)
            sys.settrace(self._enter)

    def _reach(self, path: str, number: int) -> None:
        count = next(self._numbers)
        if self._board is not None:
            BOARD.pack_into(self._board, LINES, count + 1)
        if self._record >= 0:
            _append(self._record, f"{path}:{number}\n".encode())
        if count == self._line:
            os.kill(os.getpid(), self._sent)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        return self._step if frame.f_code.co_filename.startswith(self._inside) else None

    def _step(self, frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        if event == "line":
            self._reach(frame.f_code.co_filename, frame.f_lineno)
        return self._step

    if sys.version_info >= (3, 12):

        def _monitor(self) -> None:
            monitoring, inside, reach = sys.monitoring, self._inside, self._reach

            def line(code: CodeType, number: int) -> Any:
                if not code.co_filename.startswith(inside):
                    return monitoring.DISABLE
                return reach(code.co_filename, number)

            tool = next(free for free in (4, 3) if monitoring.get_tool(free) is None)  # the others have a use
            monitoring.use_tool_id(tool, "leftoff.testing.kills")
            monitoring.register_callback(tool, monitoring.events.LINE, line)
            monitoring.set_events(tool, monitoring.events.LINE)


def choose(places: Sequence[str], count: int, rng: random.Random) -> list[int]:
    """Choose so many numbers of a record: one of each place first, then a second one of each that has it, and so on."""
    numbers = list(range(len(places)))
    rng.shuffle(numbers)
    met: Counter[str] = Counter()
    rounds = []
    for number in numbers:
        rounds.append((met[places[number]], number))
        met[places[number]] += 1
    rounds.sort(key=lambda turn: turn[0])  # stable: each round stays shuffled
    return sorted(number for _, number in rounds[:count])
