"""What is shown again and again: in place on a terminal, block after block elsewhere."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final

# The other screen, so that what stood on this one is there again afterwards; no cursor; lines are cut, not wrapped.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"


class Screen:
    """Show lines over those that were shown before; as a context manager it gives the terminal back as it was."""

    def __init__(self) -> None:
        self._in_place = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._shown: Sequence[str] = ()

    def __enter__(self) -> Screen:  # noqa: PYI034  # typing.Self needs Python 3.11
        if self._in_place:
            self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_place:
            self._write(_LEAVE)
            if self._shown:
                self._write("\n".join(self._shown) + "\n")  # the last state stays

    def show(self, lines: Sequence[str]) -> None:
        """Show these lines and no others."""
        if self._in_place:
            # One write, and nothing is cleared before it is written over: no flicker. The size is asked each time.
            height = os.get_terminal_size(sys.stdout.fileno()).lines or 24
            kept = lines if len(lines) <= height else [*lines[: height - 1], f"… {len(lines) - height + 1} more lines"]
            self._write("\x1b[H" + "\x1b[K\r\n".join(kept) + "\x1b[K\x1b[J")
        else:
            self._write(("\n" if self._shown else "") + "\n".join(lines) + "\n")
        self._shown = lines

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def is_unread() -> bool:
    """Return whether whoever read our output is gone, which only the next write would tell."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
