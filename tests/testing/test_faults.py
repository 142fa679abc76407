"""Faults: what is asked for wrongly, and that what is asked for happens, to Python's calls and to SQLite's."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.errors import UsageError
from leftoff.testing.faults import Fault, fault_server
from leftoff.testing.kills import ForkServer

PROGRAM = """
    import errno, os, sqlite3, sys

    def write(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            print(os.write(fd, b"four"), os.write(fd, b"more"))
            os.fsync(fd)
        except OSError as error:
            print(errno.errorcode[error.errno])
            try:
                os.fsync(fd)
            except OSError as error:
                print("again", errno.errorcode[error.errno])

    def insert(path):
        try:
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("CREATE TABLE t (x)")
            connection.execute("INSERT INTO t VALUES (1)")
            print("done")
        except sqlite3.Error as error:
            print(error)
    """


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkServer]:
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    with fault_server(tmp_path / "program.py") as server:
        yield server


def test_the_call_that_was_named_fails_and_no_other(server: ForkServer, tmp_path: Path) -> None:
    """Calls on the folder's files are counted from 1; others are not touched, and the last one finds nothing."""
    inside = tmp_path / "in"
    inside.mkdir()
    expected = {
        ("EIO", 1): ("open f", None), ("EIO", 2): ("write f", "EIO"), ("EIO", 4): ("fsync f", "4 4\nEIO"),
        ("EIO", 5): ("", "4 4"), ("ENOSPC", 2): ("write f", "ENOSPC"), ("EINTR", 2): ("write f", "4 4"),
        ("short", 1): ("write f", "2 4"), ("short", 3): ("", "4 4"),
    }  # fmt: skip
    for (error, call), (fault, said) in expected.items():
        end = server.run("write", str(inside / "f"), fault=Fault(error, call, inside))
        assert (end.fault, end.code) == (fault, 0 if said else 1), end.output
        assert end.output.strip() == said or said is None
        assert (end.fault_at > 0) == bool(fault)
    end = server.run("write", str(tmp_path / "outside"), fault=Fault("EIO", 1, inside))
    assert (end.fault, end.output.strip()) == ("", "4 4")


def test_a_lasting_fault_stays(server: ForkServer, tmp_path: Path) -> None:
    """Every later call fails, too, until the program ends; without it only the one."""
    for lasting, said in ((True, "EIO\nagain EIO"), (False, "EIO")):
        end = server.run("write", str(tmp_path / "f"), fault=Fault("EIO", 4, tmp_path, lasting))
        assert (end.fault, end.output.strip()) == ("fsync f", "4 4\n" + said)


def test_the_calls_of_sqlite_are_reached(server: ForkServer, tmp_path: Path) -> None:
    """Files that SQLite itself opens, writes and syncs are among those that fail, and its names are told."""
    inside, seen = tmp_path / "in", set()
    for call in range(1, 100):
        inside.mkdir()
        end = server.run("insert", str(inside / "a.db"), fault=Fault("EIO", call, inside))
        shutil.rmtree(inside)
        if not end.fault:
            break
        seen.add(end.fault)
    assert end.output.strip() == "done"
    assert {"open a.db", "pwrite a.db", "fdatasync a.db", "pwrite a.db-journal", "unlink a.db-journal"} <= seen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ENOENT", 1, "."), "write one of EIO, ENOSPC, EINTR, short"),
        (("EIO", 0, "."), "calls are counted from 1"),
        (("EINTR", 1, ".", True), "would never end"),
        (("short", 1, ".", True), "would never end"),
        (("EIO", 1, "x" * 2000), "less than 1024 bytes"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(arguments, message) -> None:
    """A wrong name, number or combination is an error before anything runs."""
    with pytest.raises(UsageError, match=message):
        Fault(*arguments)


def test_a_server_without_the_library_injects_nothing(tmp_path: Path) -> None:
    """A fault asked of a server that cannot inject it is refused, not ignored."""
    (tmp_path / "program.py").write_text("")
    with ForkServer(tmp_path / "program.py") as server, pytest.raises(UsageError, match=r"fault_server\(\)"):
        server.run("anything", fault=Fault("EIO", 1, tmp_path))


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be compiled the error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="apt-get install gcc"), fault_server(tmp_path / "program.py"):
        pass
