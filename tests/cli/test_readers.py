from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import leftoff
from tests.cli.conftest import call
from tests.contract.program import finish, started, until, write

LOOKS = (["status"], ["log"], ["log", "-n", "2"], ["dead", "-v"], ["verify"])


def files(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return the bytes, the time of the last change and the inode of every file, SQLite's own -shm apart."""
    found = (path for path in folder.iterdir() if not path.name.endswith("-shm"))
    return {path.name: (path.read_bytes(), (at := path.stat()).st_mtime_ns, at.st_ino) for path in found}


def test_no_look_changes_a_byte(two_runs: str, tmp_path: Path) -> None:
    """After every reading command each file has the bytes and the time of change that it had, and no file is new."""
    call("status", two_runs)  # what SQLite itself makes beside a database that is read
    before = files(tmp_path)
    for verb, *words in LOOKS:
        for json in ([], ["--json"]):
            assert call(verb, two_runs, *words, *json).code == 0
            assert files(tmp_path) == before


def test_a_torn_tail_is_not_cut_by_a_look(tmp_path: Path) -> None:
    """What an interrupted commit left stays where it is until the next run."""
    with leftoff.open("torn.jsonl") as journal:
        list(journal.run("ingest").each("abc", progress=False))
    path = tmp_path / "torn.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    before = files(tmp_path)
    for verb, *words in LOOKS:
        assert call(verb, "torn.jsonl", *words).code == 0
    assert files(tmp_path) == before


@contextmanager
def may_only_read(folder: Path) -> Iterator[None]:
    """Take the right to write away from this process; root has to become somebody else for that."""
    root = os.geteuid() == 0
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


def test_looks_work_on_what_may_only_be_read(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that this user may read but not write can be looked at, and mending it is refused with a reason."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            with leftoff.open(place) as journal:
                list(journal.run("ingest").map(int, ["1", "x"], attempts=1, progress=False))
            for verb, *words in LOOKS:
                call(verb, place, *words)  # what is imported late is imported now
            before = files(folder)
            with may_only_read(folder):
                for verb, *words in LOOKS:
                    assert (verb, call(verb, place, *words).code) == (verb, 0)
                ended = call("retry", place)
            assert ended.code == 1
            assert ended.err.startswith("leftoff: ")
            assert place in ended.err
            assert files(folder) == before


def test_looks_and_a_live_owner_do_not_meet(place: str, tmp_path: Path) -> None:
    """While a process works on the run every look succeeds, and none of them is in the way of its next item."""
    program = """
        import sys
        import leftoff

        with leftoff.open(sys.argv[1]) as journal:
            for item in journal.run("ingest").each(range(40), progress=False):
                print("in hand")
                sys.stdin.readline()
    """
    with started(write(tmp_path, program), place) as process:
        assert process.stdin is not None
        for number in range(10):
            until(process, "in hand")
            verb, *words = LOOKS[number % len(LOOKS)]
            assert (verb, call(verb, place, *words).code) == (verb, 0)
            process.stdin.write("\n")
            process.stdin.flush()
        until(process, "in hand")
        seen = call("status", place, "--json").json["runs"][0]
        assert (seen["done"], seen["open"], seen["owner"]["runs"]) == (10, 1, True)
        assert finish(process, signal.SIGKILL)[0] == -signal.SIGKILL
