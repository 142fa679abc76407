"""Cut the power of a real file system: what was not on its disk is gone, and its own recovery has the last word.

A `FileSystem` is an ext4 or XFS in a file, mounted through a loop device (Linux, as root). `cut_power` runs a program
on it, shuts the file system down while the program works, kills the program and mounts again; what the program told
until then can be held against what is there.

    with FileSystem("ext4") as disk:
        told = cut_power(disk, [sys.executable, "program.py", disk.folder], lines=20)
        done = set(leftoff.open(disk.folder / "work.db").run("work").keys("done"))
        assert {line.key for line in told if line.word == "acknowledged"} <= done

1. The shutdown (`FS_IOC_SHUTDOWN`) takes effect at once: nothing in memory reaches the disk any more, and every later
   call of the program on its files fails. So whatever a sync returned from before is on the disk, and nothing else need
   be.
2. However a block ends, the program is dead, the file system unmounted, the loop device free and the file removed. Only
   a SIGKILL of the testing process itself leaves them: ``umount`` and ``losetup --detach`` are yours then.
3. Sectors are not torn by it, and a drive that lies is not there; `leftoff.testing.power` has what a disk may do beyond
   this.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, final

from leftoff.testing.power import Told

KINDS: Final = ("ext4", "xfs")
"""The file systems whose power can be cut."""

_SIZE: Final = 512 << 20  # bytes, of which few are ever used; XFS takes no less than 300 MiB
_SHUTDOWN: Final = 0x8004587D  # _IOR('X', 125, __u32), the same for ext4 and XFS
_FLUSH_LOG: Final = 1
_FLUSH_NOTHING: Final = 2
_MAKE: Final = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
_PACKAGES: Final = {"mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs", "mount": "mount", "umount": "mount"}


def missing(kind: str) -> list[str]:
    """Return the packages (of Debian) with the programs that are not installed and a file system needs."""
    return sorted({_PACKAGES[name] for name in (_MAKE[kind][0], "mount", "umount") if shutil.which(name) is None})


@functools.cache
def why_not(kind: str) -> str | None:
    """Return why the power of a file system cannot be cut on this machine, None where it can."""
    if sys.platform != "linux":
        return f"{kind} is shut down by a call that only Linux has"
    if os.geteuid() != 0:
        return f"to mount an {kind} takes root"
    if packages := missing(kind):
        return f"not installed: {' '.join(packages)}"
    try:
        with FileSystem(kind) as disk:
            disk.cut()
            disk.restore()
    except (OSError, RuntimeError) as error:
        return f"this system does not let an {kind} be mounted and shut down: {error}"
    return None


@final
class FileSystem:
    """Be a file system of one's own, on which the power can be cut again and again."""

    def __init__(self, kind: str, *, options: str = "") -> None:
        """Make one in the block that follows ``with``.

        kind: one of `KINDS`; options: more options for mount, such as ``data=writeback``.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        self.kind = kind
        self._options = ",".join(["loop", *filter(None, [options])])

    def __enter__(self) -> FileSystem:
        """Make, mount and return it: its files belong right into ``folder``.

        Raises RuntimeError, with what the program said, where it cannot be made or mounted.
        """
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self._place = Path(tempfile.mkdtemp(prefix="leftoff-powercut-", dir=memory))
        self._image, self.folder = self._place / "image", self._place / "folder"
        self._mounted = False
        try:
            self.folder.mkdir()
            with self._image.open("wb") as file:
                file.truncate(_SIZE)
            _run(*_MAKE[self.kind], self._image)
            self._mount()
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Unmount it and remove everything."""
        self._clear()

    def cut(self, *, flush_log: bool = False) -> None:
        """Shut it down: nothing more reaches the disk.

        flush_log: let names and lengths reach it first, as they stand in memory, and still no bytes of files: so files
        are as long as they had become, and read as zeros where they were not synced.
        """
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _FLUSH_LOG if flush_log else _FLUSH_NOTHING))
        finally:
            os.close(fd)

    def restore(self) -> None:
        """Give it its power back: unmount it, and mount it again, which replays its log. Nothing may be open on it."""
        _run("umount", self.folder)
        self._mounted = False
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-t", self.kind, "-o", self._options, self._image, self.folder)
        self._mounted = True

    def _clear(self) -> None:
        if self._mounted:
            _run("umount", "--lazy", self.folder)  # a file that is still open shall not keep it in sight
            self._mounted = False
        shutil.rmtree(self._place)


def cut_power(
    disk: FileSystem,
    command: Sequence[str | os.PathLike[str]],
    *,
    lines: int,
    flush_log: bool = False,
    environment: Mapping[str, str] | None = None,
) -> list[Told]:
    """Run a command and cut the power as soon as it has told so many lines, or has ended; return all it told till then.

    lines: 0 cuts while it starts; flush_log: as in `FileSystem.cut`; environment: what is added to that of this
    process. The command tells by `leftoff.testing.power.tell`. What it tells once the cut has begun does not count:
    ext4 lets a sync that is under way then succeed (seen on Linux 6.18), which nobody lives to tell of a real cut. It
    runs in the disk's folder's parent, so that it keeps nothing there open but what it opens itself.

    Raises RuntimeError where it ended by itself with an exit code other than 0 before the power was cut.
    """
    told: list[Told] = []
    with tempfile.TemporaryFile() as errors:
        program = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            cwd=disk.folder.parent,
        )
        output = program.stdout
        assert output is not None
        try:
            while len(told) < lines and (line := _read(output)):
                told.append(line)
            if len(told) < lines and program.wait():
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace")
                raise RuntimeError(f"the program ended with {program.returncode}:\n{said}")
            told += _there(output)
            disk.cut(flush_log=flush_log)
        finally:
            program.kill()
            program.wait()
            output.close()
    disk.restore()
    return told


def _read(output: IO[bytes]) -> Told | None:
    """Read a line that was told; None at the end. One without its end was not told."""
    line = output.readline()
    return _told(line) if line.endswith(b"\n") else None


def _there(output: IO[bytes]) -> list[Told]:
    """Read the whole lines that wait to be read."""
    waiting = array("i", [0])
    fcntl.ioctl(output, termios.FIONREAD, waiting)
    return [_told(line) for line in output.read(waiting[0]).splitlines(keepends=True) if line.endswith(b"\n")]


def _told(line: bytes) -> Told:
    word, _, key = line.decode("utf-8", "replace").rstrip("\n").partition(" ")
    return Told(word, key)


def _run(*command: str | os.PathLike[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{command[0]} ended with {ran.returncode}: {(ran.stderr or ran.stdout).strip()}")
