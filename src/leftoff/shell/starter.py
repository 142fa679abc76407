"""The process that starts the commands, times them out and ends them: a program of its own, without leftoff.

1. It is the parent of all commands, so none is unknown to it, however suddenly leftoff dies; then it kills what runs.
2. Every command leads a process group. A group is signalled only while its leader is not reaped (or just was, on a
   platform without `waitid`), so that no number is another process's by then.
3. What a command writes comes through pipes, not into a file: a script's ``>/dev/stderr`` would empty a file. No more
   than `KEPT` bytes of each are held in memory; the rest goes to a file without a name.
4. A command is over when its leader has exited and its pipes are closed; what it leaves in the background may hold
   them, and is waited for no longer than `LINGER`.

A worker's request, on a stream socket of its own: `REQUEST`, then as many bytes: token, attempt and arguments, joined
by NUL. The reply: `REPLY`, with it the descriptors of files, and the bytes of what is in no file. The owner's socket,
which is standard input, brings ``w`` with the descriptor of a new worker's socket, or ``e``: end all. Its end is the
owner's death.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import IO, Any, Final

REQUEST: Final = struct.Struct("!Id")  # bytes that follow, seconds that it may take (0.0: any)
REPLY: Final = struct.Struct("!BidIIBBi")
"""What became of it, its exit status (or the error of its start), seconds, bytes of stdout and stderr that follow,
whether each is a file, the error of keeping them."""
EXITED, TIMED_OUT, ENDED, NOT_STARTED = range(4)

DEAF_TO: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # they are for leftoff to answer
KEPT: Final = 32 << 10  # bytes of one stream
LINGER: Final = 0.5  # seconds
_BLOCK: Final = 1 << 16
_DRAINED: Final = 16  # blocks: the largest pipe that a system allows by default
_GONE: Final = (BrokenPipeError, ConnectionResetError)


class Stream:
    """Take in what a command writes."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.parts: list[bytes] = []
        self.size = 0
        self.file: IO[bytes] | None = None
        self.error = 0

    def take(self, data: bytes) -> None:
        """Keep a piece; note what forbids that."""
        self.size += len(data)
        try:
            if self.file is None and self.size > KEPT:
                import tempfile  # few commands write that much

                self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # it is passed on
                for part in self.parts:
                    _write_all(self.file, part)
                self.parts.clear()
            if self.file is None:
                self.parts.append(data)
            elif not self.error:
                _write_all(self.file, data)
        except OSError as error:
            self.error = error.errno or 5


def _write_all(file: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class Command:
    """Be a command that was started, for the worker that asked for it."""

    def __init__(self, worker: socket.socket, pid: int, fds: tuple[int, int], timeout: float) -> None:
        self.worker, self.pid = worker, pid
        self.begun = time.monotonic()
        self.seconds = 0.0
        self.status: int | None = None  # once its leader has exited
        self.what = EXITED
        self.streams = (Stream(fds[0]), Stream(fds[1]))
        self.due = self.begun + timeout if timeout else 0.0  # when something has to be done about it; 0.0: never
        self.term_sent = self.kill_sent = False

    @property
    def is_open(self) -> bool:
        """Whether somebody may still write to its pipes."""
        return any(stream.fd >= 0 for stream in self.streams)

    def signal(self, number: int) -> None:
        """Send a signal to its whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Starter:
    """Serve the owner until it is gone, or all is ended."""

    def __init__(self, owner: socket.socket, grace: float) -> None:
        """Wait for the owner's workers; ``grace``: seconds between SIGTERM and SIGKILL."""
        self.owner, self.grace = owner, grace
        self.selector = selectors.DefaultSelector()
        self.running: dict[int, Command] = {}
        self.ending = False
        self.nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        wake, waker = os.pipe()
        for fd in (wake, waker):
            os.set_blocking(fd, False)
        for number in (*DEAF_TO, signal.SIGCHLD):
            # Handlers, as an ignored signal would be ignored by the commands too; those that are ignored stay so.
            if number == signal.SIGCHLD or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, DEAF_TO)
        self.selector.register(owner, selectors.EVENT_READ, self._hear)
        self.selector.register(wake, selectors.EVENT_READ, self._woken)

    def serve(self) -> None:
        """Do what is asked for; return when there is nobody left to ask."""
        try:
            while not (self.ending and not self.running):
                for key, _ in self.selector.select(self._patience()):
                    key.data(key.fileobj)
                self._look()
        except (EOFError, *_GONE):  # the owner is dead
            for command in self.running.values():
                command.signal(signal.SIGKILL)

    # -- the owner and its workers -------------------------------------------------------------------------------

    def _hear(self, owner: socket.socket) -> None:
        word, fds = receive_with_files(owner, 1, 1)
        if word == b"w":
            for fd in fds:  # none where there is no room for it: its other end is told by the system
                self.selector.register(socket.socket(fileno=fd), selectors.EVENT_READ, self._asked)
        elif word == b"e":
            self.ending = True
            for command in self.running.values():
                if command.status is None:
                    command.what = ENDED
                    self._end(command)
        else:
            raise EOFError

    def _asked(self, worker: socket.socket) -> None:
        head = worker.recv(REQUEST.size)
        if not head:
            self.selector.unregister(worker)
            worker.close()
            return
        size, timeout = REQUEST.unpack(head + receive(worker, REQUEST.size - len(head)))
        token, attempt, *arguments = receive(worker, size).split(b"\0")
        if self.ending:
            _reply(worker, ENDED)
            return
        environment = {**os.environb, b"LEFTOFF_TOKEN": token, b"LEFTOFF_ATTEMPT": attempt}
        try:
            self._start(worker, arguments, environment, timeout)
        except OSError as error:
            _reply(worker, NOT_STARTED, error.errno or 0)

    def _start(
        self, worker: socket.socket, arguments: list[bytes], environment: dict[bytes, bytes], timeout: float
    ) -> None:
        fds: list[int] = []
        try:
            fds += os.pipe()
            fds += os.pipe()
            actions: list[Any] = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate((self.nothing, fds[1], fds[3]))]
            # Python ignores these two; a command that writes to a closed pipe has to die of it.
            default = (signal.SIGPIPE, signal.SIGXFSZ)
            pid = os.posix_spawnp(
                arguments[0], arguments, environment, file_actions=actions, setpgroup=0, setsigdef=default
            )
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        os.close(fds[1])
        os.close(fds[3])
        command = self.running[pid] = Command(worker, pid, (fds[0], fds[2]), timeout)
        for stream in command.streams:
            os.set_blocking(stream.fd, False)
            self.selector.register(stream.fd, selectors.EVENT_READ, stream_reader(self, command, stream))

    # -- what the commands do ------------------------------------------------------------------------------------

    def read(self, command: Command, stream: Stream) -> bool:
        """Take in a piece of what a command writes; return whether there may be more."""
        try:
            data = os.read(stream.fd, _BLOCK)
        except BlockingIOError:
            return False
        if data:
            stream.take(data)
            if stream.error and not command.term_sent and command.status is None:
                self._end(command)
            return True
        self._close(stream)
        return False

    def _close(self, stream: Stream) -> None:
        if stream.fd >= 0:
            self.selector.unregister(stream.fd)
            os.close(stream.fd)
            stream.fd = -1

    def _woken(self, wake: int) -> None:
        with suppress(BlockingIOError):
            while os.read(wake, _BLOCK):
                pass
        for command in self.running.values():
            if command.status is None:
                command.status = _exited(command.pid)
                if command.status is not None:
                    command.seconds = time.monotonic() - command.begun
                    # One that is being ended keeps the rest of its grace: others of its group may need it.
                    if command.kill_sent or not command.term_sent:
                        command.due = time.monotonic() + LINGER

    def _end(self, command: Command) -> None:
        """Ask a command to end, and set the time for more."""
        command.term_sent = True
        command.due = time.monotonic() + self.grace
        command.signal(signal.SIGTERM)
        command.signal(signal.SIGCONT)  # one that is stopped would not hear of it

    def _patience(self) -> float | None:
        due = [command.due for command in self.running.values() if command.due]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _look(self) -> None:
        now = time.monotonic()
        for command in list(self.running.values()):
            if command.due and command.due <= now:
                self._overdue(command)
            if command.status is not None and not command.is_open:
                self._finish(command)

    def _overdue(self, command: Command) -> None:
        if command.status is not None:  # somebody else holds its pipes
            for stream in command.streams:
                for _ in range(_DRAINED):  # what is there; who still writes may go on for ever
                    if stream.fd < 0 or not self.read(command, stream):
                        break
                self._close(stream)
        elif not command.term_sent:
            command.what = TIMED_OUT
            self._end(command)
        else:
            command.kill_sent, command.due = True, 0.0
            command.signal(signal.SIGKILL)

    def _finish(self, command: Command) -> None:
        if command.term_sent:
            command.signal(signal.SIGKILL)  # whoever of its group is left
        with suppress(ChildProcessError):
            os.waitpid(command.pid, 0)
        del self.running[command.pid]
        error = max(stream.error for stream in command.streams)
        _reply(command.worker, command.what, command.status or 0, command.seconds, command.streams, error)


def stream_reader(starter: Starter, command: Command, stream: Stream) -> Any:
    """Return what is called when a stream can be read."""
    return lambda _: starter.read(command, stream)


def _exited(pid: int) -> int | None:
    """Return the exit status of a child, negative for a signal, None while it runs; leave it to be reaped if we can."""
    if hasattr(os, "waitid"):
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def receive_with_files(peer: socket.socket, size: int, files: int) -> tuple[bytes, list[int]]:
    """Receive at most so many bytes, and descriptors; these must not be passed on to what is started meanwhile."""
    data, fds, _, _ = socket.recv_fds(peer, size, files, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    for fd in fds:
        os.set_inheritable(fd, False)
    return data, fds


def receive(worker: socket.socket, size: int) -> bytes:
    """Receive exactly so many bytes, from who writes them in one go. Raise EOFError where they do not come."""
    data = bytearray()
    while len(data) < size:
        part = worker.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def _reply(
    worker: socket.socket,
    what: int,
    status: int = 0,
    seconds: float = 0.0,
    streams: tuple[Stream, ...] = (),
    error: int = 0,
) -> None:
    short = [b"" if stream.file is not None else b"".join(stream.parts) for stream in streams] or [b"", b""]
    files = [stream.file for stream in streams if stream.file is not None]
    is_file = [int(stream.file is not None) for stream in streams] or [0, 0]
    head = REPLY.pack(what, status, seconds, len(short[0]), len(short[1]), *is_file, error)
    if files:
        for file in files:
            file.seek(0)
        socket.send_fds(worker, [head], [file.fileno() for file in files])
        for file in files:
            file.close()
        head = b""
    worker.sendall(head + short[0] + short[1])


if __name__ == "__main__":
    Starter(socket.socket(fileno=0), float(sys.argv[1])).serve()
