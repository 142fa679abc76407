"""Opening and closing journals: places, refusals, disks that are full, files that go away, forks."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import (
    ForkedHandle,
    JournalClosed,
    JournalError,
    JournalLost,
    JournalMissing,
    JournalReadOnly,
    MissingExtra,
    NotAJournal,
    OwnershipLost,
    RunInUse,
    UsageError,
)
from tests.contract import program
from tests.contract.stores import everywhere, on_files


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("progress", UsageError, "the name chooses the journal"),
        ("progress.txt", UsageError, "the name chooses the journal"),
        ("http://example.org/x.db", UsageError, "journals are kept in progress.jsonl"),
        ("nowhere/run.jsonl", JournalMissing, "there is no directory nowhere"),
        ("nowhere/run.db", JournalMissing, "there is no directory nowhere"),
        ("a\0b.jsonl", UsageError, "NUL"),
        ("folder.jsonl", NotAJournal, "is a directory"),
        ("folder.db", NotAJournal, "is a directory"),
        ("pipe.jsonl", NotAJournal, "not a regular file"),
    ],
)
def test_a_place_that_cannot_be_a_journal_is_refused(place, error, message):
    """Each is named and told what would do, by open and by a loop, and nothing is created."""
    for folder in ("folder.jsonl", "folder.db"):
        Path(folder).mkdir()
    os.mkfifo("pipe.jsonl")
    before = sorted(Path().iterdir())
    with pytest.raises(error, match=message):
        leftoff.open(place)
    with pytest.raises(error, match=message):
        list(leftoff.each([1], place, run="r"))
    assert sorted(Path().iterdir()) == before


@on_files
def test_a_journal_that_must_exist_is_not_made(place):
    """create=False tells a missing journal from an empty one."""
    with pytest.raises(JournalMissing, match=f"there is no journal {place}"):
        leftoff.open(place, create=False)
    with pytest.raises(FileNotFoundError):
        leftoff.open(place, create=False)
    with pytest.raises(UsageError, match="durability='ram'"):
        leftoff.open(place, durability="ram")  # type: ignore[arg-type]
    assert list(Path().iterdir()) == []


@everywhere
def test_a_closed_journal_refuses_and_closes_again(place):
    """Every way in says that it was closed; closing twice is nothing."""
    journal = leftoff.open(place)
    run = journal.run("r")
    list(run.each([1]))
    loop = run.each([2])
    journal.close()
    journal.close()
    for ask in (lambda: journal.run("x"), journal.runs, journal.entries, journal.verify, lambda: next(loop)):
        with pytest.raises(JournalClosed):
            ask()


@on_files
def test_a_journal_is_open_under_one_durability(place):
    """A second loop of this process on an open journal cannot ask for another durability."""
    for _ in leftoff.each([1], place, run="one", durability="process"):
        with pytest.raises(UsageError, match="durability='process'"):
            list(leftoff.each([1], place, run="two"))


@on_files
def test_a_closed_journal_is_one_file(place):
    """Nothing of a journal that was closed lies in a side file, so that its file alone is the whole of it."""
    with leftoff.open(place) as journal:
        list(journal.run("r").each("ab", progress=False))
        list(journal.run("s").each("cd", progress=False))
    assert sorted(path.name for path in Path().iterdir()) == [place, f"{place}.lock"]
    Path(f"copy-{place}").write_bytes(Path(place).read_bytes())
    with leftoff.open(f"copy-{place}", create=False) as journal:
        assert [list(journal.run(name).keys("done")) for name in "rs"] == [["a", "b"], ["c", "d"]]


@on_files
def test_a_journal_can_change_its_durability_between_processes(place):
    """Power and process take turns on one file."""
    for number, durability in enumerate(["power", "process", "power", "process"]):
        with leftoff.open(place, durability=durability) as journal:
            assert list(journal.run("r").each(range(number + 1))) == [number]
            assert journal.durability == durability


@on_files
def test_root_loops_share_a_journal_and_give_it_back(place):
    """Nested and following loops of one process use one owner; behind the last the journal is free."""
    for a in leftoff.each([1, 2], place, run="outer", durability="process"):
        for _ in leftoff.each([1], place, run=f"inner {a}", durability="process"):
            pass
    with leftoff.open(place) as journal:
        assert list(journal.run("outer").each([3])) == [3]


@on_files
@pytest.mark.parametrize("end", ["with", "close"])
def test_a_root_loop_that_is_ended_gives_the_journal_back(place, end):
    """Where the end of a loop is said, the journal is free at once and the item in hand is new again."""
    loop = leftoff.each([1, 2], place, run="r", durability="process")
    if end == "with":
        with loop:
            next(loop)
    else:
        next(loop)
        loop.close()
    leftoff.open(place, durability="power").close()  # refused while it is open under another durability
    with leftoff.open(place) as journal:
        assert list(journal.run("r").each([1, 2])) == [1, 2]


@on_files
def test_loops_made_before_they_are_walked_all_work(place):
    """Making several loops first and walking them later does not close the journal under the others."""
    loops = [leftoff.each([1, 2], place, run=f"r{n}", durability="process") for n in range(3)]
    assert [list(loop) for loop in loops] == [[1, 2]] * 3


@on_files
def test_a_loop_left_by_break_is_settled_by_the_next(place):
    """The item stays in hand until the next loop or the end of the program, and is then given back."""
    for item in leftoff.each([1, 2, 3], place, run="r", durability="process"):
        if item == 2:
            break
    assert list(leftoff.each([1, 2, 3], place, run="r", durability="process")) == [2, 3]


@everywhere
def test_entries_tell_everything_in_order(place):
    """One life of one item, as `entries` shows it."""
    with leftoff.open(place) as journal:
        list(journal.run("r").map(lambda x: {"n": x}, [1]))
        found = [(e.kind, e.key, e.epoch) for e in journal.entries()]
        kinds = ["created", "owner", "started", "version", "done", "pass"]
        assert found == [(kind, "1" if kind in ("started", "done") else "", 1) for kind in kinds]
        done = next(e for e in journal.entries("r") if e.kind == "done")
        assert (done.run, done.value) == ("r", {"n": 1})
        assert done.at.utcoffset() is not None
        assert list(journal.entries("nobody")) == []
        assert journal.verify() == []


@on_files
def test_a_forked_child_is_refused_and_harms_nothing(place, tmp_path):
    """In a child the loop and the handle raise ForkedHandle; the parent's loop goes on to its end."""
    text = f"""
        import os, sys, leftoff
        from leftoff.errors import ForkedHandle
        journal = leftoff.open({place!r}, durability="process")
        for item in (loop := journal.run("r").each(range(4))):
            if item == 1 and os.fork() == 0:
                for way in (lambda: next(loop), lambda: journal.run("x"), lambda: list(journal.run("r").each([9]))):
                    try:
                        way()
                    except ForkedHandle:
                        print("refused", flush=True)
                sys.exit(0)
            if item == 1:
                os.wait()
        journal.close()
        print("parent", flush=True)
        """
    out = program.run(program.write(tmp_path, text)).stdout.split()
    assert out == ["refused"] * 3 + ["parent"]
    with leftoff.open(place) as journal:
        assert list(journal.run("r").keys("done")) == list("0123")
        assert journal.verify() == []
    assert ForkedHandle.__mro__[1] is JournalError


@on_files
@pytest.mark.parametrize("how", ["unlink", "rename", "replace"])
def test_a_file_that_is_taken_away_stops_the_loop(place, how):
    """Nothing more is acknowledged; what the journal had is where it went."""
    seen = []
    with pytest.raises((JournalLost, OwnershipLost)):
        for item in leftoff.each(range(5), place, run="r", durability="power"):
            seen.append(item)
            if item == 2 and how == "unlink":
                Path(place).unlink()
            elif item == 2:
                Path(place).rename("moved" + Path(place).suffix)
                if how == "replace":
                    Path(place).touch()
    assert seen == [0, 1, 2]
    if how != "unlink" and place.endswith(".jsonl"):
        with leftoff.open("moved.jsonl") as journal:
            assert list(journal.run("r").keys("done")) == ["0", "1"]


def mounted(folder: Path, options: str) -> bool:
    folder.mkdir(exist_ok=True)
    return (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, check=False
        ).returncode
        == 0
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB; where nothing can be mounted, None."""
    folder = tmp_path / "disk"
    if not mounted(folder, "size=256k"):
        yield None
        return
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


FILLED = """
import os, sys, resource, signal, leftoff
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    for outcome in leftoff.map(lambda n: "v" * 20_000, range(40), sys.argv[1], run="r", durability=sys.argv[3]):
        if not outcome.resumed:
            print(outcome.key, flush=True)
except leftoff.JournalError as error:
    print(type(error).__name__, str(error)[:400])
"""


@on_files
@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_full_disk_stops_the_loop_and_costs_nothing(place, durability, tmp_path, small_disk):
    """JournalFull says what to do; every outcome that was given out is there, and with space again the rest follows."""
    script = program.write(tmp_path, FILLED)
    folder = small_disk or tmp_path
    out = program.run(script, folder / place, "disk" if small_disk else "limit", durability).stdout.split("\n")
    acknowledged = [line for line in out if line.isdigit()]
    assert out[len(acknowledged)].startswith("JournalFull"), out
    assert "no space left" in out[len(acknowledged)] or "full" in out[len(acknowledged)]
    assert acknowledged
    if small_disk:
        subprocess.run(["mount", "-o", "remount,size=16m", folder], check=True)
    rest = [line for line in program.run(script, folder / place, "free", durability).stdout.split("\n") if line]
    assert sorted([*acknowledged, *rest], key=int) == [str(n) for n in range(40)]
    with leftoff.open(folder / place) as journal:
        assert journal.verify() == []


@on_files
def test_a_disk_that_is_full_from_the_start_is_named(place, tmp_path, small_disk):
    """Where not even the first entry fits, the error is JournalFull too, and nothing is left that stands in the way."""
    if small_disk is None:
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))\n"
        folder = tmp_path
    else:
        limit, folder = "", small_disk
        filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while os.write(filler, bytes(4096)):
                pass
        os.close(filler)
    text = limit + "import sys, leftoff\nfor x in leftoff.each([1], sys.argv[1], run='r'): print(x)"
    ended = program.run(program.write(tmp_path, text), folder / place, code=1)
    assert "leftoff.errors.JournalFull" in ended.stderr
    if small_disk:
        (folder / "filler").unlink()
    with leftoff.open(folder / place) as journal:
        assert list(journal.run("r").each([1])) == [1]


@on_files
def test_what_may_only_be_read_can_be_looked_at_and_not_owned(place, tmp_path):
    """On a read-only file system reading works, and owning says that it cannot be written."""
    folder = tmp_path / "disk"
    if not mounted(folder, "size=4m"):
        folder.mkdir(exist_ok=True)
    try:
        with leftoff.open(folder / place) as journal:
            list(journal.run("r").each([1]))
        if os.geteuid() == 0:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        else:
            for path in [*folder.iterdir(), folder]:
                path.chmod(0o500)
        with leftoff.open(folder / place) as journal:
            assert list(journal.run("r").keys("done")) == ["1"]
            with pytest.raises(JournalReadOnly):
                list(journal.run("r").each([1, 2]))
        with pytest.raises(PermissionError):
            list(leftoff.each([1], folder / f"new-{place}", run="r"))
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "-l", folder], check=True)


@on_files
def test_at_exit_every_journal_is_settled_though_one_is_lost(place, tmp_path):
    """An error of one journal at the end does not leave the items of another in hand."""
    text = f"""
        import os, leftoff
        journals = [leftoff.open(f"{{n}}-" + {place!r}, durability="process") for n in range(4)]
        loops = [journal.run("r").each(["a"]) for journal in journals]
        for loop in loops:
            next(loop)
        os.unlink("1-" + {place!r})
        """
    program.run(program.write(tmp_path, text), code=None)
    for number in (0, 2, 3):
        with leftoff.open(f"{number}-{place}") as journal:
            assert [e.kind for e in journal.entries() if e.key == "a"] == ["started", "released"], number


def test_importing_is_all_there_is_to_set_up():
    """The five-line program of the README runs as it stands."""
    program_text = "import leftoff\nfor doi in leftoff.each(['10.1/a', '10.1/b'], 'progress.jsonl'):\n    print(doi)\n"
    Path("five.py").write_text(program_text, "utf-8")
    out = [
        subprocess.run([sys.executable, "five.py"], capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert out == ["10.1/a\n10.1/b\n", ""]
    assert RunInUse.__doc__


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg a PostgreSQL journal says what to install."""
    for name in [name for name in sys.modules if name.startswith(("psycopg", "leftoff.journal.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"leftoff\[postgres\]"):
        leftoff.open("postgresql://localhost/none")


def test_another_module_that_is_missing_is_not_taken_for_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is broken in an installation is told as it is."""
    monkeypatch.setitem(sys.modules, "leftoff.journal.postgres", None)
    with pytest.raises(ModuleNotFoundError, match=r"leftoff\.journal\.postgres"):
        leftoff.open("postgresql://localhost/none")
