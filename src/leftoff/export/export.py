"""Write the rows to a file or a stream: the one function behind `leftoff export`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from leftoff.errors import Stopped, UsageError
from leftoff.export.columns import Columns
from leftoff.export.rows import Row, rows
from leftoff.export.text import write_csv, write_jsonl
from leftoff.journal.sync import PRIVATE
from leftoff.work.journal import Journal
from leftoff.work.progress import Progress
from leftoff.work.replacing import replacing
from leftoff.work.signals import StopGuard

_SUFFIXES: Final = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
FORMATS: Final = ("jsonl", "csv", "parquet")

Writer = Callable[[IO[bytes], Iterable[Row], Columns], None]


class Exported(NamedTuple):
    """Be what an export wrote: so many rows of these runs, in this format."""

    rows: int
    runs: list[str]
    format: str


def export(
    journal: Journal,
    target: str | os.PathLike[str] | IO[bytes],
    *,
    runs: list[str] | None = None,
    fate: str = "all",
    format: str | None = None,  # noqa: A002  # what users call it
    flatten: bool = False,
    progress: bool = True,
) -> Exported:
    """Write a row for each item that is done or dead; a file appears under its name whole, or stays as it was.

    target: a path, or a binary stream; runs: of these (default: all); fate: ``"done"``, ``"dead"`` or ``"all"``;
    format: ``"jsonl"``, ``"csv"`` or ``"parquet"`` (default: by the path's suffix, JSON Lines for a stream); flatten:
    a column for each field of the results that are objects; progress: show a bar.

    Nothing is locked or changed; the work may go on meanwhile. Raises UsageError, `MissingExtra` where pyarrow is not
    installed, OSError as the system gives it.
    """
    wanted = _format(target, format)
    write = _writer(wanted)
    names = journal.runs() if runs is None else runs
    columns = Columns.of_fields(rows(journal.store, names, fate)) if flatten else Columns()
    bar = Progress("exporting", _count(journal, names, fate), enabled=progress)
    with StopGuard() as guard, _file(target, journal) as file:
        counting = _Counting(rows(journal.store, names, fate), guard, bar)
        try:
            write(file, counting, columns)
        except Stopped as stopped:
            raise Stopped(f"{stopped.message.partition(';')[0]}; nothing was written", stopped.code) from None
        finally:
            bar.close(counting.count)
    return Exported(counting.count, names, wanted)


class _Counting:
    """Iterate rows, and count them as they go by."""

    def __init__(self, every: Iterator[Row], guard: StopGuard, bar: Progress) -> None:
        self.count = 0
        self._every, self._guard, self._bar = every, guard, bar

    def __iter__(self) -> Iterator[Row]:
        for row in self._every:
            self.count += 1
            yield row
            if self.count % 500 == 0:
                self._guard.check()
                if (now := time.time()) >= self._bar.due:
                    self._bar.show(now, self.count)


def _count(journal: Journal, runs: list[str], fate: str) -> int:
    counts = [journal.store.counts(run) for run in runs]
    return sum(done * (fate != "dead") + dead * (fate != "done") for done, dead in counts)


def _format(target: str | os.PathLike[str] | IO[bytes], given: str | None) -> str:
    """Return the format that is meant."""
    is_path = isinstance(target, (str, os.PathLike))
    if given is not None and given not in FORMATS:
        raise UsageError(f"format={given!r}: write {', '.join(map(repr, FORMATS))}")
    if given == "parquet" and not is_path:
        raise UsageError("a Parquet file is written to a file: -o FILE.parquet")
    if given is not None or not is_path:
        return given or "jsonl"
    suffix = Path(os.fspath(target)).suffix  # type: ignore[arg-type]  # it is a path
    if suffix not in _SUFFIXES:
        raise UsageError(f"{target}: its suffix chooses the format: .jsonl, .csv or .parquet; or say --format")
    return _SUFFIXES[suffix]


def _writer(wanted: str) -> Writer:
    if wanted == "parquet":
        from leftoff.export.parquet import write_parquet

        return write_parquet
    return {"jsonl": write_jsonl, "csv": write_csv}[wanted]


@contextmanager
def _file(target: str | os.PathLike[str] | IO[bytes], journal: Journal) -> Iterator[IO[bytes]]:
    """Open what is written to. Raise UsageError for a journal, which an export would be the end of."""
    if not isinstance(target, (str, os.PathLike)):
        yield target
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} is a directory; name a file")
    there = path.exists()
    if there and _is_journal(path, journal):
        raise UsageError(f"{path} is a journal, and would be replaced by its export; name another file")
    with replacing(path, "wb") as file:
        if not there and hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), PRIVATE)
        yield file


def _is_journal(path: Path, journal: Journal) -> bool:
    here = Path(journal.url)
    if here.exists() and path.samefile(here):
        return True
    with path.open("rb") as file:
        begin = file.read(16)
    return begin.startswith((b'{"leftoff":"', b"SQLite format 3\0"))
