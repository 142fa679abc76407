"""The few durable operations on files."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.errors import DurabilityUnavailable, JournalFull, JournalReadOnly, JournalUnusable, NotAJournal
from leftoff.journal import sync


def test_a_short_write_is_carried_on(monkeypatch, tmp_path):
    """`write_all` writes every byte, however few a call takes, and raises what stops it."""
    write = os.write
    fd = sync.open_private(tmp_path / "x")
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        sync.write_all(fd, b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync.write_all(fd, b"x")


def test_what_is_kept_aside_is_synced_with_its_name(monkeypatch, tmp_path):
    """The copy is on disk, and so is its directory, before the original may be cut."""
    events: list[str] = []
    monkeypatch.setattr(sync, "sync_file", lambda fd: events.append(f"file {os.fstat(fd).st_size}"))
    monkeypatch.setattr(sync, "sync_directory", lambda path: events.append(f"directory {path.name}"))
    aside = sync.keep_aside(tmp_path / "run.jsonl", b"tail", "torn")
    assert events == ["file 4", f"directory {tmp_path.name}"]
    assert (aside.name, aside.read_bytes()) == ("run.jsonl.torn-1", b"tail")
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_what_was_kept_aside_before_stays(tmp_path):
    """Each one has a number of its own, and none is written over."""
    kept = [sync.keep_aside(tmp_path / "run.jsonl", text, "torn") for text in (b"longest", b"two", b"")]
    assert [path.name for path in kept] == ["run.jsonl.torn-1", "run.jsonl.torn-2", "run.jsonl.torn-3"]
    assert [path.read_bytes() for path in kept] == [b"longest", b"two", b""]


def test_a_directory_that_cannot_be_synced_refuses_the_durability(monkeypatch, tmp_path):
    """A platform that cannot give it says so by name, instead of giving less."""

    def fail(fd: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DurabilityUnavailable) as refused:
        sync.sync_directory(tmp_path)
    assert str(refused.value) == (
        f"the directory {tmp_path} cannot be synced (Invalid argument), so a new file in it could vanish in a power"
        " failure; keep the journal on a local file system"
    )


def test_only_a_directory_is_synced_as_one(monkeypatch, tmp_path):
    """A file in its place is an error; on Windows, which cannot be asked, nothing is opened at all."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync.sync_directory(tmp_path / "file")
    monkeypatch.setattr(sys, "platform", "win32")
    sync.sync_directory(tmp_path / "file")


def test_a_directory_without_room_for_its_names_is_a_full_journal(monkeypatch, tmp_path):
    """Where a sync finds no space or quota the durability can be had, once there is some: the place is named."""
    for number in (errno.ENOSPC, errno.EDQUOT):

        def fail(fd: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(JournalFull, match=rf"{tmp_path}: no space left; .* Free some space and start again"):
                sync.sync_directory(tmp_path)


@pytest.fixture
def umask() -> Iterator[None]:
    """Let files of this process be made for the owner, and for the reading of the group."""
    before = os.umask(0o026)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_new_file_beside_has_the_mode_of_what_it_replaces(tmp_path):
    """Its name begins with a dot and is nobody else's; the mode is the target's, whatever the umask, or the umask's."""
    target = tmp_path / "result"
    fd, first = sync.create_beside(target)
    os.close(fd)
    assert stat.S_IMODE(first.stat().st_mode) == 0o640
    target.touch()
    target.chmod(0o606)
    fd, second = sync.create_beside(target)
    assert stat.S_IMODE(second.stat().st_mode) == 0o606
    sync.write_all(fd, b"both ways")
    assert os.pread(fd, 9, 0) == b"both ways"
    os.close(fd)
    assert first != second
    assert re.fullmatch(r"\.result\.[0-9a-f]{16}", first.name)


def test_a_new_file_beside_is_new(monkeypatch, tmp_path):
    """What somebody planted under its name is neither opened nor written over."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    (tmp_path / ".result.guessed").write_text("mine")
    with pytest.raises(FileExistsError):
        sync.create_beside(tmp_path / "result")
    assert (tmp_path / ".result.guessed").read_text() == "mine"


_ODD = "not a regular file"
_FULL = "run.db: no space left; everything committed before is intact. Free some space and start again"
_UNUSABLE = (
    "run.db cannot be used ({}); nothing that was committed has changed. Look into the system's log for errors of the"
    " disk, and at the limits of this process (ulimit -a), and start again"
)


@pytest.mark.parametrize(
    ("number", "expected", "said"),
    [
        (errno.ENOSPC, JournalFull, _FULL),
        (errno.EDQUOT, JournalFull, _FULL),
        (errno.EFBIG, JournalFull, _FULL),
        (errno.EROFS, JournalReadOnly, "run.db cannot be written: {}"),
        (errno.EPERM, JournalReadOnly, "run.db cannot be written: {}"),
        (errno.EACCES, JournalReadOnly, "run.db cannot be written: {}"),
        (errno.EIO, JournalUnusable, _UNUSABLE),
        (errno.EMFILE, JournalUnusable, _UNUSABLE),
    ],
)
def test_the_systems_refusals_have_names_of_ours(number, expected, said):
    """No space, no quota and a file limit are a full journal; what is forbidden and what fails are told apart."""
    error = sync.unusable(Path("run.db"), OSError(number, os.strerror(number)))
    assert (type(error), str(error)) == (expected, said.format(os.strerror(number)))


def test_an_error_of_ours_is_told_as_it_is():
    """It already says what happened to which file."""
    error = sync.full(Path("run.db"))
    assert sync.unusable(Path("other.db"), error) is error


@pytest.mark.parametrize(
    ("number", "expected", "said"),
    [
        (errno.EACCES, JournalReadOnly, "run.db cannot be read: {}"),
        (errno.EMFILE, JournalUnusable, _UNUSABLE),
    ],
)
def test_what_cannot_be_opened_for_reading_says_so(number, expected, said):
    """Nothing was to be written there; whatever else went wrong is told as ever."""
    error = sync.unreadable(Path("run.db"), OSError(number, os.strerror(number)))
    assert (type(error), str(error)) == (expected, said.format(os.strerror(number)))


def test_odd_files_are_no_journals(tmp_path):
    """Directories, pipes and devices are refused; a missing file is fine."""
    sync.refuse_odd_file(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    sync.refuse_odd_file(tmp_path / "file")
    for odd, what in ((tmp_path, "a directory"), (tmp_path / "pipe", _ODD), (Path("/dev/null"), _ODD)):
        with pytest.raises(NotAJournal) as refused:
            sync.refuse_odd_file(odd)
        assert str(refused.value) == (
            f"{odd} is {what}; name a file for the journal, such as progress.jsonl or papers.db"
        )
