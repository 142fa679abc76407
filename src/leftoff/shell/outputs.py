"""What the commands wrote: kept before their items are done, and found again.

1. What is kept in files is durable before the item's ``done`` (P1).
2. A path is made of a folder that the caller names and of a key's `folder_name`; none is read from a journal (P11).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from leftoff.errors import UsageError
from leftoff.journal.sync import PRIVATE, sync_directory
from leftoff.shell.names import folder_name
from leftoff.shell.processes import Ended, Output, let_go
from leftoff.work.journal import is_server
from leftoff.work.replacing import replacing

_BLOCK: Final = 1 << 20
_STREAMS: Final = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Finished:
    """Be what became of one item's command: its exit status, or the error of a dead letter, and what it wrote.

    ``folder`` has its output where that is kept in files; ``resumed`` says that an earlier run did it.
    """

    key: str
    exit: int | None
    seconds: float | None
    stdout: Output = b""
    stderr: Output = b""
    error: str | None = None
    folder: str | None = None
    resumed: bool = False

    def close(self) -> None:
        """Let go of what the command wrote."""
        let_go(self.stdout, self.stderr)


def pieces(output: Output) -> Iterator[bytes]:
    """Yield what a command wrote, never much of it at once."""
    if isinstance(output, bytes):
        if output:
            yield output
        return
    with open(output, "rb") if isinstance(output, Path) else output as file:  # noqa: PTH123  # either
        while block := file.read(_BLOCK):
            yield block


class Outputs:
    """Keep what commands write: in the journal where it is short, else, or where that is wished, in files."""

    def __init__(self, url: str, run: str, results: str | os.PathLike[str] | None) -> None:
        """Name the folder of all files: ``results``, or one beside the journal, made when it is needed."""
        self.always = results is not None
        beside = Path("leftoff" if is_server(url) else url)
        beside = beside.with_name(f"{beside.name}.outputs") / folder_name(run)
        self.root = beside if results is None else Path(results)
        if results is not None and self.root.exists() and not self.root.is_dir():
            raise UsageError(f"--results {self.root}: there is a file of that name, and no folder can be made")

    def folder(self, key: str) -> Path:
        """Return the folder of an item."""
        return self.root / folder_name(key)

    def keep(self, key: str, ended: Ended, *, is_done: bool = True) -> dict[str, Any]:
        """Return an item's value for the journal; what is not in it is durable in files by then.

        Of an item that is not done only what goes into ``results`` is kept.
        """
        value: dict[str, Any] = {"exit": ended.status, "seconds": round(ended.seconds, 3)}
        is_long = not (isinstance(ended.stdout, bytes) and isinstance(ended.stderr, bytes))
        if self.always or (is_long and is_done):
            self.write(key, ended)
            return {**value, "files": "results" if self.always else "outputs"}
        if isinstance(ended.stdout, bytes) and isinstance(ended.stderr, bytes):
            return {**value, "stdout": _text(ended.stdout), "stderr": _text(ended.stderr)}
        return value

    def write(self, key: str, ended: Ended) -> None:
        """Write what a command wrote to ``stdout`` and ``stderr`` in its item's folder, durably; let the rest go."""
        folder = self.folder(key)
        _make_folder(folder)
        for name, output in zip(_STREAMS, (ended.stdout, ended.stderr), strict=True):
            with replacing(folder / name, "wb") as file:
                os.fchmod(file.fileno(), PRIVATE)
                if isinstance(output, bytes):
                    file.write(output)
                elif not isinstance(output, Path):
                    shutil.copyfileobj(output, file, _BLOCK)
        ended.close()
        ended.stdout, ended.stderr = folder / "stdout", folder / "stderr"

    def kept(self, key: str, value: dict[str, Any]) -> tuple[Output, Output, str | None]:
        """Return what a command of an earlier run wrote, and the folder that has it if it is not in the journal.

        Raises FileNotFoundError where files are gone, or belong to another ``results``.
        """
        if "files" not in value:
            return _bytes(value["stdout"]), _bytes(value["stderr"]), None
        folder = self.folder(key)
        for name in _STREAMS:
            if not (folder / name).exists():
                raise FileNotFoundError(
                    f"the output of {key} is not in {folder}; give the --results of the run that kept it, or let it be"
                    " made again: leftoff forget"
                )
        return folder / "stdout", folder / "stderr", str(folder)


def _text(output: bytes) -> str | bytes:
    try:
        return output.decode()
    except UnicodeDecodeError:
        return output


def _bytes(kept: str | bytes) -> bytes:
    return kept.encode() if isinstance(kept, str) else kept


def _make_folder(folder: Path) -> None:
    """Make a private folder with all above it, whose names are durable."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)  # another worker may just have made it
    sync_directory(folder.parent)
