"""Commit what a source found: the one function behind `leftoff adopt`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from leftoff.adopt.found import Done, Doubt, Found, NotDone, Note
from leftoff.errors import UnusableKey, UnusableValue, UsageError
from leftoff.journal.entry import Draft
from leftoff.journal.store import Durability
from leftoff.work.journal import Journal
from leftoff.work.journal import open as open_journal
from leftoff.work.keys import own_key
from leftoff.work.progress import Progress
from leftoff.work.run import Run
from leftoff.work.signals import StopGuard
from leftoff.work.values import encode

_CHUNK: Final = 500  # entries a commit
_NAMED: Final = 20  # so many doubts are kept, the others counted

Tell = Callable[[Done], object]


@dataclass(slots=True)
class Adopted:
    """Be what an adoption did: how many keys it ``adopted``, and how many were done or dead here before (``known``).

    ``not_done`` failed there; ``doubts`` were not believed, the first few of them are ``doubted``; ``notes`` say what
    is to be known of the source; ``new`` says that there was no such run before.
    """

    run: str
    new: bool = False
    adopted: int = 0
    known: int = 0
    not_done: int = 0
    doubts: int = 0
    doubted: list[Doubt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def doubt(self, doubt: Doubt) -> None:
        """Count something that is not believed."""
        self.doubts += 1
        if len(self.doubted) < _NAMED:
            self.doubted.append(doubt)


def adopt(
    place: str | os.PathLike[str],
    source: Iterable[Found],
    *,
    run: str | None = None,
    durability: Durability = "power",
    dry_run: bool = False,
    progress: bool = True,
    tell: Tell | None = None,
) -> Adopted:
    """Record as done what a source says is done, each key once; kill it at any instant and call it again.

    place: the journal, as `leftoff.open` takes it, made if absent; source: what one of the functions of this package
    found, or `Done`, `NotDone` and `Doubt` of your own; run: the loop that will go on (default: the only run there);
    durability: see `leftoff.open`; dry_run: change nothing; progress: show a bar; tell: called with each `Done` that
    was adopted, once it is committed, or would be.

    Raises UsageError for a source that cannot be right, before anything is written; `JournalBusy` while the run is
    being worked on; `Stopped` after Ctrl-C or SIGTERM.
    """
    with StopGuard() as guard, open_journal(place, durability=durability) as journal:
        adopted = Adopted(run := run or _only_run(journal), new=run not in journal.runs())
        bar = Progress(f"adopting into {run}", enabled=progress)
        write = _dry(journal.run(run)) if dry_run else _committing(journal.run(run))
        try:
            for chunk in _chunks(source, adopted):
                fresh = write(chunk)
                adopted.adopted += len(fresh)
                adopted.known += len(chunk) - len(fresh)
                for key in fresh if tell is not None else ():
                    tell(chunk[key][0])  # type: ignore[misc]  # mypy forgets what the line above asked
                guard.check()
                if (now := time.time()) >= bar.due:
                    bar.show(now, adopted.adopted, adopted.known)
        finally:
            bar.close(adopted.adopted, adopted.known)
    return adopted


_Chunk = dict[str, tuple[Done, str | None]]


def _chunks(source: Iterable[Found], adopted: Adopted) -> Iterator[_Chunk]:
    """Yield what is done in chunks, by key and with the value as JSON; count the rest."""
    chunk: _Chunk = {}
    for found in source:
        if isinstance(found, NotDone):
            adopted.not_done += 1
        elif isinstance(found, Doubt):
            adopted.doubt(found)
        elif isinstance(found, Note):
            adopted.notes.append(found.text)
        else:
            try:
                key = own_key(found.key)
                text = encode(found.value, key)
            except (UnusableKey, UnusableValue) as error:
                adopted.doubt(Doubt(repr(found.key)[:60], str(error)))
                continue
            if key in chunk:
                adopted.known += 1
            else:
                chunk[key] = (found, text)
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = {}
    if chunk:
        yield chunk


def _committing(run: Run) -> Callable[[_Chunk], list[str]]:
    """Return what commits a chunk and returns the keys that were not known; the run is owned with the first."""

    def write(chunk: _Chunk) -> list[str]:
        run.refuse_pending("an adoption")
        owner = run.own()
        fresh = [key for key, mark in zip(chunk, owner.marks(list(chunk)), strict=True) if not mark]
        if fresh:
            owner.commit([Draft("done", key, chunk[key][1]) for key in fresh])
        return fresh

    return write


def _dry(run: Run) -> Callable[[_Chunk], list[str]]:
    """Return what only says which keys of a chunk are not known."""
    known = {key for fate in ("done", "dead") for key in run.keys(fate)}

    def write(chunk: _Chunk) -> list[str]:
        fresh = [key for key in chunk if key not in known]
        known.update(fresh)
        return fresh

    return write


def _only_run(journal: Journal) -> str:
    names = journal.runs()
    if len(names) == 1:
        return names[0]
    held = f"holds the runs {', '.join(names)}" if names else "holds no run yet"
    raise UsageError(
        f"{journal.url} {held}: name the loop that will go on, with run= here and in the loop itself (--run NAME)"
    )
