"""Kill a program at chosen instants, and count from outside what it lost and what it did twice.

1. Death is SIGKILL: from outside, after so many seconds or when the program asks for it, or from inside, at a
   numbered boundary (`kills_switch`) or before a numbered line of Python (`kills_lines`).
2. What happened is told by a `Ledger`: a file apart from the journal, to which the program appends each line by one
   `write`, which a SIGKILL cannot tear. The switch does not count it.
3. A program is a function of a Python file, run in a fork of a process that has it imported (`ForkServer`).

    with ForkServer(Path("programs.py")) as server:         # def ingest(place, ledger): … in programs.py
        calls = server.run("ingest", "whole.db", "whole.ledger").calls
        for boundary in range(2 * calls):
            end = server.run("ingest", f"{boundary}.db", f"{boundary}.ledger", boundary=boundary)
            …                                               # end.killed, count(read_ledger(…)), a run to the end

Any script runs under the switch: ``LEFTOFF_KILL=7 python -m leftoff.testing.kills SCRIPT [ARGUMENT…]``.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, final

from leftoff.errors import UsageError
from leftoff.testing.kills_lines import OURS, choose
from leftoff.testing.kills_server import ask_for_kill, raw_write, tell_begun
from leftoff.testing.kills_switch import Switch, die

if TYPE_CHECKING:
    from leftoff.testing.faults import Fault

__all__ = ["Count", "End", "ForkServer", "Ledger", "Line", "ask_for_kill", "choose", "count", "die", "read_ledger"]


class Ledger:
    """Write down what happened, apart from the journal."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the ledger at ``path`` for appending, or create it."""
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._fresh = True

    def note(self, word: str, key: object) -> None:
        """Append one line: a word without spaces, the time, a key without line breaks.

        The first one starts the clock of `ForkServer.run`.
        """
        if self._fresh:
            self._fresh = False
            tell_begun()
        raw_write(self._fd, f"{word} {time.monotonic():.6f} {key}\n".encode())

    def executed(self, key: object) -> None:
        """Say that work on an item begins."""
        self.note("executed", key)

    def acknowledged(self, key: object) -> None:
        """Say that leftoff has reported an item as done."""
        self.note("acknowledged", key)


class Line(NamedTuple):
    """Be one line of a ledger: what happened, when (monotonic seconds), to which key."""

    word: str
    at: float
    key: str


def read_ledger(path: str | os.PathLike[str]) -> list[Line]:
    """Read a ledger; one that does not exist is empty."""
    path = Path(path)
    if not path.exists():
        return []
    fields = (line.split(" ", 2) for line in path.read_text("utf-8").splitlines())
    return [Line(word, float(at), key) for word, at, key in fields]


@dataclass
class Count:
    """Be what a ledger says, counted.

    ``redone`` are keys on which work began again though they had been acknowledged: lost, or not believed.
    """

    executed: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    redone: list[str] = field(default_factory=list)

    @property
    def repeats(self) -> int:
        """How many times work began on an item on which it had begun before."""
        return sum(self.executed.values()) - len(self.executed)


def count(lines: Iterable[Line]) -> Count:
    """Count the lines of a ledger."""
    counted = Count()
    for line in lines:
        if line.word == "executed":
            counted.executed[line.key] += 1
            if line.key in counted.acknowledged:
                counted.redone.append(line.key)
        elif line.word == "acknowledged":
            counted.acknowledged.add(line.key)
    return counted


class End(NamedTuple):
    """Be how a program ended: its exit code (-9 for SIGKILL), after how many seconds, and what it printed.

    ``calls`` is how many calls were counted: its boundaries are ``range(2 * calls)``. ``lines`` is how many lines were
    counted, where a line or a record was asked for. ``fault`` is the first call that was faulted and its file's name,
    such as "fdatasync work.db-wal", "" where none was; ``fault_at`` is when (monotonic seconds).
    """

    code: int
    seconds: float
    calls: int
    lines: int
    output: str
    fault: str
    fault_at: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -signal.SIGKILL


@final
class ForkServer:
    """Start the functions of one Python file, each in a process of its own."""

    def __init__(self, program: Path, path: Sequence[str] = (), *, preload: Path | None = None) -> None:
        """Start the process to fork from, which imports ``program`` once.

        path: where it finds modules besides; preload: a library to load before it.
        """
        self._output = tempfile.NamedTemporaryFile(prefix="leftoff-kills-")  # noqa: SIM115  # until close()
        start = "import sys; from leftoff.testing.kills_server import serve; sys.exit(serve(*sys.argv[1:]))"
        command = [sys.executable, "-c", start, str(program), self._output.name]
        found = [entry for entry in (*path, os.environ.get("PYTHONPATH", "")) if entry]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0, env=environment)
        self._faults = preload is not None

    def run(
        self,
        function: str,
        *arguments: Any,
        after: float | None = None,
        boundary: int | None = None,
        line: int | None = None,
        sent: int = signal.SIGKILL,
        inside: Sequence[str] = OURS,
        record: str | os.PathLike[str] | None = None,
        fault: Fault | None = None,
        folder: str | os.PathLike[str] | None = None,
        from_start: bool = False,
        limit: float = 60.0,
    ) -> End:
        """Run a function until its end or its death.

        arguments: what JSON can hold; after: seconds from its first line in a ledger until it is killed, so that a slow
        start moves no instant, or with ``from_start`` from its start; boundary: where it is killed; line: the number of
        the line before which it gets the signal ``sent``, counted in files whose paths begin as one of ``inside``
        (default: leftoff's journal and work); record: a new file for the places of these lines; fault: what happens to
        one of its calls, on a server from `leftoff.testing.faults.fault_server`; folder: where it runs, by default this
        process's at the start of this server; limit: seconds after which TimeoutError is raised, with the stacks of all
        its threads.
        """
        if fault is not None and not self._faults:
            raise UsageError("this server injects no faults; make one with leftoff.testing.faults.fault_server()")
        request = {
            "function": function, "arguments": arguments, "after": after, "boundary": boundary, "line": line,
            "sent": int(sent), "inside": list(inside), "record": record and os.fspath(record), "limit": limit,
            "fault": fault.request() if fault is not None else None,
            "folder": folder and os.fspath(folder), "from_start": from_start,
        }  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        answer = self._process.stdout.readline()
        output = Path(self._output.name).read_text("utf-8", "replace")
        if not answer:
            raise RuntimeError(f"the process to fork from ended with {self._process.wait()}; see its stderr")
        reply = json.loads(answer)
        if reply.pop("hung"):
            raise TimeoutError(f"{function} still ran after {limit} s:\n{output}")
        return End(**reply, output=output)

    def close(self) -> None:
        """End the process to fork from."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._output.close()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main(arguments: list[str]) -> None:
    """Run a script under the switch that LEFTOFF_KILL sets."""
    sys.argv = arguments
    Switch(int(os.environ["LEFTOFF_KILL"])).arm()
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
