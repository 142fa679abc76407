"""Read what strace wrote down: the calls of one process and its threads on the files of one folder.

A call that is not understood and touches a file of the folder is an error, never left out: an incomplete recording
would prove too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from leftoff.testing.power_disk import FOLDER, Operation

_UNDERSTOOD: Final = (
    "openat close write pwrite64 lseek ftruncate fsync fdatasync ?rename ?renameat ?renameat2 ?unlink unlinkat"
)
_REFUSED: Final = (
    "writev pwritev pwritev2 ?truncate fallocate sync_file_range copy_file_range sendfile splice dup ?dup2 dup3"
    " ?link linkat ?symlink symlinkat ?mkdir mkdirat ?open ?creat"
)
CALLS: Final = ",".join(f"{_UNDERSTOOD} {_REFUSED} mmap clone ?clone3 ?fork ?vfork".split())
"""What strace is to trace; a question mark stands before what not every machine has."""

_LINE: Final = re.compile(r"(\d+) +(.*)")
_CALL: Final = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)(.*)", re.DOTALL)
_UNFINISHED: Final = " <unfinished ...>"
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SIDE: Final = "-shm"  # SQLite's shared memory: mapped, and never trusted after a crash


class Call(NamedTuple):
    """Be one finished call: the lines where it begins and ends, its name, arguments and result."""

    began: int
    ended: int
    name: str
    arguments: str
    result: int
    failed: bool


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls in the order in which they began, the two halves of each brought together."""
    halves: dict[str, tuple[int, str]] = {}
    found = []
    for number, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, text = match.groups()
        if text.endswith(_UNFINISHED):
            halves[thread] = (number, text[: -len(_UNFINISHED)])
            continue
        began = number
        if resumed := _RESUMED.match(text):
            began, half = halves.pop(thread)
            text = half + resumed[1]
        if whole := _CALL.match(text):
            result = int(whole[3])
            injected = "INJECTED" in whole[4]
            if result >= 0 or injected:
                found.append(Call(began, number, whole[1], whole[2], result, result < 0))
    return iter(sorted(found))


class _Open:
    """Be an open file: which, where the next `write` goes, whether always to its end."""

    def __init__(self, file: int, *, appends: bool) -> None:
        self.file, self.appends, self.position = file, appends, 0


class Reader:
    """Turn calls into operations on the files of a folder."""

    def __init__(self, folder: str) -> None:
        """Read the calls on the files right in ``folder``, an absolute path."""
        self._folder = folder.encode()
        self._open: dict[int, _Open] = {}
        self._sizes: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self.operations: list[Operation] = []

    def read(self, trace: Iterable[str]) -> list[Operation]:
        """Return the operations, each where it began, a sync where it ended."""
        for call in calls(trace):
            strings = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(call.arguments)]
            self._take(call, strings)
        return sorted(self.operations, key=lambda o: (o.ended if o.kind in ("sync", "failed") else o.began, o.ended))

    def _add(self, call: Call, kind: str, **fields: object) -> None:
        self.operations.append(Operation(kind, call.began, call.ended, call=call.name, **fields))  # type: ignore[arg-type]

    def _inside(self, path: bytes) -> str | None:
        """Return a path's name in the folder, "" for the folder itself, None for anything else."""
        if path == self._folder:
            return ""
        if not path.startswith(self._folder + b"/") or path.endswith(_SIDE.encode()):
            return None
        return path[len(self._folder) + 1 :].decode()

    def _take(self, call: Call, strings: list[bytes]) -> None:
        first = re.match(r"\d+", call.arguments)
        number = int(first[0]) if first else -1
        names = [self._inside(text) for text in strings] if call.name not in ("write", "pwrite64") else []
        if call.name == "openat":
            self._take_open(call, names[0] if names else None)
        elif call.name == "write" and number == 1:
            for line in strings[0].decode("utf-8", "replace").splitlines():
                self._add(call, "told", name=line)
        elif call.name.startswith("rename") and any(name is not None for name in names):
            self._take_rename(call, names)
        elif call.name.startswith("unlink") and names and names[0] is not None:
            self._names.pop(names[0], None)
            self._add(call, "unlink", name=names[0])
        elif call.name in ("clone", "clone3", "fork", "vfork"):
            if "CLONE_THREAD" not in call.arguments:
                raise ValueError(
                    f"the program started a process ({call.name}); one process and its threads can be recorded"
                )
        elif number in self._open:
            self._take_file(call, self._open[number], strings, number)
        elif any(name is not None for name in names) or self._maps(call):
            self._refuse(call)

    def _take_open(self, call: Call, name: str | None) -> None:
        self._open.pop(call.result, None)
        if name is None or call.failed:
            return
        if name and name not in self._names:
            file = self._names[name] = len(self._sizes) + 1
            self._sizes[file] = 0
            self._add(call, "link", name=name, file=file)
        file = self._names[name] if name else FOLDER
        self._open[call.result] = _Open(file, appends="O_APPEND" in call.arguments)
        if "O_TRUNC" in call.arguments and self._sizes[file]:
            self._sizes[file] = 0
            self._add(call, "truncate", file=file)

    def _take_rename(self, call: Call, names: list[str | None]) -> None:
        source, target = names
        if source is None or target is None:
            self._refuse(call)
            return
        self._names[target] = self._names.pop(source)
        self._add(call, "rename", name=source, target=target)

    def _take_file(self, call: Call, opened: _Open, strings: list[bytes], number: int) -> None:
        file = opened.file
        if call.name in ("fsync", "fdatasync"):
            self._add(call, "failed" if call.failed else "sync", file=file)
        elif call.name == "lseek":
            opened.position = call.result
        elif call.name == "ftruncate":
            size = self._sizes[file] = int(call.arguments.split(",")[1])
            self._add(call, "truncate", file=file, offset=size)
        elif call.name in ("write", "pwrite64"):
            at = self._sizes[file] if opened.appends else opened.position
            offset = int(call.arguments.rsplit(",", 1)[1]) if call.name == "pwrite64" else at
            if call.result > 0:
                self._add(call, "write", file=file, offset=offset, data=strings[0][: call.result])
                self._sizes[file] = max(self._sizes[file], offset + call.result)
                if call.name == "write":
                    opened.position = offset + call.result
        elif call.name == "close":
            del self._open[number]
        else:
            self._refuse(call)

    def _maps(self, call: Call) -> bool:
        if call.name != "mmap" or "MAP_SHARED" not in call.arguments or "PROT_WRITE" not in call.arguments:
            return False
        return int(call.arguments.split(",")[4]) in self._open

    def _refuse(self, call: Call) -> None:
        raise ValueError(f"{call.name}({call.arguments[:200]}) touches {self._folder.decode()} and cannot be recorded")
