"""A journal's file is replaced by another one as a whole, and its original is kept first."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalError, JournalFull, JournalReadOnly, JournalUnusable, UsageError
from leftoff.journal.rebuilding import free_name, keep_original, rebuilding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.jsonl"


def failures() -> Iterator[Any]:
    yield OSError(errno.ENOSPC, "No space left"), JournalFull
    yield PermissionError(errno.EACCES, "Permission denied"), JournalReadOnly
    yield OSError(errno.EIO, "I/O error"), JournalUnusable
    yield UsageError("of ours"), UsageError
    yield KeyboardInterrupt(), KeyboardInterrupt


@pytest.mark.parametrize(("error", "kind"), list(failures()))
def test_what_is_rebuilt_and_fails_leaves_the_old_file(path: Path, error: BaseException, kind: type) -> None:
    """Errors of the system become ours, others stay what they are; what was begun is removed."""
    path.write_bytes(b"old")
    Path(f"{path}.rebuilding").write_bytes(b"of a killed attempt")
    with pytest.raises(kind) as raised, rebuilding(path) as temporary:
        assert (temporary.name, temporary.read_bytes()) == ("a.jsonl.rebuilding", b"")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        raise error
    assert (raised.value is error) == (not isinstance(error, OSError) or isinstance(error, JournalError))
    assert [(file.name, file.read_bytes()) for file in path.parent.iterdir()] == [("a.jsonl", b"old")]


def test_an_original_is_kept_under_the_first_free_name_and_not_twice(path: Path) -> None:
    """What was kept of other bytes stays; the same bytes, with the same log beside them or none, are there already."""
    log = Path(f"{path}-wal")
    names = []
    two = b"2"
    for content, beside in [
        (b"1", None), (two, None), (two, None), (two, b"log"), (two, b"LOG"), (two, b"log"), (b"1", None),
    ]:  # fmt: skip
        path.write_bytes(content)
        log.unlink(missing_ok=True)
        if beside is not None:
            log.write_bytes(beside)
        names.append(keep_original(path, "kept").name.rpartition("-")[2])
        aside = path.with_name(f"a.jsonl.kept-{names[-1]}")
        os.utime(aside, (1, 1))
        os.utime(path, (1, 1))
        assert aside.read_bytes() == content
        assert Path(f"{aside}-wal").exists() == (beside is not None)
        assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert names == ["1", "2", "2", "3", "4", "3", "1"]
    assert free_name(path, "kept").name == "a.jsonl.kept-5"
    assert free_name(path, "other").name == "a.jsonl.other-1"


def test_bytes_are_compared_and_not_times(path: Path) -> None:
    """A file of the same length and time that holds something else is another original."""
    path.write_bytes(b"one")
    first = keep_original(path, "kept")
    path.write_bytes(b"two")
    for file in (path, first):
        os.utime(file, (1, 1))
    assert keep_original(path, "kept").name == "a.jsonl.kept-2"
    assert (first.read_bytes(), path.with_name("a.jsonl.kept-2").read_bytes()) == (b"one", b"two")


def test_a_log_that_was_kept_alone_is_kept_anew(path: Path) -> None:
    """An attempt that was interrupted before it came to the file itself has kept nothing yet."""
    path.write_bytes(b"new")
    Path(f"{path}.kept-1-wal").write_bytes(b"of an interrupted attempt")
    assert keep_original(path, "kept").name == "a.jsonl.kept-1"
    assert not Path(f"{path}.kept-1-wal").exists()
    assert free_name(path, "kept").name == "a.jsonl.kept-2"
