"""A directory of segments: one JSON Lines file for each writer, merged on read. No lock is held while work goes on.

1. A process that owns something here writes to a new file of its own, and to no other: a restart begins a new one.
2. All have one id, in `journal.json`: whoever comes first makes it, in one step (`os.link`), and the ids of the runs
   follow from it, so that writers that never meet give an item the same token.
3. Where the file system has locks, a writer holds one on its file, which tells that it lives. Then a share of keys has
   one living owner: claims are made one after the other, under a lock that is held for that moment only.
4. Where it has none, nobody can be kept out: what two writers both did is found when their files are read, and told.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from heapq import merge
from pathlib import Path
from typing import Any, Final, NamedTuple

from leftoff.errors import (
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalUnusable,
    LocksUnavailable,
    NotAJournal,
)
from leftoff.journal.entry import Entry, Tries
from leftoff.journal.jsonl import JsonlStore
from leftoff.journal.jsonl_owner import Appender
from leftoff.journal.jsonl_scan import HEADER_LENGTH, Position, entries_on, understood
from leftoff.journal.jsonl_verify import examine_jsonl
from leftoff.journal.lock import FileHold, Hold, is_held_by
from leftoff.journal.segment import Segment, shown
from leftoff.journal.segments_header import HEADER, make_header, new_name, new_run_id, read_header
from leftoff.journal.segments_merged import Merged, order
from leftoff.journal.segments_owner import SegmentOwner
from leftoff.journal.shard import WHOLE, Shard
from leftoff.journal.store import Damage, Durability
from leftoff.journal.sync import open_private, sync_directory, unreadable, unusable

_PATIENCE: Final = 10.0  # seconds for somebody else's claim, which takes milliseconds
_NAMED: Final = 5
# Seconds, so that a time is later once it is cut to milliseconds: a float may lie just below the one it was read from.
LATER: Final = 0.0015


class _Look(NamedTuple):
    """Be what one look found new: so many entries, in these parts of the segments."""

    entries: int
    parts: list[tuple[Segment, Position, Position]]


class SegmentsStore:
    """Keep runs in a directory of JSON Lines files, one for each writer."""

    shared = True
    promises = frozenset({"P1", "P2", "P3", "P4", "P6", "P7", "P8", "P9"})

    def __init__(self, path: Path, durability: Durability = "power") -> None:
        """Open a journal for reading and check every byte of it; a directory that does not exist is an empty journal.

        Raise `NotAJournal` for a directory that holds something else.
        """
        self.url = f"{path}{os.sep}"
        self.path = Path(os.path.realpath(path))
        self.durability = durability
        self.notes: list[str] = []
        self._id = ""
        self._segments: dict[str, Segment] = {}
        self._merged: dict[str, Merged] = {}
        self._looks: list[_Look] = []
        self._seen: dict[str, Position] = {}
        self._ids: dict[str, str] = {}  # of each run, which is one in all segments
        self._appender: Appender | None = None
        self._own = ""  # the name of the file that this process writes to
        self._closed = False
        self._look()

    # -- reading -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Check what is new in the directory."""
        if self._closed:
            raise JournalClosed(f"{self.url} was closed; open it again")
        known = bool(self._id)  # before the look: another thread may create the journal meanwhile
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            names = []
        except NotADirectoryError:
            raise NotAJournal(f"{self.url} is no directory; name a journal's file without the slash") from None
        except OSError as error:
            raise unreadable(self.url, error) from error
        if HEADER not in names:
            if any(not name.startswith(".") for name in names) or known:
                what = f"it holds {min(names)!r}, but no {HEADER}" if names else f"its {HEADER} is gone"
                raise NotAJournal(
                    f"{self.url} is no journal: {what}; name a new or empty directory, or put {HEADER} back"
                )
            return
        if not self._id:
            with understood(self.url):
                self._id = read_header(self.path / HEADER)[0]
        for name in sorted(names):
            if name.endswith(".jsonl") and not name.startswith(".") and name not in self._segments:
                self._segments[name] = Segment(self.path / name)
        changed = [segment.look() for segment in self._list()]
        if any(changed):
            self._merged = {run: merged for run, merged in self._merged.items() if merged.owned}
            self._check_ids()

    def _list(self) -> list[Segment]:
        return sorted(self._segments.values(), key=lambda segment: segment.first)

    def _check_ids(self) -> None:
        """Raise `JournalDamaged` for a file that was brought in from another journal."""
        for segment in self._list():
            for entry in segment.new_headers:
                if self._ids.setdefault(entry.run, entry.value["id"]) != entry.value["id"]:
                    raise JournalDamaged(
                        f"{segment.path} belongs to another journal: its run {entry.run!r} has another id than here;"
                        " move it away"
                    )
            segment.new_headers.clear()

    def _run(self, run: str) -> Merged:
        merged = self._merged.get(run)
        if merged is None or not merged.owned:
            self._look()
            merged = self._merged.get(run)
        if merged is None:
            merged = self._merged[run] = Merged(run, self._list())
        return merged

    def runs(self) -> list[str]:
        """Return the names of the runs, oldest first."""
        self._look()
        each = (list(segment.created.values()) for segment in self._list())
        return list(dict.fromkeys(entry.run for entry in merge(*each, key=order)))

    def entries(self, run: str | None = None, after: int = 0) -> Iterator[Entry]:
        """Iterate the entries with a greater seq than ``after``, oldest first, each one checked.

        Writers do not number their entries together: seq counts what this handle has read, in the order of its looks.
        """
        self._look()
        self._add_look()
        behind = 0
        first = {name: segment for segment in reversed(self._list()) for name in segment.created}
        for look in list(self._looks):
            if behind + look.entries > after:
                parts = [_told_once(segment, start, end, first) for segment, start, end in look.parts]
                for seq, entry in enumerate(merge(*parts, key=order), start=behind + 1):
                    if seq > after and run in (None, entry.run):
                        yield Entry(seq, entry.run, entry.kind, entry.key, entry.value, entry.at, entry.epoch)
            behind += look.entries

    def _add_look(self) -> None:
        parts = []
        for segment in self._list():
            if segment.end is not None:
                start = self._seen.get(segment.path.name, Position(HEADER_LENGTH, 0, 0))
                if start.offset < segment.end.offset:
                    parts.append((segment, start, segment.end))
                    self._seen[segment.path.name] = segment.end
        if parts:
            self._looks.append(_Look(sum(end.seq - start.seq for _, start, end in parts), parts))

    def latest(self, run: str, kind: str, key: str = "") -> Entry | None:
        """Return the newest entry of a kind and key; of several writers', by the times that they wrote down."""
        merged = self._run(run)
        found = merged.latest(kind, key)
        if merged.owned and (kind, key) in merged.named:
            return self._segments[self._own].entry_at(merged.named[kind, key])
        return found

    def newest(self, run: str) -> Entry | None:
        """Return the newest entry of a run."""
        merged = self._run(run)
        if merged.owned:
            return next(iter(deque(self.entries(run), maxlen=1)), None)
        return max((shown(list(entries_on(line))[-1]) for line in merged.last_lines()), key=order, default=None)

    def holder(self, run: str) -> dict[str, Any] | None:
        """Return host, pid and start of the newest of the processes that work on the run, None if none is known to."""
        living = self.living(run)
        return living[-1].who(run) if living else None

    def living(self, run: str) -> list[Segment]:
        """Return the segments of the writers that work on the run at this moment, oldest first."""
        self._look()
        found = [segment for segment in self._list() if run in segment.owners and segment.is_live()]
        return sorted(found, key=lambda segment: order(segment.owners[run]))

    def doubles(self, run: str) -> list[str]:
        """Return the keys that two writers both did."""
        return list(self._run(run).doubles)

    def torn(self) -> int:
        """Return 0: nobody cuts what a dead writer left torn in its file; it is left out."""
        return 0

    def size(self) -> int:
        """Return the bytes of all files in the directory, but for what repairs kept aside."""
        return sum(size for kept, size in self._sizes() if not kept)

    def aside(self) -> int:
        """Return the bytes of what repairs kept aside."""
        return sum(size for kept, size in self._sizes() if kept)

    def _sizes(self) -> list[tuple[bool, int]]:
        if not self.exists():
            return []
        with os.scandir(self.path) as files:
            return [(".damaged-" in file.name, file.stat().st_size) for file in files]

    def exists(self) -> bool:
        """Return whether there is a journal."""
        return os.path.exists(self.path / HEADER)

    def keys(self, run: str, fate: str) -> Iterator[str]:
        """Iterate the keys whose fate is ``done`` or ``dead``, writer by writer."""
        sign = 1 if fate == "done" else -1
        merged = self._run(run)
        if fate == "dead" and not merged.dead:
            return iter(())
        return (key for key, mark in list(merged.fates.items()) if mark * sign > 0)

    def conclusions(self, run: str, keys: Sequence[str]) -> list[Entry | None]:
        """Return the conclusions of keys, in order; None for a key that has none."""
        merged = self._run(run)
        with understood(self.url):
            return merged.conclusions_of(keys, self._appender.fd if self._appender is not None else -1)

    def counts(self, run: str) -> tuple[int, int]:
        """Return how many keys are done, and how many are dead."""
        merged = self._run(run)
        return len(merged.fates) - merged.dead, merged.dead

    def open_items(self, run: str) -> dict[str, Tries]:
        """Return the items that were begun or failed and have no conclusion."""
        return dict(self._run(run).open_items)

    def verify(self) -> Iterator[Damage]:
        """Check every byte of every file, without writing."""
        for segment in self._list():
            try:
                with segment.opened():  # which says what is wrong with a file that is gone
                    pass
                yield from examine_jsonl(segment.path, str(segment.path)).damage
            except JournalUnusable:  # noqa: PERF203  # one file that cannot be read hides no other
                raise
            except JournalError as error:
                yield Damage(str(segment.path), str(error))
        try:
            SegmentsStore(self.path, self.durability).close()
        except JournalUnusable:
            raise
        except JournalError as error:
            yield Damage(self.url, str(error))

    # -- writing -------------------------------------------------------------------------------------------------

    def own(self, run: str, program: str | None = None, shard: Shard = WHOLE) -> SegmentOwner:
        """Take over a share of a run's keys. Raise `JournalBusy` while a process that has some of them lives."""
        self._create()
        with self._alone():
            self._look()
            self._refuse_living(run, shard)
            if self._appender is None:
                self._appender = self._begin()
            segments = self._list()
            newest = max(segment.newest for segment in segments) + LATER
            self._appender.not_before = max(self._appender.not_before, newest)
            known = [segment for segment in segments if run in segment.created]
            epoch = 1 + max((segment.owners[run].epoch for segment in known if run in segment.owners), default=0)
            owner = SegmentOwner(self._appender, run, epoch, shard, lambda: self._merged.pop(run, None))
            told = any(segment.path.name == self._own for segment in known)
            owner.claim(program, None if told else self._run_id(run, known))
        self._look()
        merged = self._merged[run] = Merged(run, self._list())
        owner.take_over(merged)
        self._note(run, merged)
        return owner

    def _run_id(self, run: str, known: Sequence[Segment]) -> str:
        return str(known[0].created[run].value["id"]) if known else new_run_id(self._id, run)

    def _refuse_living(self, run: str, shard: Shard) -> None:
        for segment in self._list():
            if segment.path.name == self._own or run not in segment.owners:
                continue
            claimed = segment.shard(run)
            who = segment.who(run)
            if claimed.overlaps(shard) and is_held_by(segment.path, who):
                raise JournalBusy(
                    f"the run {run!r} of {self.url} ({claimed}) is owned by process {who['pid']} on {who['host']}"
                    f" since {who['start']}; wait for it to end or stop it, or share the keys: shard=(0, 2) here,"
                    " shard=(1, 2) there"
                )

    def _note(self, run: str, merged: Merged) -> None:
        """Say what a user must know of the segments, once a take-over."""
        if merged.doubles:
            count, named = len(merged.doubles), ", ".join(map(repr, merged.doubles[:_NAMED]))
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            self.notes.append(f"{self.url}: two writers both did {named}{more} of the run {run!r}")
        torn = [segment for segment in self._list() if segment.torn and not segment.is_live()]
        if torn:
            size = sum(segment.torn for segment in torn)
            names = ", ".join(segment.path.name for segment in torn[:_NAMED])
            self.notes.append(f"{self.url}: the last commit of {names} was torn; these {size} bytes are left out")

    def _create(self) -> None:
        """Make the directory and its id where there is none."""
        try:
            if not self._id and not self.exists():
                self._look()  # which refuses what holds something else
                with suppress(FileExistsError):  # somebody was quicker, and may have died since
                    os.mkdir(self.path, 0o700)
                sync_directory(self.path.parent)  # first: who finds a header takes the directory for durable
                with suppress(FileExistsError):
                    make_header(self.path)
        except OSError as error:
            raise unusable(self.path, error) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process after the other look and claim, where the file system has locks."""
        try:
            hold = hold_claims(self.path, self.url)
        except LocksUnavailable:
            hold = None
            self.notes.append(
                f"{self.url}: this file system has no working locks, so a second writer of the same keys cannot be kept"
                " out; give each a shard of its own. What two writers both did is told"
            )
        try:
            yield
        finally:
            if hold is not None:
                hold.release()

    def _begin(self) -> Appender:
        """Create the file that this process writes to."""
        name = new_name()
        try:
            os.close(open_private(self.path / name, os.O_EXCL))
        except OSError as error:
            raise unusable(self.path / name, error) from error
        try:
            hold = FileHold(self.path / name)
        except LocksUnavailable:
            hold = None
        try:
            store = JsonlStore(self.path / name, self.durability)
            try:
                appender = store.begin_appending(hold)
            finally:
                store.close()
        except BaseException:
            if hold is not None:
                hold.release()
            raise
        self._own = name
        self._segments[name] = Segment(self.path / name)
        self._segments[name].look()
        return appender

    def close(self) -> None:
        """Close the journal; every owner is released."""
        self._closed = True
        if self._appender is not None:
            self._appender.close()
            self._appender = None


def hold_claims(path: Path, url: str) -> Hold:
    """Keep everybody from claiming anything in a directory; wait for the lock, which a claim has for a moment only."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return Hold(path / HEADER, 0, f"{url}, for a moment,")
        except JournalBusy:
            if time.monotonic() > end:
                raise
        time.sleep(0.002)


def _told_once(segment: Segment, start: Position, end: Position, first: dict[str, Segment]) -> Iterator[Entry]:
    """Iterate a part of a segment, without the headers of runs that are told by the ``first`` segment of each."""
    for entry in segment.entries(start.offset, end.offset):
        if entry.kind != "created" or first[entry.run] is segment:
            yield entry
