"""Space starts evenly, over all processes of the machine and over restarts.

Invariants (the tests cite them):

I1. Two starts of one name are never nearer than the interval, on the machine's clock, whoever makes them.
I2. A start is written down before it happens: what is killed at any instant has at most wasted it.
I3. Nothing but a kernel lock excludes; it falls with the process that held it, and no fork can inherit it.
I4. No wait is longer than it was when it was written down, whatever the clocks do; a file that cannot be read
    costs one interval.

The file of a name holds when it was last written (monotonic and wall clock), the last start, and the moment
before which nobody starts. The interval is not in it: each process adds its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from leftoff.errors import LeftoffError, UsageError

if sys.platform == "win32":  # untested
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)


UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}
RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|min|h|day)")
SECOND = 1_000_000_000  # nanoseconds
LONGEST = 366 * 86400.0  # seconds: the longest interval, and the longest push back
RECORD = struct.Struct("<8s16sqqqq")  # magic, boot, wall, written, last, not before
MAGIC = b"rate v1\n"
CHECKSUM = struct.Struct("<I")

# While one thread holds a file's lock no fork may happen: the child would keep the lock after its parent's death.
_taking = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_taking.acquire, after_in_parent=_taking.release, after_in_child=_taking.release)


def parse_rate(text: object) -> float:
    """Return the seconds between two starts at a rate written as COUNT/UNIT, such as "3/s".

    text: a positive number, a slash, and ``s``, ``min``, ``h`` or ``day``.

    Raises UsageError for anything else.
    """
    match = RATE.fullmatch(text) if isinstance(text, str) else None
    count = float(match[1]) if match is not None else 0.0
    interval = UNITS[match[2]] / count if match is not None and count > 0 else 0.0
    if not 0 < interval <= LONGEST:
        raise UsageError(f'rate {text!r} is not understood: write "3/s", "0.5/s", "100/min", "1000/h" or "2/day"')
    return interval


@dataclass(frozen=True)
class _Memory:
    """What is remembered of a name, in nanoseconds of this machine's clock."""

    last: int
    not_before: int


class Limiter:
    """Let the processes of this machine start something under one name, evenly spaced and never in a burst.

    name: whatever shares the rate, such as a run or a service's host and port; interval: seconds between two
    starts; directory: where the name is remembered (default: see ``home``).

    ``wait`` and ``claim`` start late rather than reserve ahead: a waiter that is stopped or killed wastes nothing.
    ``take`` reserves ahead: a slot that is reserved and not used is wasted. Waiters are not served in order.

    Raises UsageError for an interval that is not positive or is above a year; LeftoffError where nothing can be
    remembered.
    """

    def __init__(self, name: str, interval: float, *, directory: Path | None = None) -> None:
        self.name = name
        self.pace(interval)
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        self.path = (home() if directory is None else directory) / digest

    def pace(self, interval: float) -> None:
        """Let this many seconds lie between two starts from now on, as a service told since.

        Raises UsageError for an interval that is not positive or is above a year.
        """
        if not 0 < interval <= LONGEST:
            raise UsageError(f"interval={interval}: seconds above 0, at most {LONGEST:.0f}")
        self.interval = interval
        self._step = -int(-interval * SECOND // 1)  # rounded up: never nearer (I1)

    def claim(self) -> float:
        """Start now if that is allowed, and return 0.0; else return the seconds after which to ask again."""
        with self._memory() as (fd, now, memory):
            slot = self._next(memory)
            if slot <= now:
                self._remember(fd, now, now, memory.not_before)
                return 0.0
        return (slot - now) / SECOND

    def wait(self, sleep: Callable[[float], object] = time.sleep) -> float:
        """Return when a start is allowed and made, with the seconds that were asked of ``sleep``.

        sleep: lets that many seconds pass; it may wake early or late, and may raise to give up, which wastes nothing.
        """
        waited = 0.0
        while seconds := self.claim():
            sleep(seconds)
            waited += seconds
        return waited

    def take(self) -> float:
        """Reserve the next free slot and return the seconds until it begins, 0.0 for now.

        The caller must not start before; how late it starts is its own: for exact spacing use ``wait``.
        """
        return self._reserve()[1]

    def peek(self) -> float:
        """Return the seconds until the next slot would begin, and take nothing."""
        with self._memory() as (_, now, memory):
            return max(0, self._next(memory) - now) / SECOND

    def push_back(self, seconds: float) -> None:
        """Let nobody start for this many seconds from now (more than a year counts as a year).

        Raises UsageError if it is negative or not a number.
        """
        if not seconds >= 0:
            raise UsageError(f"push_back({seconds}): seconds from 0")
        with self._memory() as (fd, now, memory):
            until = now + int(min(seconds, LONGEST) * SECOND)
            self._remember(fd, now, memory.last, max(until, memory.not_before))

    def _reserve(self) -> tuple[int, float]:
        with self._memory() as (fd, now, memory):
            slot = max(now, self._next(memory))
            self._remember(fd, now, slot, memory.not_before)
        return slot, (slot - now) / SECOND

    def _next(self, memory: _Memory) -> int:
        return max(memory.last + self._step, memory.not_before)

    @contextmanager
    def _memory(self) -> Iterator[tuple[int, int, _Memory]]:
        """Hold the name alone and yield its open file, the time, and what is remembered."""
        with _taking:
            fd = -1
            try:
                fd = self._open()
                now = _now()  # after the lock: what another process wrote is never later than this
                yield fd, now, self._recall(os.pread(fd, 256, 0), now)
            except OSError as error:
                raise LeftoffError(
                    f"the rate of {self.name!r} cannot be remembered in {self.path}: {error}; "
                    "free that path, or name another directory in LEFTOFF_RATE_DIR"
                ) from error
            finally:
                if fd >= 0:
                    os.close(fd)  # the lock falls with it (I3)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        while True:
            try:
                fd = os.open(self.path, flags, 0o600)
            except FileNotFoundError:  # a cleaner of old files took the directory
                _own(self.path.parent)
                continue
            try:
                _lock(fd)
                if os.fstat(fd).st_nlink:  # else it was deleted between the opening and the lock
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _recall(self, data: bytes, now: int) -> _Memory:
        never = now - int(LONGEST * SECOND)
        if not data:
            return _Memory(never, never)
        body, checksum = data[: RECORD.size], data[RECORD.size :]
        if checksum != CHECKSUM.pack(zlib.crc32(body)) or body[:8] != MAGIC:
            return _Memory(now, now)  # torn by a power failure: as if somebody started this instant (I4)
        _, boot, wall, written, last, not_before = RECORD.unpack(body)
        # Without the boot's name a reboot goes unseen once the machine is up for longer than it had been; the time
        # since is then too short, never too long, because the machine has been up for all of it.
        passed = now - written
        if boot != _boot() or passed < 0:
            passed = max(time.time_ns() - wall, now, 0)
        shift = now - passed - written
        return _Memory(last + shift, not_before + shift)

    def _remember(self, fd: int, now: int, last: int, not_before: int) -> None:
        body = RECORD.pack(MAGIC, _boot(), time.time_ns(), now, last, not_before)
        os.pwrite(fd, body + CHECKSUM.pack(zlib.crc32(body)), 0)


def home() -> Path:
    """Return this user's own directory for limiters on this machine, made if absent.

    ``LEFTOFF_RATE_DIR`` if set; else ``/var/tmp/leftoff-UID/rate``, which outlives a reboot and depends neither on
    TMPDIR nor on where the program runs; else the like in ``/tmp``, else in the home directory. A symbolic link or
    another user's directory is never used.

    Raises LeftoffError if none of them can be used.
    """
    named = os.environ.get("LEFTOFF_RATE_DIR")
    user = f"leftoff-{os.geteuid()}" if hasattr(os, "geteuid") else "leftoff"
    if named:
        places: list[tuple[Path, ...]] = [(Path(named),)]
    else:
        shared = (Path("/var/tmp", user), Path("/tmp", user))  # noqa: S108  whose each is made sure of
        places = [(place, place / "rate") for place in (*shared, Path.home() / ".leftoff")]
    reasons = []
    for place in places:
        try:
            return [_own(directory) for directory in place][-1]
        except OSError as error:  # noqa: PERF203
            reasons.append(str(error))
    raise LeftoffError(f"rates cannot be remembered: {'; '.join(reasons)}; name a directory in LEFTOFF_RATE_DIR")


def _own(directory: Path) -> Path:
    """Make the directory, for this user alone, or make sure that it is."""
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{directory} is no directory of its own")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to user {found.st_uid}")
    if stat.S_IMODE(found.st_mode) != 0o700:
        directory.chmod(0o700)
    return directory


def _now() -> int:
    """Return nanoseconds of a clock that all processes share and nobody sets; it runs on while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()  # pragma: no cover  # macOS, Windows


@cache
def _boot() -> bytes:
    """Return 16 bytes that name this start of the machine, zeros where it has no name."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return bytes.fromhex(name.strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)
