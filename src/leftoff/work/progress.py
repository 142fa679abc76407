"""Show how far a loop is: tqdm's bar in a terminal and a notebook, a line a minute elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import Any, TextIO

from leftoff.work.signals import in_notebook

BAR_EVERY = 0.1  # seconds
LINE_EVERY = 60.0  # seconds; a loop that ends sooner prints nothing, so that a short cron run sends no mail


class Progress:
    """Show a loop's progress on stderr, never to its harm: a stream that breaks is written to no more.

    label: what is running; total: items the input holds, None if unknown; enabled: False shows nothing (notes
    apart); stream: a text stream (default: the present stderr).

    ``due`` is the moment (``time.time()``) of the next showing: compare with it per item, and call ``show`` only
    then. Rate and time left count this run's own items; resumed ones only move the bar.
    """

    def __init__(
        self, label: str, total: int | None = None, *, enabled: bool = True, stream: TextIO | None = None
    ) -> None:
        self.label = label
        self.total = total
        self.due = math.inf
        self._stream: TextIO | None = sys.stderr if stream is None else stream
        self._begun = time.time()
        self._counts = (0, 0, 0, 0)
        self._printed = False
        self._bar: Any = None
        self._in_bar = self._stream is not None and (_is_terminal(self._stream) or (stream is None and in_notebook()))
        self._open = enabled and self._stream is not None
        if self._open:
            self.due = self._begun if self._in_bar else self._begun + LINE_EVERY

    def show(self, now: float, done: int, resumed: int = 0, dead: int = 0, failed: int = 0) -> None:
        """Show these counts, and set ``due`` to when they should be shown again.

        now: ``time.time()``; done: items this run finished; resumed: items that earlier runs finished; dead: items
        this run set aside; failed: attempts that raised.
        """
        if not self._open:
            return
        self._counts = (done, resumed, dead, failed)
        self.due = now + (BAR_EVERY if self._in_bar else LINE_EVERY)
        try:
            self._draw(now)
        except (OSError, ValueError):  # ValueError: a closed stream; the work matters more than its display
            self._abandon()

    def note(self, text: str) -> None:
        """Print a line beside the bar, also where progress is not enabled."""
        try:
            if self._bar is not None:
                self._bar.write(text, file=self._stream)
            elif self._stream is not None:
                print(text, file=self._stream, flush=True)
        except (OSError, ValueError):
            self._abandon()

    def close(self, done: int | None = None, resumed: int = 0, dead: int = 0, failed: int = 0) -> None:
        """Show the final counts (default: the last ones shown) and leave them; again, do nothing.

        Where lines are printed, the last is printed only after others.
        """
        if not self._open:
            return
        if done is not None:
            self._counts = (done, resumed, dead, failed)
        try:
            if self._bar is not None or self._printed or (self._in_bar and any(self._counts)):
                self._draw(time.time())
            if self._bar is not None:
                self._bar.close()
        except (OSError, ValueError):
            pass
        self._abandon()

    def _abandon(self) -> None:
        self._open = False
        self._bar = None
        self.due = math.inf

    def _draw(self, now: float) -> None:
        if self._in_bar:
            self._draw_bar()
        else:
            self._printed = True
            print(self._line(now), file=self._stream, flush=True)

    def _draw_bar(self) -> None:
        done, resumed, dead, _ = self._counts
        if self._bar is None:
            self._bar = self._new_bar()
        bar = self._bar
        bar.initial = resumed  # tqdm leaves what was there initially out of rate and time left
        bar.n = done + resumed + dead
        bar.set_postfix_str(", ".join(self._beside()), refresh=False)
        with bar.get_lock():  # refresh() itself would keep the lock when a signal's exception passes through it
            bar.refresh(nolock=True)

    def _new_bar(self) -> Any:
        if _is_terminal(self._stream):
            from tqdm.std import tqdm  # half the import time of tqdm.auto
        else:
            from tqdm.auto import tqdm

        class Bar(tqdm):  # type: ignore[type-arg,unused-ignore]
            monitor_interval = 0  # no thread: the loop itself says when to draw

            def __del__(self) -> None:
                """Draw nothing more: tqdm would draw while the interpreter shuts down, which can crash it."""

        _, resumed, _, _ = self._counts
        stream = self._stream if _is_terminal(self._stream) else None
        return Bar(
            desc=self.label,
            total=self.total,
            initial=resumed,
            file=stream,
            smoothing=0,  # the mean of this run: a moving one forgets the waits
            dynamic_ncols=True,
        )

    def _beside(self) -> list[str]:
        _, resumed, dead, failed = self._counts
        named = ((resumed, "resumed"), (dead, "dead"), (failed, "failed"))
        return [f"{count:,} {name}" for count, name in named if count]

    def _line(self, now: float) -> str:
        done, resumed, dead, _ = self._counts
        here = done + resumed + dead
        elapsed = max(now - self._begun, 0.0)
        rate = (done + dead) / elapsed if elapsed else 0.0
        parts = [f"{here:,}"]
        if self.total is not None:
            parts = [f"{here:,} of {self.total:,}" + (f" ({100 * here // self.total}%)" if self.total else "")]
        parts += self._beside()
        if rate:
            parts.append(per_second(rate))
        parts.append(f"{duration(elapsed)} so far")
        if rate and self.total is not None and here < self.total:
            parts.append(f"{duration((self.total - here) / rate)} left")
        return f"{self.label}: {', '.join(parts)}"


def per_second(rate: float) -> str:
    """Return how many items a second, or where that is less than one, a minute or an hour."""
    return f"{rate:,.1f}/s" if rate >= 1 else f"{rate * 60:,.1f}/min" if rate >= 1 / 60 else f"{rate * 3600:,.1f}/h"


def duration(seconds: float) -> str:
    """Return a span of time as H:MM:SS."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no such method; closed
        return False
