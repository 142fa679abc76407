"""Write papers to a file or a stream: the one function behind `leftoff papers export`.

1. A file appears under its name whole, or stays as it was. Memory holds one paper, whatever the size of the library.
2. All is read in one transaction: a sync that goes on meanwhile is seen whole or not at all.
3. What is written of a paper depends on that paper alone.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple, get_args

from leftoff.errors import Stopped, UsageError
from leftoff.papers.export_bibtex import bibtex_writer
from leftoff.papers.export_csl import write_csl
from leftoff.papers.export_ris import write_ris
from leftoff.papers.export_table import write_csv, write_jsonl
from leftoff.papers.exported import Exported, all_ids, exported, named_ids
from leftoff.papers.reading import reading
from leftoff.work.progress import Progress
from leftoff.work.replacing import replacing
from leftoff.work.signals import StopGuard

ExportFormat = Literal["bibtex", "ris", "csl-json", "csv", "jsonl"]
FORMATS: Final[tuple[str, ...]] = get_args(ExportFormat)
SUFFIXES: Final[dict[str, ExportFormat]] = {
    ".bib": "bibtex", ".ris": "ris", ".json": "csl-json", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
CHECKED_EVERY = 200  # papers between two looks at the clock and at what was asked to stop

Writer = Callable[[IO[bytes], Iterable[Exported]], None]


class ExportReport(NamedTuple):
    """Be what an export wrote: so many papers, in this format."""

    papers: int
    format: str


def export(
    db: str | PathLike[str],
    target: str | PathLike[str] | IO[bytes],
    papers: Iterable[str | int] = (),
    *,
    format: ExportFormat | None = None,  # noqa: A002  # what users call it
    latex: bool = False,
    progress: bool = True,
) -> ExportReport:
    """Write the papers of a database; a file appears under its name whole, or stays as it was.

    target: a path, or a binary stream; papers: DOIs in any form, PMIDs or PMCIDs (default: all papers); format:
    default by the path's suffix; latex: in BibTeX, accents and symbols as LaTeX commands; progress: show a bar.

    Nothing is locked or changed; a sync may go on meanwhile. Raises UsageError for a wrong call or a paper that is not
    there, before anything is written; `MissingExtra` where latex needs pylatexenc and it is not installed;
    JournalMissing, NotAJournal or JournalDamaged for the database; OSError as the system gives it.
    """
    wanted = _format(target, format)
    write = _writer(wanted, latex=latex)
    names = [str(papers)] if isinstance(papers, (str, int)) else [str(each) for each in papers]
    path = Path(fspath(db)).absolute()
    with StopGuard() as guard, reading(path) as connection:
        ids: Sequence[int] | None = named_ids(connection, names, path) if names else None
        total = connection.execute("SELECT count(*) FROM paper").fetchone()[0] if ids is None else len(ids)
        bar = Progress("exporting", total, enabled=progress)
        with _file(target, path) as file:
            counting = _Counting(connection, all_ids(connection) if ids is None else ids, guard, bar)
            try:
                write(file, counting)
            except Stopped as stopped:
                raise Stopped(f"{stopped.message.partition(';')[0]}; nothing was written", stopped.code) from None
            finally:
                bar.close(counting.count)
    return ExportReport(counting.count, wanted)


class _Counting:
    """Iterate papers, and count them as they go by."""

    def __init__(self, connection: sqlite3.Connection, ids: Iterable[int], guard: StopGuard, bar: Progress) -> None:
        self.count = 0
        self._connection, self._ids, self._guard, self._bar = connection, ids, guard, bar

    def __iter__(self) -> Iterator[Exported]:
        for paper in self._ids:
            self.count += 1
            yield exported(self._connection, paper)
            if self.count % CHECKED_EVERY == 0:
                self._guard.check()
                if (now := time.time()) >= self._bar.due:
                    self._bar.show(now, self.count)


def _format(target: str | PathLike[str] | IO[bytes], given: str | None) -> str:
    """Return the format that is meant."""
    if given is not None:
        if given not in FORMATS:
            raise UsageError(f"format={given!r}: write one of {', '.join(FORMATS)}")
        return given
    if not isinstance(target, (str, PathLike)):
        raise UsageError(f"a stream has no suffix that would choose the format: say which, one of {', '.join(FORMATS)}")
    suffix = Path(fspath(target)).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"{fspath(target)}: its suffix chooses the format: .bib, .ris, .json (CSL-JSON), .csv or .jsonl; "
            f"or name the format, one of {', '.join(FORMATS)}"
        )
    return SUFFIXES[suffix]


def _writer(wanted: str, *, latex: bool) -> Writer:
    if wanted == "bibtex":
        return bibtex_writer(latex=latex)
    if latex:
        raise UsageError(f"LaTeX commands are for BibTeX, not for {wanted}: leave latex out")
    return {"ris": write_ris, "csl-json": write_csl, "csv": write_csv, "jsonl": write_jsonl}[wanted]


@contextmanager
def _file(target: str | PathLike[str] | IO[bytes], db: Path) -> Iterator[IO[bytes]]:
    """Open what is written to. Raise UsageError for what an export would be the end of."""
    if not isinstance(target, (str, PathLike)):
        yield target
        return
    path = Path(fspath(target))
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} is a directory; name a file")
    if path.exists() and (path.samefile(db) or _is_database(path)):
        raise UsageError(f"{path} is a database, and would be replaced by an export; name another file")
    if path.exists() and not path.is_file():  # a device or a pipe is written to: a new name would take its place
        with path.open("wb") as file:
            yield file
        return
    with replacing(path, "wb") as file:
        yield file


def _is_database(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"
