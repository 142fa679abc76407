"""Check, repair and compact the journal at a place: each needs the place alone, and no other handle on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

from leftoff.errors import JournalDamaged, JournalMissing, UsageError
from leftoff.journal.entry import Entry
from leftoff.journal.jsonl_compact import compact_jsonl
from leftoff.journal.jsonl_repair import plan_jsonl, repair_jsonl
from leftoff.journal.jsonl_verify import examine_jsonl
from leftoff.journal.segments_header import HEADER as SEGMENTS
from leftoff.journal.store import Compacted, Damage, Examined, Repair, Store
from leftoff.work.journal import SQLITE_SUFFIXES, is_server, make_store, place_text

__all__ = ["Compacted", "Damage", "Examined", "Repair", "compact", "compare", "examine", "plan", "repair"]


_Mend = Callable[..., Repair]


class _Format(NamedTuple):
    """Be what one file format offers; a further format is one more line in `_format_of`."""

    examine: Callable[[Path, str], Examined]
    plan: _Mend
    repair: _Mend
    compact: Callable[..., Compacted]


_JSONL: Final = _Format(examine_jsonl, plan_jsonl, repair_jsonl, compact_jsonl)


def _sqlite() -> _Format:
    from leftoff.journal.sqlite_compact import compact_sqlite
    from leftoff.journal.sqlite_repair import plan_sqlite, repair_sqlite
    from leftoff.journal.sqlite_verify import examine_sqlite

    return _Format(examine_sqlite, plan_sqlite, repair_sqlite, compact_sqlite)


def _format_of(url: str) -> tuple[_Format, Path] | None:
    """Return the format of a file's place and its real path; None for a server, a directory and memory."""
    path = Path(url)
    if url == "memory:" or "://" in url or url.endswith(os.sep) or path.is_dir():
        return None
    if path.with_name(SEGMENTS).exists():
        raise UsageError(f"{url} is one writer's file of the journal {path.parent}{os.sep}; name that")
    known = {".jsonl": lambda: _JSONL, **dict.fromkeys(SQLITE_SUFFIXES, _sqlite)}
    if path.suffix not in known:
        make_store(url, "power")  # which says what is wrong with the name
    if not path.exists():
        raise JournalMissing(f"there is no journal {url}")
    return known[path.suffix](), Path(os.path.realpath(path))


def examine(place: str | os.PathLike[str]) -> Examined:
    """Check every byte of the journal at ``place``, without writing, also where it is too damaged to be opened.

    Raises JournalMissing, NotAJournal, JournalTooNew, JournalReadOnly and UsageError.
    """
    url = place_text(place)
    found = _format_of(url)
    if found is not None:
        return found[0].examine(found[1], url)
    try:
        with closing(make_store(url, "power", create=False)) as store:
            return Examined(list(store.verify()))
    except JournalDamaged as error:
        files = sorted(Path(url).glob("*.jsonl")) if not is_server(url) else []
        damage = [found for file in files for found in examine_jsonl(file, str(file)).damage]
        return Examined(damage or [Damage(url, str(error))])


def plan(place: str | os.PathLike[str], *, plausible: bool = False) -> Repair:
    """Return what `repair` would keep and lose, without writing; raise what it raises."""
    make_plan, _, path, url = _repairable(place)
    return make_plan(path, url, plausible=plausible)


def repair(place: str | os.PathLike[str], *, plausible: bool = False) -> Repair:
    """Keep the original aside as ``NAME.damaged-N`` and put in its place what of it can be believed.

    plausible: keep, too, what fits each other but not its place (JSON Lines), and a run's name that nothing else tells
    (SQLite). A sound journal is left alone. Killed at any instant, the old journal is there or the repaired one, and
    the original is not lost.

    Of a directory each damaged file is mended so, one after the other; the sound ones stay as they are, and none of its
    writers may live.

    Raises JournalBusy while another process owns a run, JournalDamaged for what cannot be repaired, UsageError for a
    journal that is no file and no directory, and what `examine` raises.
    """
    _, mend, path, url = _repairable(place)
    return mend(path, url, plausible=plausible)


def _repairable(place: str | os.PathLike[str]) -> tuple[_Mend, _Mend, Path, str]:
    """Return what plans and repairs the journal at a place, its real path, and what it is called."""
    url = place_text(place)
    found = _format_of(url)
    if found is not None:
        return found[0].plan, found[0].repair, found[1], url
    if url == "memory:" or "://" in url:
        raise UsageError(
            f"{url} is no file, so it cannot be kept aside and mended: restore a backup, or copy what is sound with:"
            " leftoff copy"
        )
    from leftoff.journal.segments_repair import plan_segments, repair_segments

    if not Path(url).exists():
        raise JournalMissing(f"there is no journal {url}")
    return plan_segments, repair_segments, Path(os.path.realpath(url)), f"{Path(url)}{os.sep}"


def compact(place: str | os.PathLike[str], *, keep: bool = False, vacuum: bool = False) -> Compacted:
    """Leave out the entries that no longer matter: what a journal answers stays the same, and so do seqs and epochs.

    keep: keep the original aside as ``NAME.before-N``, with which `compare` can prove what came of it; vacuum: rewrite
    a whole SQLite database, your tables included, so that the file gets smaller. Killed at any instant, the old
    journal is there or the compacted one.

    Raises JournalBusy while another process owns a run, JournalDamaged for a damaged journal, and UsageError.
    """
    url = place_text(place)
    found = _format_of(url)
    if vacuum and (found is None or found[1].suffix not in SQLITE_SUFFIXES):
        raise UsageError(f"{url}: vacuum=True is for SQLite; a JSON Lines file gets smaller anyway")
    if found is not None:
        more = {"vacuum": vacuum} if found[1].suffix in SQLITE_SUFFIXES else {}
        return found[0].compact(found[1], url, keep=keep, **more)
    if keep or not is_server(url):
        raise UsageError(f"{url} is no file: copy it into one with leftoff copy, and compact that")
    from leftoff.journal.postgres import PostgresStore
    from leftoff.journal.postgres_compact import compact_postgres

    with closing(make_store(url, "power", create=False)) as store:
        assert isinstance(store, PostgresStore)  # noqa: S101  # as its URL says
        return compact_postgres(store)


def compare(place: str | os.PathLike[str], old: str | os.PathLike[str]) -> list[Damage]:
    """Prove that the journal at ``place`` was compacted from ``old``: return where not, an empty list for a proof.

    Each run names what it was compacted from: that must be just where ``old`` ends; and each entry that was kept must
    be the one of ``old`` with its seq. Raises what opening either raises.
    """
    with (
        closing(make_store(place, "power", create=False)) as newer,
        closing(make_store(old, "power", create=False)) as older,
    ):
        return [damage for run in newer.runs() for damage in _compare(newer, older, run)]


def _compare(newer: Store, older: Store, run: str) -> list[Damage]:
    where = f"run {run}"
    named: Entry | None = None
    for entry in newer.entries(run):
        named = entry if entry.kind == "compacted" else named
    if named is None:
        return [Damage(where, f"it was not compacted, so nothing says that it came of {older.url}")]
    head = older.head(run) if hasattr(older, "head") else None
    wanted = (named.value["id"], named.value["seq"], int(named.value["sum"], 16))
    if head != wanted:
        ends = "holds no such run" if head is None else f"is journal {head[0]} and ends with seq {head[1]}"
        return [Damage(where, f"it came of journal {wanted[0]} with its end at seq {wanted[1]}; {older.url} {ends}")]
    left = older.entries(run)
    end = named.seq
    for entry in takewhile(lambda entry: entry.seq < end, newer.entries(run)):
        if entry != next((one for one in left if one.seq >= entry.seq), None):
            return [Damage(f"entry {entry.seq}", f"it is not the one of {older.url}")]
    return []
