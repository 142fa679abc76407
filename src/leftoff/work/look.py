"""Look at a journal without owning it: nothing here locks, or changes a byte."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from leftoff.errors import JournalMissing
from leftoff.journal.entry import Entry, moved_to
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.store import Damage, Store
from leftoff.work.budget import spent_of
from leftoff.work.report import Report, report_of

if TYPE_CHECKING:
    from leftoff.work.journal import Journal


_FEW: Final = 10_000  # entries: less is not worth a word
_NAMED: Final = 4  # entries that a run has beside its items: header, owner, pass, open


@dataclass(frozen=True, slots=True)
class Holder:
    """Be the process that owned a run last: since when, what it asked for, and whether it ``runs`` at this moment.

    ``moved`` says where the run goes on if that process moved it away.
    """

    host: str
    pid: int
    start: str
    durability: str
    epoch: int
    runs: bool
    moved: str | None = None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Be where one run stands: its accounts, its newest entry, its owner, and what it has ``spent``.

    Where several processes share its keys, ``owner`` is the newest; ``living`` counts those that run at this moment,
    and ``doubles`` are the keys that two of them both did.
    """

    report: Report
    newest: Entry | None
    owner: Holder | None
    living: int = 0
    doubles: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """Be where a journal stands: ``size`` and ``torn`` in bytes; what is torn will be cut by the next owner.

    ``aside``: bytes of what recoveries, repairs and compactions have kept beside it; ``droppable``: about so many
    entries would go in a compaction.
    """

    url: str
    size: int
    torn: int
    runs: list[RunStatus]
    aside: int = 0
    droppable: int = 0

    @property
    def compacting_pays(self) -> bool:
        """Whether a compaction would leave less than half of a journal that is not small."""
        needed = sum(one.report.done + one.report.dead for one in self.runs)
        return self.droppable > max(needed, _FEW)


def look(journal: Journal, run: str | None = None, *, quick: bool = False) -> Status:
    """Return where a journal stands, or one run of it; ``quick`` leaves out what would have to be counted."""
    store = journal.store
    names = journal.runs() if run is None else [run]
    statuses = [_status(store, name) for name in names]
    live = any(status.living for status in statuses)
    torn = 0 if live else store.torn()
    return Status(store.url, _size(store), torn, statuses, _aside(store), 0 if quick else _droppable(store))


def _status(store: Store, run: str) -> RunStatus:
    report, newest = report_of(store, run), store.newest(run)
    if isinstance(store, SegmentsStore):
        living = store.living(run)
        entry = living[-1].owners[run] if living else store.latest(run, "owner")
        owner = _owner(store, run, entry)
        return RunStatus(report, newest, owner, len(living), store.doubles(run), spent_of(store, run))
    owner = _owner(store, run, store.latest(run, "owner"))
    return RunStatus(report, newest, owner, int(owner is not None and owner.runs), spent=spent_of(store, run))


def _owner(store: Store, run: str, entry: Entry | None) -> Holder | None:
    if entry is None:
        return None
    value: dict[str, Any] = entry.value
    holder = store.holder(run)
    runs = holder is not None and (holder.get("host"), holder.get("pid")) == (value["host"], value["pid"])
    return Holder(value["host"], value["pid"], value["start"], value["durability"], entry.epoch, runs, moved_to(entry))


def _droppable(store: Store) -> int:
    """Return about how many entries only tell of what came after them; in JSON Lines lines are counted."""
    if not hasattr(store, "length"):
        return 0
    needed = [(*store.counts(run), _NAMED) for run in store.runs()]
    return max(0, int(store.length()) - sum(map(sum, needed)))


def _aside(store: Store) -> int:
    """Return the bytes that were kept aside beside the journal's file."""
    if hasattr(store, "aside"):
        return int(store.aside())
    path = Path(store.url)
    if hasattr(store, "size") or not path.parent.is_dir():
        return 0
    kept = re.compile(re.escape(path.name) + r"\.(torn|damaged|before)-\d+(-wal)?")
    return sum(file.stat().st_size for file in path.parent.iterdir() if kept.fullmatch(file.name))


def _size(store: Store) -> int:
    """Return the bytes of the journal's files, or of its tables; a lock holds nothing of it."""
    if hasattr(store, "size"):
        return int(store.size())
    path = Path(store.url)
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def verify(place: str | os.PathLike[str]) -> list[Damage]:
    """Check every byte of the journal at ``place`` and return the damaged places, also those that forbid to open it.

    Raises JournalMissing, NotAJournal, JournalTooNew, JournalReadOnly and UsageError.
    """
    from leftoff.work.mend import examine

    return examine(place).damage


def follow(
    journal: Journal, run: str | None = None, *, after: int = 0, pause: Callable[[float], object] = time.sleep
) -> Iterator[Entry]:
    """Yield the entries with a greater seq than ``after``, then each new one as it is committed; never end.

    pause: called with the seconds to wait before the next look. Raises JournalMissing when the journal is gone.
    """
    while True:
        for entry in journal.entries(after=after):
            after = entry.seq
            if run in (None, entry.run):
                yield entry
        pause(0.2)
        require(journal)


def require(journal: Journal) -> None:
    """Raise JournalMissing where a journal that was there is no more."""
    store = journal.store
    if not (store.exists() if hasattr(store, "exists") else Path(store.url).exists()):
        raise JournalMissing(f"{journal.url} is gone: it was deleted or moved away")


def before_last(journal: Journal, run: str | None, count: int) -> int:
    """Return the seq behind which the last ``count`` entries begin, to be passed as ``after``."""
    seqs = deque((entry.seq for entry in journal.entries(run)), maxlen=count + 1)
    return seqs[0] if len(seqs) > count else 0
