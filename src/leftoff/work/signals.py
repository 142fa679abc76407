"""Stop promptly and lose nothing (promise P10).

What a signal does while a guard is entered in the main thread:

    something in hand, first signal     say "finishing ITEM; again to stop now"; the loop stops at its boundary
    SIGTERM, and a time of grace        the same, and it comes again when that time is nearly over
    nothing in hand, first signal       raise at once
    second signal                       raise at once
    nothing in hand, an async loop      wake the loop, which raises: what is raised here would tear its event loop
    while a commit is being written     only noted, and raised at the loop's boundary; so too while SQLite asks
                                        whether a statement is allowed: it would take what is raised for a No

Handlers are the process's, so the guards share them: the innermost guard decides what is in hand, all of them learn
what was asked. Left alone: a signal that is ignored (nohup, a background process), a handler that is not Python's,
and SIGTERM in a notebook kernel, which never exits.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeVar, final

from leftoff.errors import Stopped
from leftoff.work.deadline import Deadline

CODES = {int(signal.SIGINT): 130, int(signal.SIGTERM): 75}  # what the process exits with
CAUSES = {130: "Ctrl-C", 75: "SIGTERM"}
AGAIN = "run the same again to go on"
LONGEST_TEXT = 200  # characters of an item's text
_PART_OF_GRACE = 0.9
SLICE = 1.0  # seconds: a signal that another thread received is seen at least this often

Handler = Callable[[int, FrameType | None], Any] | int
F = TypeVar("F", bound=Callable[..., Any])


@final
class StopGuard:
    """Turn Ctrl-C and SIGTERM into a stop at the next boundary while entered; be inert outside the main thread.

    ``hand`` is the text of what would be lost by stopping now, None when nothing would; the loop sets it. ``asked``
    is the exit code that was asked for, None before. ``urgent`` says that it was asked for twice, the second time
    while a commit or a `shielded` function could not be left: check behind those. ``wake`` ends what an asynchronous
    loop waits in, so that it checks. All are plain attributes: read and set them per item.

    At the outermost exit the handlers are again what they were, unless somebody replaced ours meanwhile: then that
    choice stands. An exit without an exception raises what was asked for and not yet raised, so that a Ctrl-C during
    the last item is not lost.
    """

    __slots__ = ("asked", "cause", "deadline", "grace", "hand", "remedy", "urgent", "wake")

    def __init__(self) -> None:
        self.hand: str | None = None
        self.asked: int | None = None
        self.urgent = False
        self.wake: Callable[[], None] | None = None
        self.deadline: Deadline | None = None
        self.cause: str | None = None  # of a stop that no signal asked for
        self.remedy = AGAIN
        self.grace: float | None = None  # seconds between a SIGTERM and what cannot be caught

    def __enter__(self) -> StopGuard:
        if threading.current_thread() is threading.main_thread():
            _handlers.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = _handlers.leave(self)
        if code is not None and kind is None:
            raise _stop(code)

    def check(self) -> None:
        """Raise what was asked for, if anything was: ``Stopped``, or KeyboardInterrupt in an interactive session."""
        if self.asked is not None:
            _handlers.pending = None
            raise _stop(self.asked, self.cause, self.remedy)

    def look(self, *, over: bool = False) -> None:
        """Ask for a stop where an item that began now would probably run into the deadline, or where time is over."""
        if self.deadline is not None and (over or self.deadline.is_near()):
            self.ask(self.deadline.reason)

    def ask(self, cause: str, remedy: str = AGAIN) -> None:
        """Ask for a stop at the loop's next boundary, resumable, for another cause than a signal."""
        if self.asked is None:
            self.asked, self.cause, self.remedy = CODES[signal.SIGTERM], cause, remedy

    def sleep(self, seconds: float) -> None:
        """Wait this long with nothing in hand, so that a signal ends it at once; never less."""
        held, self.hand = self.hand, None
        try:
            self.check()
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                self.look()
                self.check()
                time.sleep(min(left, SLICE if self.deadline is None else min(SLICE, self.deadline.left)))
        finally:
            self.hand = held


def in_notebook() -> bool:
    """Say whether this process is a notebook's kernel; import nothing to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _Handlers:
    """The process's handlers and the guards that share them, innermost last.

    A signal may come between any two lines, but while a guard is entered or left it is only noted, so that no guard
    stays behind. With no guard in the list a signal goes to the handler that was there before.
    """

    def __init__(self) -> None:
        self.guards: list[StopGuard] = []
        self.before: dict[int, Handler] = {}
        self.pending: int | None = None  # asked for, and not yet raised

    def enter(self, guard: StopGuard) -> None:
        if any(signal.getsignal(number) != self.on_signal for number in self.before):
            # Somebody took our handlers away, as a notebook does after each cell: those guards are left over.
            self.guards.clear()
            self.pending = None
        for number in CODES:
            self.install(number)
        guard.asked = self.pending
        self.guards.append(guard)

    def install(self, number: int) -> None:
        found = signal.getsignal(number)
        if found in (None, signal.SIG_IGN, self.on_signal):
            return
        if number == signal.SIGTERM and in_notebook():
            return
        self.before[number] = found
        signal.signal(number, self.on_signal)

    def leave(self, guard: StopGuard) -> int | None:
        """Take the guard out, and return the exit code that was asked for and that nobody is left to raise."""
        if guard in self.guards:
            self.guards.remove(guard)
        # A generator may be collected in another thread, which cannot set handlers: then ours stay and pass on.
        if self.guards or threading.current_thread() is not threading.main_thread():
            return None
        self.restore()
        code, self.pending = self.pending, None
        return code

    def restore(self) -> None:
        for number, found in reversed(list(self.before.items())):
            if signal.getsignal(number) == self.on_signal:
                signal.signal(number, found)
            del self.before[number]

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        code = CODES[number]
        changing = _is_changing(frame)
        if not self.guards and not changing:
            self.pass_on(number, frame)
            return
        for guard in self.guards:
            guard.asked = code
        hand = self.guards[-1].hand if self.guards else None
        wakes = [guard.wake for guard in self.guards if guard.wake is not None]
        if changing or _is_committing(frame):
            first, self.pending = self.pending is None, code  # raised by the loop, at its next boundary
            if first:
                self.remind(number)
            for guard in self.guards:
                guard.urgent = not first
            if first and hand is not None and not changing:
                _say(hand)
            return
        if self.pending is not None or (hand is None and not wakes):
            self.pending = None
            raise _stop(code)
        self.pending = code
        self.remind(number)
        if hand is not None:
            _say(hand)
        for wake in wakes:
            wake()

    def remind(self, number: int) -> None:
        """Let a SIGTERM come again when the time of grace is nearly over: better an item given back than a crash."""
        spans = [guard.grace for guard in self.guards if guard.grace is not None]
        if spans and number == signal.SIGTERM:
            # Not threading.Thread: what was interrupted may hold the locks that its start needs.
            _thread.start_new_thread(self.ask_again, (number, min(spans) * _PART_OF_GRACE))

    def ask_again(self, number: int, seconds: float) -> None:
        time.sleep(seconds)
        if self.pending is not None and self.guards:
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        found = self.before.get(number, signal.SIG_DFL)
        if callable(found):
            found(number, frame)
        else:  # SIG_DFL: what is ignored was left alone
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def after_fork_in_child(self) -> None:
        """Give a forked child the handlers from before: the loop is its parent's."""
        self.guards.clear()
        self.pending = None
        self.restore()


CHANGING = (StopGuard.__enter__.__code__, StopGuard.__exit__.__code__)

_handlers = _Handlers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_handlers.after_fork_in_child)


def _is_changing(frame: FrameType | None) -> bool:
    """Say whether the interrupted code is entering or leaving a guard."""
    while frame is not None:
        if frame.f_code in CHANGING:
            return True
        frame = frame.f_back
    return False


_DEFERRING = ("commit", "_authorize")  # functions of the journal
_shielded: set[CodeType] = set()


def shielded(function: F) -> F:
    """Let no signal raise inside a function, such as one that keeps the books of what is in flight."""
    _shielded.add(function.__code__)
    return function


def _is_committing(frame: FrameType | None) -> bool:
    """Say whether what was interrupted is no place to raise: a commit would be in doubt, an answer to SQLite a No."""
    while frame is not None:
        if frame.f_code in _shielded:
            return True
        if frame.f_code.co_name in _DEFERRING and frame.f_globals.get("__name__", "").startswith("leftoff.journal."):
            return True
        frame = frame.f_back
    return False


def _stop(code: int, cause: str | None = None, remedy: str = AGAIN) -> BaseException:
    message = f"stopped by {cause or CAUSES[code]}; everything finished is kept: {remedy}"
    if code == CODES[signal.SIGINT] and _is_interactive():
        return KeyboardInterrupt(message)  # a SystemExit would end the interpreter, or be shown as a wish to
    return Stopped(message, code)


def _say(hand: str) -> None:
    text = "".join(c if c.isprintable() else "?" for c in hand[:LONGEST_TEXT])
    line = f"finishing {text}; again to stop now\n"
    try:
        if in_notebook():
            sys.stderr.write(line)  # the cell's; its lock may be taken again by the thread that holds it
            return
        start = "\n" if os.isatty(2) else ""  # a terminal's line already holds a bar and an echoed ^C
        os.write(2, (start + line).encode("utf-8", "replace"))  # sys.stderr could be in the middle of a write
    except OSError:  # stderr is closed: nobody to tell
        pass


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or in_notebook()
