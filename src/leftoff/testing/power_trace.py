"""Read what strace wrote down: the calls of processes and their threads on the files of one folder.

A call that is not understood and touches a file of the folder is an error, never left out: an incomplete recording
would prove too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from leftoff.testing.power_disk import FOLDER, Operation, parent

_UNDERSTOOD: Final = (
    "openat close write pwrite64 lseek ftruncate fsync fdatasync ?rename ?renameat ?renameat2 ?unlink unlinkat"
    " ?link linkat ?mkdir mkdirat ?dup2 dup3 clone ?clone3 ?fork ?vfork execve fcntl"
)
_REFUSED: Final = (
    "writev pwritev pwritev2 ?truncate fallocate sync_file_range copy_file_range sendfile splice dup"
    " ?symlink symlinkat ?rmdir ?open ?creat"
)
CALLS: Final = ",".join(f"{_UNDERSTOOD} {_REFUSED} mmap".split())
"""What strace is to trace; a question mark stands before what not every machine has."""

_LINE: Final = re.compile(r"(\d+) +(.*)")
_CALL: Final = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)(.*)", re.DOTALL)
_UNFINISHED: Final = " <unfinished ...>"
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FORKS: Final = ("clone", "clone3", "fork", "vfork")
_SIDE: Final = "-shm"  # SQLite's shared memory: mapped, and never trusted after a crash
_OUTPUT: Final = 1


class Call(NamedTuple):
    """Be one finished call: the lines where it begins and ends, its name, arguments and result, and whose it is."""

    began: int
    ended: int
    name: str
    arguments: str
    result: int
    failed: bool
    process: int

    @property
    def strings(self) -> list[bytes]:
        """The texts among the arguments."""
        return [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(self.arguments)]

    @property
    def number(self) -> int:
        """The first argument, where it is a number: mostly a descriptor."""
        first = re.match(r"\d+", self.arguments)
        return int(first[0]) if first else -1


def calls(lines: Iterable[str]) -> list[Call]:
    """Return the calls, the two halves of each brought together, in the order in which they took effect.

    That is where each began, but for opening what is there already: another process may have made it meanwhile.
    """
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
                found.append(Call(began, number, whole[1], whole[2], result, result < 0, int(thread)))
    return _by_process(sorted(found, key=_takes_effect))


def _takes_effect(call: Call) -> int:
    finds = call.name == "openat" and "O_CREAT" not in call.arguments
    return call.ended if finds else call.began


def _by_process(found: Sequence[Call]) -> list[Call]:
    """Give the calls of each thread to its process."""
    processes: dict[int, int] = {}
    owned = []
    for call in found:
        process = processes.get(call.process, call.process)
        if call.name in _FORKS and "CLONE_THREAD" in call.arguments:
            processes[call.result] = process
        owned.append(call._replace(process=process))
    return owned


class _Open:
    """Be an open file: which, where the next `write` goes, whether always to its end. A fork shares it."""

    def __init__(self, file: int, *, flags: str) -> None:
        self.file, self.appends, self.ends_at_exec, self.position = file, "O_APPEND" in flags, "O_CLOEXEC" in flags, 0


class Reader:
    """Turn calls into operations on the files of a folder."""

    def __init__(self, folder: str) -> None:
        """Read the calls on what stands in ``folder``, an absolute path."""
        self._folder = folder.encode()
        self._tables: dict[int, dict[int, _Open]] = {}  # of each process
        self._silent: set[int] = set()  # processes whose output goes elsewhere
        self._sizes: dict[int, int] = {}
        self._names: dict[str, int] = {"": FOLDER}
        self._operations: list[Operation] = []

    def read(self, found: Iterable[Call]) -> list[Operation]:
        """Return the operations, each where it began, a sync where it ended."""
        for call in found:
            self._take(call)
        return sorted(self._operations, key=lambda o: (o.ended if o.kind in ("sync", "failed") else o.began, o.ended))

    def _add(self, call: Call, kind: str, **fields: object) -> None:
        self._operations.append(Operation(kind, call.began, call.ended, call=call.name, **fields))  # type: ignore[arg-type]

    def _add_name(self, call: Call, kind: str, name: str, **fields: object) -> None:
        if parent(name) not in self._names:  # another process is about to return from making it
            self._make_folder(call, parent(name))
        self._add(call, kind, name=name, folder=self._names[parent(name)], **fields)

    def _inside(self, path: bytes) -> str | None:
        """Return a path's name in the folder, "" for the folder itself, None for anything else."""
        if path == self._folder:
            return ""
        if not path.startswith(self._folder + b"/") or path.endswith(_SIDE.encode()):
            return None
        name = path[len(self._folder) + 1 :].decode()
        return f"{name}/" if f"{name}/" in self._names else name

    def _take(self, call: Call) -> None:
        if call.failed and call.name not in ("fsync", "fdatasync"):
            return
        table = self._tables.setdefault(call.process, {})
        if call.name in ("write", "pwrite64"):
            self._take_write(call, table)
        elif call.name in (*_FORKS, "execve"):
            self._take_process(call, table)
        elif call.number in table:
            self._take_file(call, table, call.number)
        elif any(name is not None for name in (self._inside(text) for text in call.strings)):
            self._take_names(call, [self._inside(text) for text in call.strings], table)
        elif call.name in ("openat", "dup2", "dup3"):
            table.pop(call.result, None)  # the number is another file's now
            if call.result == _OUTPUT:
                self._silent.add(call.process)
        elif _maps(call, table):
            self._refuse(call)

    def _take_process(self, call: Call, table: dict[int, _Open]) -> None:
        """Take a call that makes a process, or another program of one."""
        if call.name == "execve":
            self._tables[call.process] = {fd: opened for fd, opened in table.items() if not opened.ends_at_exec}
            return
        if "CLONE_THREAD" in call.arguments:
            return
        if "CLONE_FILES" in call.arguments:
            self._refuse(call)
        self._tables[call.result] = dict(table)
        if call.process in self._silent:
            self._silent.add(call.result)

    def _take_names(self, call: Call, names: Sequence[str | None], table: dict[int, _Open]) -> None:
        """Take a call that names something in the folder."""
        name = names[0]
        if call.name == "openat" and name is not None:
            self._take_open(call, name, table)
        elif call.name.startswith("rename"):
            self._take_rename(call, names)
        elif call.name.startswith("link"):
            self._take_link(call, names)
        elif call.name.startswith("unlink") and name is not None and not name.endswith("/"):
            self._add_name(call, "unlink", name)
            self._names.pop(name, None)
        elif call.name.startswith("mkdir") and name is not None:
            self._make_folder(call, f"{name.rstrip('/')}/")
        else:
            self._refuse(call)

    def _make_folder(self, call: Call, name: str) -> None:
        if name not in self._names:
            self._names[name] = self._new()
            self._add_name(call, "mkdir", name, file=self._names[name])

    def _new(self) -> int:
        number = len(self._sizes) + 1
        self._sizes[number] = 0
        return number

    def _take_open(self, call: Call, name: str, table: dict[int, _Open]) -> None:
        if name not in self._names:
            self._names[name] = self._new()
            self._add_name(call, "link", name, file=self._names[name])
        file = self._names[name]
        table[call.result] = _Open(file, flags=call.arguments)
        if "O_TRUNC" in call.arguments and self._sizes[file]:
            self._sizes[file] = 0
            self._add(call, "truncate", file=file)

    def _take_link(self, call: Call, names: Sequence[str | None]) -> None:
        source, target = names
        if source is None or target is None:
            self._refuse(call)
            return
        self._names[target] = self._names[source]
        self._add_name(call, "link", target, file=self._names[target])

    def _take_rename(self, call: Call, names: Sequence[str | None]) -> None:
        source, target = names
        if source is None or target is None or source.endswith("/") or parent(source) != parent(target):
            self._refuse(call)
            return
        self._names[target] = self._names.pop(source)
        self._add_name(call, "rename", source, target=target)

    def _take_write(self, call: Call, table: dict[int, _Open]) -> None:
        opened = table.get(call.number)
        if opened is None:
            if call.number == _OUTPUT and call.process not in self._silent:
                for line in call.strings[0].decode("utf-8", "replace").splitlines():
                    self._add(call, "told", name=line)
            return
        file = opened.file
        at = self._sizes[file] if opened.appends else opened.position
        offset = int(call.arguments.rsplit(",", 1)[1]) if call.name == "pwrite64" else at
        if call.result > 0:
            self._add(call, "write", file=file, offset=offset, data=call.strings[0][: call.result])
            self._sizes[file] = max(self._sizes[file], offset + call.result)
            if call.name == "write":
                opened.position = offset + call.result

    def _take_file(self, call: Call, table: dict[int, _Open], number: int) -> None:
        """Take another call on a descriptor of a file of the folder."""
        file = table[number].file
        if call.name in ("fsync", "fdatasync"):
            self._add(call, "failed" if call.failed else "sync", file=file)
        elif call.name == "lseek":
            table[number].position = call.result
        elif call.name == "ftruncate":
            size = self._sizes[file] = int(call.arguments.split(",")[1])
            self._add(call, "truncate", file=file, offset=size)
        elif call.name == "close":
            del table[number]
        elif call.name != "fcntl" or "F_DUPFD" in call.arguments:
            self._refuse(call)

    def _refuse(self, call: Call) -> None:
        raise ValueError(f"{call.name}({call.arguments[:200]}) touches {self._folder.decode()} and cannot be recorded")


def _maps(call: Call, table: dict[int, _Open]) -> bool:
    """Return whether a call maps a file of the folder for writing."""
    if call.name != "mmap" or "MAP_SHARED" not in call.arguments or "PROT_WRITE" not in call.arguments:
        return False
    return int(call.arguments.split(",")[4]) in table
