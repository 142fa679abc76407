"""Limits of the process and permissions of the user: the error is ours, and everything committed is intact."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import JournalUnusable
from tests.contract import program
from tests.contract.stores import on_files

FEW_FILES = """
import os, resource, sys
import leftoff
import leftoff.journal.sqlite, leftoff.journal.segments

folder, name = sys.argv[1:]
for _ in leftoff.each([1], os.path.join(folder, "warm", name), run="r", progress=False):
    pass  # what is imported late is imported now
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for spare in range(16):
    filled = []
    try:
        while True:
            filled.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for fd in filled[len(filled) - spare:]:
        os.close(fd)
    done, how = 0, "complete"
    try:
        with leftoff.open(os.path.join(folder, str(spare), name), durability="process") as journal:
            for _ in journal.run("r").each(["a", "b"], progress=False):
                done += 1
    except leftoff.LeftoffError as error:
        how = type(error).__name__
    for fd in filled[:len(filled) - spare]:
        os.close(fd)
    print(spare, done, how)
"""


@on_files
def test_a_limit_of_open_files_is_told_and_costs_nothing(place: str, tmp_path: Path) -> None:
    """With too few descriptors left a journal says so, before or between items, and goes on later (failure mode 15)."""
    for number in [*map(str, range(16)), "warm"]:
        (tmp_path / number).mkdir()
    out = program.run(program.write(tmp_path, FEW_FILES), tmp_path, place).stdout
    said = [line.split() for line in out.splitlines()]
    assert len(said) == 16
    assert {how for _, _, how in said} == {"JournalUnusable", "complete"}
    assert said[0][2] == "JournalUnusable"
    assert said[-1] == ["15", "2", "complete"]
    for number, done, how in said:
        with leftoff.open(tmp_path / number / place) as journal:
            known = sorted(journal.run("r").keys("done"))
            assert known == ["a", "b"][: len(known)]
            assert len(known) >= int(done) - (how != "complete")
            assert set(journal.run("r").each("ab", progress=False)) == set("ab") - set(known)


LITTLE_MEMORY = """
import os, resource, sys
import leftoff
import leftoff.journal.sqlite, leftoff.journal.segments
from leftoff.work import retry

place = sys.argv[1]
text = "v" * 300_000
retry.delay = lambda failures: 0.0

def work():
    try:
        with leftoff.open(place, durability="power") as journal:
            journal.run("r").retry()
            for outcome in journal.run("r").map(lambda n: text, range(12), progress=False):
                if outcome.error is None and not outcome.resumed:
                    os.write(1, f"{outcome.key}\\n".encode())
    except (leftoff.LeftoffError, MemoryError) as error:
        os.write(1, f"{type(error).__name__}\\n".encode())

for room in range(0, 8_000_000, 400_000):
    child = os.fork()
    if child == 0:
        size = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + room, resource.RLIM_INFINITY))
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("free", flush=True)
work()
"""


@on_files
def test_a_limit_of_memory_is_told_and_costs_nothing(place: str, tmp_path: Path) -> None:
    """Process after process runs out of memory: each outcome that was given out is kept (failure mode 14)."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # it needs room
    words = program.run(program.write(tmp_path, LITTLE_MEMORY), tmp_path / place, env=unmeasured).stdout.split()
    errors = {word for word in words if not word.isdigit()} - {"free"}
    assert errors
    assert errors <= {"MemoryError", "JournalInDoubt", "JournalUnusable"}
    given = [word for word in words if word.isdigit()]
    assert len(given) == len(set(given)), "an outcome that was given out was worked on again"
    with leftoff.open(tmp_path / place) as journal:
        assert set(journal.run("r").keys("done")) == {str(number) for number in range(12)}
        assert journal.verify() == []


FORBIDDEN = """
import os, sys
import urllib.parse  # what the standard library imports late must be found before the user changes
import leftoff
import leftoff.journal.sqlite, leftoff.journal.segments

if os.geteuid() == 0:
    os.setuid(65534)
try:
    with leftoff.open(sys.argv[1]) as journal:
        print(*journal.run("r").keys("done"))
        list(journal.run("r").each("abc", progress=False))
except leftoff.errors.JournalReadOnly as error:
    print("refused", error)
"""


@on_files
def test_a_user_who_may_only_read_reads_and_who_may_not_is_told(place: str, tmp_path: Path) -> None:
    """Files of mode 0444 are read and not owned, files of mode 0000 are refused by name (failure mode 25)."""
    folder = tmp_path / "shared"
    folder.mkdir()
    with leftoff.open(folder / place) as journal:
        list(journal.run("r").each("ab", progress=False))
    files = [path for path in folder.rglob("*") if path.is_file()]
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    tmp_path.chmod(0o755)
    script = program.write(tmp_path, FORBIDDEN)
    for mode, said in ((0o444, "a b\nrefused"), (0o000, "refused")):
        for path in files:
            path.chmod(mode)
        for path in folders:
            path.chmod(0o555)
        out = program.run(script, folder / place).stdout
        assert out.startswith(said), out
    for path in folders:
        path.chmod(0o755)


CHECKS = {
    "run.jsonl": ("leftoff.journal.jsonl.check", "leftoff.journal.jsonl_verify.check"),
    "run.db": ("leftoff.journal.sqlite_verify.check_journal",),
}


@on_files
def test_memory_that_gives_out_is_no_damage(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be checked for want of memory or of a readable disk is not called damaged, by open or by verify."""
    with leftoff.open(tmp_path / place) as journal:
        list(journal.run("r").each("ab", progress=False))

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with leftoff.open(tmp_path / place) as journal:
        for check in CHECKS[place]:
            monkeypatch.setattr(check, fail)
        with pytest.raises(JournalUnusable, match="Input/output error"):
            journal.verify()
        with pytest.raises(JournalUnusable, match="Input/output error"):
            leftoff.open(tmp_path / place)
