"""Repair a directory of segments: each damaged file is written anew from what of it can be believed.

1. Nothing is changed before all that can be refused was looked at. Sound files stay as they are, byte for byte.
2. No writer lives and nobody claims anything meanwhile: who lives knows places in files that would change under it.
3. A file keeps its id, by which others take back what it says. One whose header is lost gets an id that follows from
   its name, and says nothing more of keys that somebody took back in a file that is not here.
4. A key of which a lost entry reads as a conclusion, or as one taken back, counts as not done, whoever concluded it:
   only that entry knew what of the other files it took back.
5. A run keeps its header: that of the other files or, where none tells, its id, which follows from the directory's.
6. What is added is later than all that can be read, in an epoch above all, as what any other writer adds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from leftoff.errors import JournalBusy, JournalDamaged, LocksUnavailable
from leftoff.journal.entry import SUPERSEDING, Draft, Entry, created, moved_to
from leftoff.journal.jsonl_repair import Survey, write_anew
from leftoff.journal.jsonl_scan import HEADER as FIRST_LINE
from leftoff.journal.jsonl_scan import make_header, time_text, understood
from leftoff.journal.jsonl_verify import Line, examine_jsonl, names_on
from leftoff.journal.jsonl_write import JsonlWriter
from leftoff.journal.lock import is_held
from leftoff.journal.rebuilding import keep_original, rebuilding
from leftoff.journal.repairing import FATES, Remains
from leftoff.journal.segments import LATER, SegmentsStore, hold_claims
from leftoff.journal.segments_header import HEADER, header_line, new_run_id, read_header
from leftoff.journal.segments_merged import order
from leftoff.journal.store import Damage, Examined, Repair
from leftoff.journal.sync import unreadable

_SOUND: Final = Repair([], 0, 0, [], [], None)


def plan_segments(path: Path, url: str, *, plausible: bool) -> Repair:
    """Return what a repair would keep and lose, without writing."""
    if not _is_journal(path, url):
        return _SOUND
    directory = _Directory(path, url, plausible=plausible)
    parts = directory.header_plan(None)
    parts += [(name, directory.plan(name)) for name in directory.damaged()]
    if not parts:
        SegmentsStore(Path(url)).close()  # which says what is wrong with files that are sound, each by itself
    return _sum_of(parts)


def repair_segments(path: Path, url: str, *, plausible: bool) -> Repair:
    """Keep the originals aside and put what can be believed in their places; sound files are left alone."""
    if not _is_journal(path, url):
        return _SOUND
    try:
        hold = hold_claims(path, url)
    except LocksUnavailable:
        raise LocksUnavailable(
            f"{url}: this file system has no working locks, so nobody can tell whether a writer lives; nothing was"
            " changed. Stop all writers, copy the directory to a local disk, repair it there, and put its files back"
        ) from None
    try:
        _refuse_living(path, url)
        directory = _Directory(path, url, plausible=plausible)
        parts = directory.mend_header()
        parts += [(name, directory.mend(name)) for name in directory.damaged()]
        SegmentsStore(Path(url)).close()
        return _sum_of(parts)
    finally:
        hold.release()


def _is_journal(path: Path, url: str) -> bool:
    """Return whether there is something to look at. Raise `NotAJournal` for a directory that holds something else."""
    if os.path.exists(path / HEADER):
        return True
    SegmentsStore(Path(url)).close()
    return False


def _refuse_living(path: Path, url: str) -> None:
    for name in _segments_in(path, url):
        if is_held(path / name):
            raise JournalBusy(
                f"{url} is worked on: the process that writes {name} (its host and its pid stand in the name) lives;"
                " wait for it to end or stop it"
            )


def _segments_in(path: Path, url: str) -> list[str]:
    try:
        names = os.listdir(path)
    except OSError as error:
        raise unreadable(url, error) from error
    return sorted(name for name in names if name.endswith(".jsonl") and not name.startswith("."))


def _sum_of(parts: list[tuple[str, Repair]]) -> Repair:
    """Return what becomes of the directory: all that becomes of its damaged files."""
    told = [part for _, part in parts]
    undone = dict.fromkeys(key for part in told for key in part.undone)
    renewed = dict.fromkeys(run for part in told for run in part.renewed)
    kept, left_out = sum(part.kept for part in told), sum(part.left_out for part in told)
    return Repair(
        [found for part in told for found in part.damage], kept, left_out, [*undone], [*renewed], None, tuple(parts)
    )


@dataclass
class _Header:
    """Be what `journal.json` says: the journal's id and when it was made; ``damage`` where that is told otherwise."""

    id: str
    made: float
    damage: list[Damage]


class _Directory:
    """Know what all files say; a damaged one is read once more as it is written anew."""

    def __init__(self, path: Path, url: str, *, plausible: bool) -> None:
        """Read everything. Raise `JournalDamaged` for what cannot be repaired."""
        self.path = path
        self.url = url
        self.plausible = plausible
        self.parts: dict[str, _Part] = {}
        self.examined: dict[str, Examined] = {}
        for name in _segments_in(path, url):
            self.examined[name] = examine_jsonl(path / name, url + name)
            with self._opened(name) as part:
                for _ in part.commits(url + name):
                    pass
            self.parts[name] = part
        self._refuse_strangers()
        self.header = self._read_header()

    def damaged(self) -> list[str]:
        """Return the names of the damaged files."""
        return [name for name, examined in self.examined.items() if examined.damage]

    def _opened(self, name: str) -> _Part:
        return _Part(self, name, os.open(self.path / name, os.O_RDONLY | os.O_CLOEXEC))

    def _refuse_strangers(self) -> None:
        """Raise `JournalDamaged` for a file that was brought in from another journal."""
        known: dict[str, str] = {}
        for name, part in self.parts.items():
            for run, value in part.created.items():
                if known.setdefault(run, value["id"]) != value["id"]:
                    raise JournalDamaged(
                        f"{self.url}{name} belongs to another journal: its run {run!r} has another id than here; move"
                        " it away"
                    )

    def _read_header(self) -> _Header:
        with understood(self.url):
            try:
                return _Header(*read_header(self.path / HEADER), [])
            except JournalDamaged:
                told = {(run, str(value["id"])) for part in self.parts.values() for run, value in part.created.items()}
        ids = {run_id[:16] for _, run_id in told}
        journal_id = ids.pop() if len(ids) == 1 else ""
        if any(run_id != new_run_id(journal_id, run) for run, run_id in told) or not told:
            raise JournalDamaged(
                f"{self.url}{HEADER} is not what was written, and the runs here do not tell the id that stood there:"
                " restore a copy of the file, or copy each segment that is sound into a journal of its own with:"
                " leftoff copy"
            )
        made = min(at for part in self.parts.values() for at in part.begun.values())
        what = Damage(self.url + HEADER, "not what was written", "the journal's id; no entry", "its runs tell the id")
        return _Header(journal_id, made, [what])

    def header_plan(self, aside: str | None) -> list[tuple[str, Repair]]:
        """Return what becomes of `journal.json` where it is damaged."""
        return [(HEADER, Repair(self.header.damage, 0, 0, [], [], aside))] if self.header.damage else []

    def mend_header(self) -> list[tuple[str, Repair]]:
        """Put a damaged `journal.json` in its place anew; the same id gives new runs the same ids."""
        if not self.header.damage:
            return []
        path = self.path / HEADER
        aside = keep_original(path, "damaged")
        with rebuilding(path) as temporary:
            JsonlWriter(temporary, header_line(self.header.id, self.header.made)).close()
        return self.header_plan(aside.name)

    def plan(self, name: str) -> Repair:
        """Return what becomes of a damaged file."""
        with self._opened(name) as part:
            for _ in part.commits(self.url + name):
                pass
            for _ in part.endings(""):
                pass
        self.parts[name] = part
        return part.told(self.examined[name], None)

    def mend(self, name: str) -> Repair:
        """Keep a damaged file aside and write it anew."""
        path = self.path / name
        aside = keep_original(path, "damaged")
        with self._opened(name) as part, rebuilding(path) as temporary:
            write_anew(part, temporary, self.url + name, aside.name)
        self.parts[name] = part
        return part.told(self.examined[name], aside.name)

    def header_of(self, run: str) -> Draft:
        """Draft a run's header as another segment tells it, or with the id that follows from the directory's."""
        for part in self.parts.values():
            if run in part.created:
                value = json.dumps(part.created[run], ensure_ascii=False, separators=(",", ":"))
                return Draft("created", "", value)
        return created(None, new_run_id(self.header.id, run))

    def may_be_new(self, run: str) -> bool:
        """Return whether the id of `header_of` may be new: nobody tells it, and the run is older than the directory."""
        parts = self.parts.values()
        return not any(run in part.created for part in parts) and any(
            part.begun.get(run, self.header.made) + LATER < self.header.made for part in parts
        )

    def epoch_of(self, run: str) -> int:
        """Return the highest epoch that can be read of a run."""
        return max((part.runs[run].epoch for part in self.parts.values() if run in part.runs), default=0)

    def moved(self, run: str) -> str | None:
        """Return where the newest owner says that the run goes on, None for here."""
        owners = [part.owners[run] for part in self.parts.values() if run in part.owners]
        return moved_to(max(owners, key=order, default=None))

    def concluded_by(self, run: str, key: str, but: str) -> dict[str, int]:
        """Return the segments to name to take a key's conclusions back; none where no other one concludes it."""
        others = [part for name, part in self.parts.items() if name != but and run in part.runs]
        if not any(key in part.runs[run].fates for part in others):
            return {}
        return {part.id: part.seq for part in others if part.runs[run].tells_of(key)}

    def taken_back_elsewhere(self) -> Iterator[tuple[str, str]]:
        """Yield (run, key) of which something was taken back in a file that is not here, or whose id was lost."""
        known = {part.id for part in self.parts.values()}
        for part in self.parts.values():
            yield from ((run, key) for run, key, ids in part.voids if not ids <= known)


class _Part(Survey):
    """Know what of one segment can be believed, and what it ends with, given all others."""

    def __init__(self, directory: _Directory, name: str, fd: int) -> None:
        """Take the open file; `commits` reads it."""
        super().__init__(fd, plausible=directory.plausible)
        self.name = name
        self.created: dict[str, dict[str, Any]] = {}  # of each run, what its header says
        self.begun: dict[str, float] = {}  # time of each run's oldest entry here, seconds since 1970
        self.newest = 0.0
        self.owners: dict[str, Entry] = {}
        self.voids: list[tuple[str, str, set[str]]] = []  # run, key, and of which segments something is taken back
        self._lost: dict[tuple[str, str], None] = {}  # run and key of fates that lost lines read as
        self._directory = directory

    def __enter__(self) -> _Part:  # noqa: PYI034  # typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def id(self) -> str:
        """The id by which others name it."""
        match = FIRST_LINE.match(self.header or b"")
        return match[2].decode() if match else blake2b(self.name.encode(), digest_size=8).hexdigest()

    def new_header(self) -> bytes:
        """Return the first line of the new file, with the old id or the one that follows from its name."""
        return self.header or make_header(self.id, time_text(time.time()))

    def take(self, entry: Entry) -> None:
        """Take in one entry that is kept."""
        super().take(entry)
        self.newest = entry.at.timestamp()
        self.begun.setdefault(entry.run, self.newest)
        if entry.kind == "created":
            self.created[entry.run] = entry.value
        elif entry.kind == "owner":
            self.owners[entry.run] = entry
        elif entry.kind in SUPERSEDING and entry.value is not None:
            self.voids.append((entry.run, entry.key, set(entry.value["of"])))

    def lose(self, line: Line) -> None:
        """Take in a line that is not kept."""
        super().lose(line)
        self._lost |= {(run, key): None for run, kind, key in names_on(line.data) if kind in FATES}

    def endings(self, aside: str) -> Iterator[list[tuple[int, bytes]]]:
        """Yield the last commit of each run."""
        self._settle()
        yield from super().endings(aside)

    def _settle(self) -> None:
        """Bring in what only the other files can tell."""
        directory = self._directory
        self.newest = self.at = max(time.time(), *(part.newest + LATER for part in directory.parts.values()))
        for run, key in self._lost:
            if named := directory.concluded_by(run, key, self.name):
                remains = self.runs.setdefault(run, Remains())
                remains.undone[key] = None
                remains.elsewhere[key] = json.dumps({"of": named}, separators=(",", ":"))
        if self.header is None:
            for run, key in directory.taken_back_elsewhere():
                if run in self.runs and key in self.runs[run].fates:
                    self.runs[run].undone[key] = None
        for run, remains in self.runs.items():
            remains.header = directory.header_of(run)
            remains.epoch = directory.epoch_of(run)
            remains.moved = directory.moved(run)

    def told(self, examined: Examined, aside: str | None) -> Repair:
        """Say what is kept and what is lost; a run's lost header costs its tokens only where nothing tells its id."""
        told = super().told(examined, aside)
        return told._replace(renewed=[run for run in told.renewed if self._directory.may_be_new(run)])
