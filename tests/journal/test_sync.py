"""The few durable operations on files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from leftoff.errors import DurabilityUnavailable, JournalFull, JournalReadOnly, JournalUnusable, NotAJournal
from leftoff.journal import sync


def test_a_short_write_is_carried_on(monkeypatch, tmp_path):
    """`write_all` writes every byte, however few a call takes, and raises what stops it."""
    write = os.write
    fd = sync.open_private(tmp_path / "x")
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


def test_a_directory_that_cannot_be_synced_refuses_the_durability(monkeypatch, tmp_path):
    """A platform that cannot give it says so by name, instead of giving less."""

    def fail(fd: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DurabilityUnavailable, match="could vanish in a power failure; keep the journal on a local"):
        sync.sync_directory(tmp_path)


def test_a_directory_without_room_for_its_names_is_a_full_journal(monkeypatch, tmp_path):
    """Where a sync finds no space or quota the durability can be had, once there is some: the place is named."""
    for number in (errno.ENOSPC, errno.EDQUOT):

        def fail(fd: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(JournalFull, match=rf"{tmp_path}: no space left; .* Free some space and start again"):
                sync.sync_directory(tmp_path)


def test_a_new_file_beside_has_the_mode_of_what_it_replaces(tmp_path):
    """Its name begins with a dot and is nobody else's; the mode is the target's, or the umask's."""
    target = tmp_path / "result"
    target.touch()
    target.chmod(0o604)
    fd, first = sync.create_beside(target)
    os.close(fd)
    fd, second = sync.create_beside(target)
    os.close(fd)
    assert first != second
    assert first.name.startswith(".result.")
    assert stat.S_IMODE(first.stat().st_mode) == 0o604


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, JournalFull),
        (errno.EDQUOT, JournalFull),
        (errno.EFBIG, JournalFull),
        (errno.EROFS, JournalReadOnly),
        (errno.EIO, JournalUnusable),
        (errno.EMFILE, JournalUnusable),
    ],
)
def test_the_systems_refusals_have_names_of_ours(number, expected):
    """No space, no quota and a file limit are a full journal; what is forbidden and what fails are told apart."""
    assert type(sync.unusable(Path("run.db"), OSError(number, os.strerror(number)))) is expected


def test_odd_files_are_no_journals(tmp_path):
    """Directories, pipes and devices are refused; a missing file is fine."""
    sync.refuse_odd_file(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(NotAJournal, match=r"name a file for the journal"):
            sync.refuse_odd_file(odd)
