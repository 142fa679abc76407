from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from leftoff.prove import trace
from leftoff.prove.changes import changes, outside
from leftoff.prove.trace import Call

RECORDED = r"""
7  openat(AT_FDCWD</w>, "/usr/lib/x.so", O_RDONLY|O_CLOEXEC) = 3</usr/lib/x.so>
7  openat(AT_FDCWD</w>, "none", O_RDONLY) = -1 ENOENT (No such file or directory)
7  openat(AT_FDCWD</w>, "out.txt", O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0666) = 3</w/out.txt>
7  write(3</w/out.txt>, ""..., 2 <unfinished ...>
8  write(5<pipe:[51106]>, ""..., 26) = 26
7  <... write resumed>)              = 2
8  openat(AT_FDCWD</w/sub>, "a (b) = 3", O_RDWR|O_CREAT|O_DSYNC, 0600) = 5</w/sub/a (b) = 3>
8  pwrite64(5</w/sub/a (b) = 3>, ""..., 4, 0) = 4
8  write(1</dev/null>, ""..., 4) = 4
8  --- SIGCHLD {si_signo=SIGCHLD} ---
8  write(5</w/sub/a (b) = 3>, ""..., 4) = ?
7  rename("st \303\251\"<x>.tmp", "st.json") = 0
8  rename("here", "there") = 0
7  fsync(4</w>)                 = 0
7  openat(AT_FDCWD</w>, "out.txt", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</w/out.txt>
7  unlink("/w/out.txt") = 0
7  write(9</home/me/log.txt>, ""..., 1) = 1
7  +++ exited with 0 +++
"""


@pytest.fixture
def calls(tmp_path: Path) -> list[Call]:
    path = tmp_path / "trace"
    path.write_text(RECORDED, "utf-8")
    return trace.read(path, Path("/w"))


def test_calls_are_read_with_their_paths_and_numbers(calls: list[Call]) -> None:
    """Halves are joined, failures counted and left out, escapes undone, names taken from where the thread works."""
    said = [(call.name, call.nth, call.path, call.target) for call in calls]
    assert said == [
        ("openat", 1, "/usr/lib/x.so", ""),
        ("openat", 3, "/w/out.txt", ""),
        ("write", 1, "/w/out.txt", ""),
        ("write", 1, "pipe:[51106]", ""),
        ("openat", 1, "/w/sub/a (b) = 3", ""),
        ("pwrite64", 1, "/w/sub/a (b) = 3", ""),
        ("write", 2, "/dev/null", ""),
        ("rename", 1, '/w/st é"<x>.tmp', "/w/st.json"),
        ("rename", 1, "/w/sub/here", "/w/sub/there"),
        ("fsync", 1, "/w", ""),
        ("openat", 4, "/w/out.txt", ""),
        ("unlink", 1, "/w/out.txt", ""),
        ("write", 2, "/home/me/log.txt", ""),
    ]


def test_changes_of_the_folder_are_told_apart(calls: list[Call]) -> None:
    """A file that is opened is made, emptied or only opened; what happens elsewhere is none of the folder's."""
    found = [(change.kind, change.file, change.target, change.at_once) for change in changes(calls, "/w", [])]
    assert found == [
        ("make", "out.txt", "", False),
        ("write", "out.txt", "", False),
        ("make", "sub/a (b) = 3", "", True),
        ("write", "sub/a (b) = 3", "", True),
        ("rename", 'st é"<x>.tmp', "st.json", False),
        ("rename", "sub/here", "sub/there", False),
        ("sync", ".", "", False),
        ("write", "out.txt", "", False),
        ("unlink", "out.txt", "", False),
    ]
    assert changes(calls, "/w", ["out.txt"])[0].kind == "write"
    assert outside(calls, "/w") == ["/home/me/log.txt"]


PROGRAM = """
for number in range(4):
    with open("out.txt", "a") as file:
        file.write(f"{number}\\n")
"""


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("place", range(4))
def test_strace_kills_right_before_the_call(place: int, tmp_path: Path) -> None:
    """A program killed before its nth write has made the n - 1 before it and not this one."""
    command = [sys.executable, "-c", PROGRAM]
    subprocess.run(trace.traced(command, tmp_path / "trace"), check=True)
    writes = [c for c in changes(trace.read(tmp_path / "trace", tmp_path), str(tmp_path), []) if c.call == "write"]
    assert [change.file for change in writes] == ["out.txt"] * 4
    (tmp_path / "out.txt").unlink()
    killed = tmp_path / "killed"
    subprocess.run(trace.killing(command, killed, "write", writes[place].nth), check=False)
    assert trace.Watch(killed).killed()
    assert (tmp_path / "out.txt").read_text() == "".join(f"{number}\n" for number in range(place))


def test_a_kill_is_seen_once_its_line_is_whole(tmp_path: Path) -> None:
    """A trace that grows is read on from where the last look ended, and half a line is waited for."""
    path = tmp_path / "trace"
    watch = trace.Watch(path)
    assert not watch.killed()
    for text, killed in (("7 write(1) = 1\n7 +++ kil", False), ("led by SIGKILL +++", False), ("\n", True)):
        with path.open("a") as file:
            file.write(text)
        assert watch.killed() is killed


def test_without_strace_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without strace, and one that does not allow it, are told apart."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert trace.available() == "strace is not installed"
    (tmp_path / "strace").write_text("#!/bin/sh\necho ptrace: Operation not permitted >&2\nexit 1\n")
    (tmp_path / "strace").chmod(0o755)
    assert trace.available() == "strace is not allowed here: ptrace: Operation not permitted"
