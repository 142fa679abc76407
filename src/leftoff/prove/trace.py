"""Read from strace what a program does to the files of its folder, and let strace kill it right before such a call.

1. `when=N` of strace's injection counts the calls of one name in one thread; so does `Call.nth`, failures included.
2. A thread killed at the entry of a call does not make it: what came before has happened, the call has not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_WRITES: Final = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate", "sendfile")
_OPENS: Final = ("openat", "open", "creat", "openat2")
_NAMED: Final = ("truncate", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat")
_PAIRS: Final = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat")
_SYNCS: Final = ("fsync", "fdatasync", "syncfs", "sync")
_TRACED: Final = ",".join(f"?{name}" for name in (*_WRITES, *_OPENS, *_NAMED, *_PAIRS, *_SYNCS, "copy_file_range"))
MOST: Final = 65535
"""How far strace counts: a later call cannot be told to it."""

_LINE: Final = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))", re.DOTALL)
_RESULT: Final = re.compile(r"\)\s+= (-?\d+|\?)(?:<((?:[^<>\\]|\\.)*)>)?")
_UNFINISHED: Final = " <unfinished ...>"
_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(?:AT_FDCWD|\b\d+)<((?:[^<>\\]|\\.)*)>')
_ESCAPE: Final = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}


class Call(NamedTuple):
    """Be one call that succeeded: its name, which call of that name in its thread it was, and what it touched.

    ``path`` and the ``target`` of a rename or link are absolute; ``flags`` is the text of its arguments.
    """

    name: str
    nth: int
    path: str
    target: str
    flags: str

    @property
    def kind(self) -> str:
        """What it does: open, write, name (a change of one name), pair (a rename or link) or sync."""
        for kind, names in (("open", _OPENS), ("name", _NAMED), ("pair", _PAIRS), ("sync", _SYNCS)):
            if self.name in names:
                return kind
        return "write"


def available() -> str | None:
    """Return why strace cannot be used here, None if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-f", "-y", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    return None if tried.returncode == 0 else f"strace is not allowed here: {tried.stderr.strip()[:200]}"


def traced(command: list[str], trace: Path) -> list[str]:
    """Return the command that runs a command and writes what it does to files into ``trace``."""
    return [*_strace(_TRACED, trace), "--", *command]


def killing(command: list[str], trace: Path, name: str, nth: int) -> list[str]:
    """Return the command that kills a program at the entry of the nth call of a name of one of its threads.

    `Watch` tells from ``trace`` when it has.
    """
    return [*_strace(name, trace), "-e", f"inject={name}:signal=SIGKILL:when={nth}", "--", *command]


def _strace(names: str, trace: Path) -> list[str]:
    # -s 0: no content; -y: the path of each descriptor, so that none has to be followed from call to call
    return ["strace", "-f", "-q", "-y", "-s", "0", "-e", f"trace={names}", "-o", str(trace)]


class Watch:
    """Look again and again whether strace has killed a thread; ``trace`` is what it writes."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace
        self._read = 0
        self._rest = b""

    def killed(self) -> bool:
        """Return whether it has; each byte is read once."""
        if self._trace.exists():
            with self._trace.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            self._read += len(new)
            lines = (self._rest + new).split(b"\n")
            self._rest = lines.pop()
            return any(b"+++ killed by SIGKILL" in line for line in lines)
        return False


def read(trace: Path, folder: Path) -> list[Call]:
    """Return the calls of a trace, in the order in which they began; ``folder`` is where the program was started."""
    with trace.open(encoding="utf-8", errors="surrogateescape") as lines:
        return list(_calls(lines, str(folder)))


def _calls(lines: Iterable[str], folder: str) -> Iterator[Call]:
    counts: Counter[tuple[str, str]] = Counter()
    homes: dict[str, str] = {}
    halves: dict[str, tuple[int, str, str]] = {}
    found: list[tuple[int, Call]] = []
    for number, line in enumerate(lines):
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        thread, resumed, rest, name, text = match.groups()
        began = number
        if resumed:
            if thread not in halves:
                continue
            began, name, half = halves.pop(thread)
            text = half + rest
        else:
            counts[thread, name] += 1
            if text.endswith(_UNFINISHED):
                halves[thread] = (number, name, text[: -len(_UNFINISHED)])
                continue
        call = _call(name, counts[thread, name], text, thread, homes, folder)
        if call is not None:
            found.append((began, call))
    return (call for _, call in sorted(found, key=lambda pair: pair[0]))


def _call(name: str, nth: int, text: str, thread: str, homes: dict[str, str], folder: str) -> Call | None:
    """Return a call, None if it failed; ``homes`` keeps the working folder that a thread was last seen in."""
    result = list(_RESULT.finditer(text))
    if not result or result[-1][1].startswith(("-", "?")):
        return None
    arguments = text[: result[-1].start()]
    paths: list[str] = []
    base = homes.get(thread, folder)
    descriptors = []
    for token in _TOKEN.finditer(arguments):
        if token[2] is not None:
            base = _unescaped(token[2])
            descriptors.append(base)
            if token[0].startswith("AT_FDCWD"):
                homes[thread] = base
        else:
            paths.append(os.path.normpath(os.path.join(base, _unescaped(token[1]))))  # noqa: PTH118  # text, not files
    if name in _OPENS:
        paths = [_unescaped(result[-1][2])] if result[-1][2] else paths
    elif name not in (*_NAMED, *_PAIRS):
        paths = descriptors[-1:] if name == "copy_file_range" else descriptors[:1]
    return Call(name, nth, paths[0] if paths else "", paths[1] if len(paths) > 1 else "", arguments)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if code.isdigit() else _LETTERS.get(code, code)

    return os.fsdecode(_ESCAPE.sub(plain, text.encode("utf-8", "surrogateescape")))
