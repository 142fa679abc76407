"""Let each call that a program makes on its files fail, one after the other, and see what it makes of it.

    with fault_server(Path("programs.py")) as server:        # def ingest(place, ledger): … in programs.py
        for call in itertools.count(1):
            place, ledger = f"work/{call}.db", f"{call}.ledger"
            end = server.run("ingest", place, ledger, fault=Fault("EIO", call, "work"))
            server.run("ingest", place, ledger)             # without a fault: to its end
            …                                               # what must hold, from outside
            if not end.fault:                               # nothing was left to fail
                break

What is faulted are the calls of one process to the C library, by a library of ours that is loaded before it: so those
of SQLite are reached like those of Python. Linux and a C compiler are needed. The method is that of SQLite's own tests
(sqlite.org/testing.html, 3.2 I/O error testing): no random faults, but the n-th call for every n.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from leftoff.errors import UsageError
from leftoff.testing.faults_board import LONGEST_FOLDER
from leftoff.testing.kills import ForkServer

__all__ = ["CALLS", "ERRORS", "Fault", "fault_server"]

CALLS: Final = ("open", "create", "read", "write", "sync", "truncate", "rename", "unlink")
"""The kinds of calls: every open, an open that may create, read and pread, write and pwrite, fsync and fdatasync, …"""

ERRORS: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "EIO": (errno.EIO, CALLS),
    "ENOSPC": (errno.ENOSPC, ("create", "write", "sync", "truncate", "rename")),
    "EINTR": (errno.EINTR, ("open", "read", "write", "sync", "truncate")),
    "short": (0, ("write",)),
}
"""Each error's number, and the calls that may answer with it; ``short`` writes the first half and says so."""


@dataclass(frozen=True)
class Fault:
    """Be one fault: which error, at which call of those that may answer so (from 1), on the files of which folder.

    lasting: whether every later one of these calls fails, too, as on a disk that stays full; not for EINTR and
    ``short``, after which a program is right to try again.
    """

    error: str
    call: int
    folder: str | os.PathLike[str]
    lasting: bool = False

    def __post_init__(self) -> None:
        if self.error not in ERRORS:
            raise UsageError(f"Fault({self.error!r}): write one of {', '.join(ERRORS)}")
        if self.call < 1:
            raise UsageError(f"Fault(call={self.call}): calls are counted from 1")
        if self.lasting and self.error in ("EINTR", "short"):
            raise UsageError(f"Fault({self.error!r}, lasting=True): a program that tries again would never end")
        if len(os.fsencode(os.path.realpath(self.folder))) >= LONGEST_FOLDER:
            raise UsageError(
                f"Fault(folder={self.folder!r}): a folder's path has less than {LONGEST_FOLDER} bytes here"
            )

    def request(self) -> dict[str, Any]:
        """Return what the process to fork from is told."""
        return {
            "at": self.call,
            "error": ERRORS[self.error][0],
            "lasting": self.lasting,
            "mask": sum(1 << CALLS.index(kind) for kind in ERRORS[self.error][1]),
            "folder": os.path.realpath(self.folder),
        }


@contextmanager
def fault_server(program: Path) -> Iterator[ForkServer]:
    """Yield a server whose programs can be given a `Fault`.

    program: a Python file, as for `ForkServer`. Raises RuntimeError where there is no Linux or no C compiler.
    """
    with (
        tempfile.TemporaryDirectory(prefix="leftoff-faults-") as folder,
        ForkServer(program, preload=_compile(Path(folder))) as server,
    ):
        yield server


def _compile(folder: Path) -> Path:
    """Make the library to preload."""
    if sys.platform != "linux":
        raise RuntimeError(f"faults are injected on Linux only, and this is {sys.platform}")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("there is no C compiler, and nothing can be injected without one: apt-get install gcc")
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(
            f"{compiler} could not compile {source} (are the C library's headers, libc6-dev, there?):\n{made.stderr}"
        )
    return library
