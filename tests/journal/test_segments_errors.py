"""What the system, or somebody else, does to a directory of segments, and what is said of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import (
    DurabilityUnavailable,
    JournalBusy,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalReadOnly,
    JournalUnusable,
)
from leftoff.journal import segments
from leftoff.journal.jsonl_scan import HEADER_LENGTH
from leftoff.journal.lock import Hold
from leftoff.journal.segments import SegmentsStore
from leftoff.journal.store import values_of
from tests.contract.drafts import done, started
from tests.journal.jsonl_files import seal
from tests.journal.segments_files import files, lock_nobody_out, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "progress"


def fail(
    monkeypatch: pytest.MonkeyPatch, call: str, number: int, concerns: Callable[..., bool] = lambda *_: True
) -> None:
    """Let a system call fail where its arguments say so."""
    real = getattr(os, call)

    def failing(*arguments: Any, **options: Any) -> Any:
        if concerns(*arguments):
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, failing)


def is_at(path: Path) -> Callable[..., bool]:
    return lambda name, *_: os.fspath(name) == os.fspath(path)


def work_goes_on(folder: Path) -> None:
    """Let the next writer find everything free and sound."""
    store = SegmentsStore(folder)
    store.own("r").commit([done("next")])
    assert "next" in store.keys("r", "done")
    assert list(store.verify()) == []
    store.close()


# -- reading ---------------------------------------------------------------------------------------------------------


def test_a_value_of_this_process_that_cannot_be_read_is_an_error_of_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails to give back what this very process has written is told as such, with the journal's name."""
    store = SegmentsStore(folder)
    store.own("r").commit([done("a", 1)])
    fail(monkeypatch, "pread", errno.EIO)
    with pytest.raises(JournalUnusable, match=r"progress/ cannot be used \(Input/output error\)"):
        values_of(store, "r", ["a"])
    monkeypatch.undo()
    assert values_of(store, "r", ["a"]) == [1]
    store.close()


unopened = pytest.mark.parametrize(
    ("number", "error", "said"),
    [
        (errno.EACCES, JournalReadOnly, "cannot be read: Permission denied"),
        (errno.EMFILE, JournalUnusable, r"cannot be used \(Too many open files\).*ulimit"),
    ],
)


@unopened
def test_a_directory_that_cannot_be_read_is_no_empty_journal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[JournalError], said: str
) -> None:
    """Neither the permission that lacks nor a limit makes a loop begin anew: the error names the directory."""
    write(folder, done("a"))
    fail(monkeypatch, "listdir", number, is_at(folder))
    with pytest.raises(error, match=f"progress/? {said}"):
        SegmentsStore(folder)


@unopened
def test_a_file_that_cannot_be_opened_is_not_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[JournalError], said: str
) -> None:
    """What one writer did is never missing without a word: the error names its file."""
    path = write(folder, done("a"))
    write(folder, done("b"))
    fail(monkeypatch, "open", number, is_at(path))
    with pytest.raises(error, match=rf"{path.name} {said}"):
        SegmentsStore(folder)


def test_a_file_that_got_shorter_is_damage(folder: Path) -> None:
    """What was read once and is gone is no torn tail, also where the file now ends between two commits."""
    path = write(folder, done("a"), done("b"))
    reader = SegmentsStore(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(JournalDamaged, match=rf"{path.name} is shorter than it was; restore a copy of the file"):
        reader.counts("r")
    path.write_bytes(whole)
    assert reader.counts("r") == (2, 0)
    reader.close()


def test_a_file_that_gets_shorter_under_a_reader_ends_its_reading(folder: Path) -> None:
    """Entries that were checked and vanished before they were told are an error, and not left out."""
    path = write(folder, *(done(f"k{number}", "x" * 200_000) for number in range(4)))
    reader = SegmentsStore(folder)
    entries = reader.entries("r")
    assert [next(entries).kind for _ in range(3)] == ["created", "owner", "done"]
    os.truncate(path, HEADER_LENGTH)
    with pytest.raises(JournalDamaged, match=rf"{path.name} is shorter than it was"):
        list(entries)
    reader.close()


def test_a_line_longer_than_a_piece_is_read_whole(folder: Path) -> None:
    """An entry of any length is told as it was written, between its neighbours."""
    long = "x" * 1_000_000
    write(folder, done("a"), done("long", long), done("b"))
    reader = SegmentsStore(folder)
    assert [(entry.key, entry.value) for entry in reader.entries("r") if entry.kind == "done"] == [
        ("a", None), ("long", long), ("b", None)
    ]  # fmt: skip
    reader.close()


@pytest.mark.parametrize("shard", ["[2,2]", '"all"', "[0]"])
def test_a_claim_of_what_is_no_share_is_damage(folder: Path, shard: str) -> None:
    """A share that no key can belong to, sealed as if it had been written so, keeps the journal from being opened."""
    path = write(folder, done("a"))
    header, *lines = path.read_bytes().splitlines(keepends=True)
    bodies = [line[: line.rindex(b',"sum":"')] for line in lines]
    bodies[1] = bodies[1][: bodies[1].rindex(b"}")] + b',"shard":%s}' % shard.encode()
    path.write_bytes(seal(*bodies, header=header))
    with pytest.raises(JournalDamaged, match=rf"{path.name}: entry 2 claims what is no share of the keys"):
        SegmentsStore(folder)


# -- verifying -------------------------------------------------------------------------------------------------------


def test_each_file_that_is_not_what_was_written_is_its_own_place(folder: Path) -> None:
    """A file that is gone and one that is something else now hide nothing, and the directory says it cannot be read."""
    gone, other, _ = write(folder, done("a")), write(folder, done("b")), write(folder, done("c"))
    store = SegmentsStore(folder)
    assert list(store.verify()) == []
    gone.unlink()
    other.write_text("notes\n")
    found = list(store.verify())
    assert [(one.where, one.what) for one in found] == [
        (str(gone), f"{gone} was deleted or moved away; put it back"),
        (str(other), f"{other} is not a leftoff journal; name another file, or move this one away"),
        (store.url, f"{other} is not a leftoff journal; name another file, or move this one away"),
    ]
    store.close()


@pytest.mark.parametrize("call", ["pread", "listdir"])
def test_a_disk_that_fails_while_it_is_verified_is_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """An error of the system says nothing about the bytes, so it ends the check."""
    write(folder, done("a"))
    store = SegmentsStore(folder)
    with monkeypatch.context() as patch:
        fail(patch, call, errno.EIO)
        with pytest.raises(JournalUnusable, match=r"cannot be used \(Input/output error\)"):
            next(store.verify())
    assert list(store.verify()) == []
    store.close()


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_directory_without_a_parent_is_not_made(tmp_path: Path) -> None:
    """Where the folder for it vanished nothing is made in its place."""
    store = SegmentsStore(tmp_path / "gone" / "progress")
    with pytest.raises(JournalUnusable, match=r"gone/progress cannot be used \(No such file or directory\)"):
        store.own("r")
    assert list(tmp_path.iterdir()) == []
    store.close()


def test_a_directory_whose_name_could_vanish_is_not_begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the folder around it cannot be synced there is no header; afterwards the same handle makes it."""
    store = SegmentsStore(folder)
    with monkeypatch.context() as patch:
        fail(patch, "fsync", errno.EINVAL)
        with pytest.raises(DurabilityUnavailable, match=r"cannot be synced \(Invalid argument\).*local file system"):
            store.own("r")
    assert list(folder.iterdir()) == []
    store.own("r").commit([done("a")])
    store.close()
    work_goes_on(folder)


def test_a_claim_that_somebody_else_never_ends_is_waited_for_and_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims are made one after the other; a process that hangs in its own is named."""
    write(folder, done("a"))
    before = files(folder)
    monkeypatch.setattr(segments, "_PATIENCE", 0.0)
    hanging = Hold(folder / "journal.json", 0, "it")
    store = SegmentsStore(folder)
    with pytest.raises(JournalBusy, match=rf"progress/, for a moment, is owned by process {os.getpid()} on .*; wait"):
        store.own("r")
    assert files(folder) == before
    hanging.release()
    store.own("r")
    store.close()


def test_a_file_that_cannot_be_made_keeps_nobody_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that finds no space for its file has claimed nothing."""
    write(folder, done("a"))
    before = files(folder)
    store = SegmentsStore(folder)
    with monkeypatch.context() as patch:
        fail(patch, "open", errno.ENOSPC, lambda name, flags, *_: bool(flags & os.O_EXCL))
        with pytest.raises(JournalFull, match=r"\.jsonl: no space left"):
            store.own("r")
    assert files(folder) == before
    work_goes_on(folder)
    store.close()


@pytest.mark.parametrize("locks", [True, False])
def test_a_file_that_cannot_be_begun_is_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch, locks: bool) -> None:
    """A header that finds no space leaves an empty file, which nobody holds and which is no damage."""
    write(folder, started("a"))
    if not locks:
        lock_nobody_out(monkeypatch)
    before = set(files(folder))
    store = SegmentsStore(folder)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        fail(patch, "fdatasync", errno.ENOSPC)
        with pytest.raises(JournalFull, match=r"\.jsonl: no space left.*Free some space and start again"):
            store.own("r")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    (left,) = set(files(folder)) - before
    assert files(folder)[left] == b""
    assert store.living("r") == []
    work_goes_on(folder)
    store.close()
