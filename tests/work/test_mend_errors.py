"""What the system or a disk does to a journal that is compacted or repaired: the old one stays, and it is said why."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalDamaged, JournalFull, JournalReadOnly
from leftoff.journal import jsonl_write
from leftoff.work.mend import compact, repair
from tests.work import mended


@pytest.fixture(params=[compact, repair])
def mend(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Make a journal, damaged where it is to be repaired; return what is done with it."""
    mended.make("a.jsonl")
    if request.param is repair:
        mended.harm("a.jsonl")
    function: Callable[[str], Any] = request.param
    return function


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.suffix != ".lock"}


def test_without_space_for_the_new_file_the_old_one_stays(mend: Callable[[str], Any]) -> None:
    """A limit that is reached half-way is a full journal; nothing half-written is left, and later it succeeds."""
    before = files()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            JournalFull, match=r"a\.jsonl.*: no space left; .* is intact. Free some space and start again"
        ):
            mend("a.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files() == before
    mend("a.jsonl")


@pytest.mark.parametrize("call", ["open", "replace"])
def test_in_a_folder_that_may_not_be_written_the_old_file_stays(
    mend: Callable[[str], Any], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no file may be made or renamed that is said as an error of ours, and nothing is left behind."""
    before, real = files(), getattr(os, call)

    def refuse(name: Any, *arguments: Any) -> Any:
        if os.fspath(name).endswith(".rebuilding"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(JournalReadOnly, match=r"a\.jsonl\S* cannot be written: Permission denied"):
            mend("a.jsonl")
    assert files() == before
    mend("a.jsonl")


def wrong_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a disk give back another key than was written."""
    write = jsonl_write.write_all
    monkeypatch.setattr(
        jsonl_write, "write_all", lambda fd, data: write(fd, data.replace(b'"done":"item-2"', b'"done":"item-3"'))
    )


def test_a_compaction_that_does_not_read_back_is_not_put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file is checked before it gets the journal's name: the place is named, and nothing was changed."""
    mended.make("a.jsonl")
    before = files()
    with monkeypatch.context() as patch:
        wrong_bytes(patch)
        with pytest.raises(JournalDamaged, match=r"^a\.jsonl: line.* not what was written; nothing was changed$"):
            compact("a.jsonl")
    assert files() == before
    compact("a.jsonl")


def test_a_repair_that_does_not_read_back_is_not_put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged journal stays, and its copy is there already for the next try, which keeps no second one."""
    mended.make("a.jsonl")
    mended.harm("a.jsonl")
    before = files()
    with monkeypatch.context() as patch:
        wrong_bytes(patch)
        with pytest.raises(AssertionError, match=r"a repaired journal is damaged .*this is a bug of leftoff's"):
            repair("a.jsonl")
    assert files() == {**before, "a.jsonl.damaged-1": before["a.jsonl"]}
    assert repair("a.jsonl").aside == "a.jsonl.damaged-1"
    assert not Path("a.jsonl.damaged-2").exists()
