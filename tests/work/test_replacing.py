"""`replacing`: the user's own files, whole and durable or as they were."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.journal import sync
from tests.contract import program


def test_the_new_content_takes_the_files_name_at_the_end():
    """Within the block the file is as it was; behind it, it is new, text or bytes."""
    path = Path("result.txt")
    path.write_text("old", "utf-8")
    with leftoff.replacing(path) as file:
        file.write("nü")
        file.flush()
        assert path.read_text("utf-8") == "old"
    assert path.read_text("utf-8") == "nü"
    with leftoff.replacing("result.bin", "wb") as file:
        file.write(b"\xff")
    assert Path("result.bin").read_bytes() == b"\xff"
    assert sorted(p.name for p in Path().iterdir()) == ["result.bin", "result.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, leftoff.Stopped("stop", 130)])
def test_a_block_that_raises_leaves_the_file_as_it_was(error):
    """Old content stays, a new file is not there, and no temporary file is left, whatever was raised."""
    Path("old.txt").write_text("old", "utf-8")
    for name in ("old.txt", "new.txt"):
        with pytest.raises(BaseException) as caught, leftoff.replacing(name) as file:  # noqa: PT011
            file.write("half")
            raise error
        assert caught.type is (error if isinstance(error, type) else type(error))
    assert [(p.name, p.read_text("utf-8")) for p in Path().iterdir()] == [("old.txt", "old")]


def test_a_kill_leaves_the_file_as_it_was(tmp_path):
    """A process that dies in the block leaves the old content under the name."""
    (tmp_path / "out.txt").write_text("old", "utf-8")
    text = """
        import os, signal, leftoff
        with leftoff.replacing("out.txt") as file:
            file.write("half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        """
    program.run(program.write(tmp_path, text), code=-signal.SIGKILL)
    assert (tmp_path / "out.txt").read_text("utf-8") == "old"


def test_permissions_and_links_stay():
    """The mode of what was there is kept, a new file follows the umask, and a symbolic link still points there."""
    path = Path("target.txt")
    path.write_text("old", "utf-8")
    path.chmod(0o640)
    Path("link.txt").symlink_to("target.txt")
    with leftoff.replacing("link.txt") as file:
        file.write("new")
    assert Path("link.txt").is_symlink()
    assert path.read_text("utf-8") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        with leftoff.replacing("fresh.txt") as file:
            file.write("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("fresh.txt").stat().st_mode) == 0o640


def test_it_is_synced_renamed_and_the_directory_synced_in_this_order(monkeypatch):
    """The content is on disk before it has the name, and the name before the block ends."""
    events: list[str] = []
    real = os.replace
    monkeypatch.setattr(sync, "sync_file", lambda fd: events.append(f"sync {os.fstat(fd).st_size}"))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), real(a, b))[1])
    monkeypatch.setattr(sync, "sync_directory", lambda path: events.append(f"directory {path == Path.cwd()}"))
    with leftoff.replacing("x") as file:
        file.write("12345")
    assert events == ["sync 5", "rename", "directory True"]


@pytest.mark.parametrize("mode", ["a", "r", "r+", "x", "w+", ""])
def test_only_whole_files_are_written(mode):
    """Other modes are refused before anything is created."""
    with pytest.raises(UsageError, match="replacing"), leftoff.replacing("x", mode):
        pass
    assert list(Path().iterdir()) == []


def test_a_missing_directory_is_the_systems_error():
    """The directory must exist."""
    with pytest.raises(FileNotFoundError), leftoff.replacing("nowhere/x"):
        pass


def test_a_pipe_is_never_replaced_by_a_file(tmp_path):
    """Nor a device or a socket: it is refused, and stays what it is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/null"):
        with pytest.raises(UsageError, match="no file that could be replaced"), leftoff.replacing(path) as file:
            file.write("x")
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
