"""Run a program in a session of its own, and kill all of that session at once.

1. A child of the program dies with it, also one in another process group: a kill ends the session, not the process.
2. A kill returns when nothing of the session runs any more: what is looked at afterwards does not change.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from leftoff.errors import UsageError

_EVERY: Final = 0.001  # seconds between two looks at a session that is to end
_PROC: Final = Path("/proc")


class Session:
    """Hold a program that runs in a session of its own; leaving it as a context manager kills what is left of it."""

    def __init__(self, command: Sequence[str], folder: Path, output: Path, *, unbuffered: bool = False) -> None:
        """Start the command in ``folder``.

        output: a folder, where ``stdout`` and ``stderr`` are appended to; unbuffered: let Python print at once.
        Raises UsageError where there is no such program.
        """
        # A .pyc file that a kill left behind, or did not, is no change of the user's.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"} | ({"PYTHONUNBUFFERED": "1"} if unbuffered else {})
        with (output / "stdout").open("ab") as stdout, (output / "stderr").open("ab") as stderr:
            try:
                self._process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                raise UsageError(f"{command[0]} cannot be started: {error.strerror}") from error
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._begun

    def wait(self, until: float) -> int | None:
        """Wait for its end until so many seconds after its start; return its exit code, None if it still runs."""
        try:
            return self._process.wait(max(until - self.seconds, 0.0))
        except subprocess.TimeoutExpired:
            return None

    def watch(self, limit: float, look: Callable[[], object]) -> int | None:
        """Call ``look`` again and again until the program ends, or for ``limit`` seconds."""
        while True:
            begun = self.seconds
            code = self._process.poll()
            look()
            if code is not None or self.seconds >= limit:
                return code
            time.sleep(max(_EVERY, self.seconds - begun))  # a large folder takes at most half of a processor

    def kill(self) -> None:
        """Kill all of the session by SIGKILL, and return when nothing of it runs."""
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, where only zombies are left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while members := list(_members(self._process.pid)):
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_EVERY)

    def __enter__(self) -> Session:  # noqa: PYI034  # typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _members(session: int) -> Iterator[int]:
    """Iterate the processes of a session that are no zombies; none where the system has no /proc."""
    if not (_PROC / "self" / "stat").exists():
        return
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in brackets may hold anything; behind its last bracket: state, parent, group, session.
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
            yield int(entry.name)
