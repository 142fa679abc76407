"""Our side of the process that starts the commands: ask it for one from any thread, and wait."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from leftoff.errors import JournalError, LeftoffError
from leftoff.shell import starter
from leftoff.shell.names import bytes_of

KILL_AFTER: Final = 5.0  # seconds between SIGTERM and SIGKILL
_SHORT: Final = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # not this command's fault
Output = bytes | IO[bytes] | Path
"""What a command wrote: itself, or the file that has it."""


@dataclass(slots=True)
class Ended:
    """Be how a command ended: one of `starter`'s words, its exit status (negative: the signal), and what it wrote."""

    what: int
    status: int
    seconds: float
    stdout: Output
    stderr: Output

    def close(self) -> None:
        """Let go of what it wrote."""
        let_go(self.stdout, self.stderr)


def let_go(*outputs: Output) -> None:
    """Close those that are files without a name, which are gone then."""
    for output in outputs:
        if not isinstance(output, (bytes, Path)):
            output.close()


class StarterLost(BaseException):
    """Say that nobody starts commands any more: no item is to blame, so no ``except Exception`` may see it."""


class NoRoom(BaseException):
    """Say that the system has no room for a command or its output: its ``error``, for which no item is to blame."""

    def __init__(self, error: OSError | JournalError) -> None:
        super().__init__(str(error))
        self.error = error


class Processes:
    """Run commands in process groups of their own, which end when this process does, however it ends."""

    def __init__(self, kill_after: float = KILL_AFTER) -> None:
        """Start the process that starts them; ``kill_after``: seconds between SIGTERM and SIGKILL."""
        self._control, theirs = socket.socketpair()
        self._own = threading.local()
        self._ending = False
        self._speaking = threading.Lock()
        self._sockets: list[socket.socket] = [self._control]
        with theirs:
            # No descriptor is passed on but those that are meant to be: Python's do not survive an exec. It is beyond
            # the terminal's signals, in a session of its own; -I: no variable of the user's changes what it runs.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, starter.DEAF_TO)  # until it has its handlers
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", starter.__file__, repr(kill_after)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    close_fds=False,
                    start_new_session=True,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(self, arguments: list[str], token: str = "", attempt: int = 1, timeout: float | None = None) -> Ended:
        """Run a command to its end in this thread's place. Raises OSError where it cannot be started, or kept."""
        payload = b"\0".join([token.encode(), b"%d" % attempt, *map(bytes_of, arguments)])
        try:
            worker: socket.socket | None = getattr(self._own, "socket", None)
            if worker is None:
                worker = self._own.socket = self._connect()
            worker.sendall(starter.REQUEST.pack(len(payload), timeout or 0.0) + payload)
            return self._reply(worker, arguments[0])
        except (ConnectionError, EOFError) as error:
            if self._ending:  # and it has ended
                return Ended(starter.ENDED, 0, 0.0, b"", b"")
            raise StarterLost from error

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs, self._speaking:
            self._sockets.append(ours)
            socket.send_fds(self._control, [b"w"], [theirs.fileno()])
        return ours

    def _reply(self, worker: socket.socket, program: str) -> Ended:
        head, fds = starter.receive_with_files(worker, starter.REPLY.size, 2)
        files: list[IO[bytes]] = [os.fdopen(fd, "rb") for fd in fds]
        head += starter.receive(worker, starter.REPLY.size - len(head))
        what, status, seconds, out_size, err_size, out_is_file, err_is_file, error = starter.REPLY.unpack(head)
        data = starter.receive(worker, out_size + err_size)
        out: Output = files.pop(0) if out_is_file else data[:out_size]
        err: Output = files.pop(0) if err_is_file else data[out_size:]
        ended = Ended(what, status, seconds, out, err)
        if what == starter.NOT_STARTED:
            if status in _SHORT:
                raise NoRoom(OSError(status, f"{program} cannot be started: {os.strerror(status)}"))
            raise OSError(status, os.strerror(status), program)
        if error:
            ended.close()
            why = f"the output of {program} cannot be collected in TMPDIR: {os.strerror(error)}"
            raise NoRoom(OSError(error, why))
        return ended

    def end(self) -> None:
        """Begin to end all that runs, by SIGTERM and then SIGKILL; nothing is started any more."""
        with self._speaking, suppress(OSError):
            self._ending = True
            self._control.send(b"e")

    def close(self) -> None:
        """End all that runs, and wait until it has ended."""
        self.end()
        code = self._process.wait()
        for each in self._sockets:  # nobody waits at them any more: the other ends are closed
            each.close()
        if code:
            kill_session(self._process.pid)
            raise LeftoffError(
                "the process that starts the commands was killed, or failed; what ran is ended, too: run the same again"
                " to go on"
            )


def kill_session(leader: int) -> None:
    """Kill all processes of the session that a process led which is dead: its commands. Linux only."""
    for folder in Path("/proc").glob("[0-9]*"):
        # The command's name, in parentheses, may hold anything; behind it: state, parent, group, session.
        with suppress(OSError):
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[3]) == leader:
                os.kill(int(folder.name), signal.SIGKILL)
