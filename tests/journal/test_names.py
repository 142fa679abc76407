"""Before each commit the names of a journal's files are looked at, by way of their directory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from leftoff.journal.names import Names, inode_of


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Names]:
    """Two files in a directory that was last changed a while ago."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    clock = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: clock() + 10**9)
    names = Names({str(one): inode_of(one), str(other): inode_of(other)})
    assert names.lost() is None
    return one, other, names


def test_files_are_not_asked_while_the_directory_is_as_it_was(watched, monkeypatch):
    """Asking for their times would make the next sync slower."""
    one, _, names = watched
    asked: list[object] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **more: asked.append(path) or stat(path, **more))
    one.write_text("longer than it was")
    assert [names.lost() for _ in range(3)] == [None] * 3
    assert asked == [str(one.parent)] * 3


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("how", ["deleted", "replaced", "renamed"])
def test_a_name_that_lost_its_file_is_told(watched, how, number):
    """Whatever was done to it, it changed the directory."""
    path, names = watched[number], watched[2]
    if how == "deleted":
        path.unlink()
    elif how == "renamed":
        path.rename(path.with_name("third"))
    else:
        path.with_name("new").write_text("new")
        path.with_name("new").replace(path)
    assert [names.lost() for _ in range(2)] == [str(path)] * 2


def test_other_files_may_come_and_go(watched):
    """The directory may be full of work."""
    one, _, names = watched
    for number in range(3):
        one.with_name(f"new-{number}").write_text("new")
        assert names.lost() is None
    one.unlink()
    assert names.lost() == str(one)


def test_a_directory_that_was_renamed_or_swapped_is_noticed(tmp_path):
    """The path leads to nothing, or to another file, though no name in the directory changed."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "one"
    path.write_text("1")
    names = Names({str(path): inode_of(path)})
    folder.rename(tmp_path / "away")
    assert names.lost() == str(path)
    folder.mkdir()
    path.write_text("2")
    assert names.lost() == str(path)


@pytest.mark.parametrize("what", ["young", "just too young", "whole seconds"])
def test_a_directory_whose_time_may_stay_the_same_is_not_trusted(tmp_path, monkeypatch, what):
    """Two changes within one tick of its clock have one time; some file systems keep whole seconds."""
    path = tmp_path / "one"
    path.write_text("1")
    names = Names({str(path): inode_of(path)})
    stat = os.stat
    now = 1_700_000_000_123_456_789
    times = {"young": now, "just too young": now - 50_000_000, "whole seconds": now // 10**9 * 10**9 - 10**11}

    def coarse(asked, **more):
        status = stat(asked, **more)
        if asked != str(tmp_path):
            return status
        return os.stat_result([*status[:10]], {"st_ctime_ns": times[what]})

    monkeypatch.setattr(os, "stat", coarse)
    monkeypatch.setattr(time, "time_ns", lambda: now)
    assert names.lost() is None
    path.unlink()
    assert names.lost() == str(path)


def test_a_path_without_a_file_has_the_number_that_no_file_has(tmp_path):
    """Also where a directory on the way is missing, or is a file."""
    (tmp_path / "one").touch()
    assert inode_of(tmp_path / "one") == (tmp_path / "one").stat().st_ino
    assert [inode_of(tmp_path / path) for path in ("two", "no/two", "one/two")] == [0, 0, 0]
