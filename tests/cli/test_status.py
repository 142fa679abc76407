from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import leftoff
from tests.cli.conftest import call
from tests.contract.program import PATIENCE, finish, started, until, write

WORKING = """
    import sys
    import leftoff

    with leftoff.open(sys.argv[1]) as journal:
        for item in journal.run("ingest").each("abcdefg", progress=False):
            if item == "f":
                print("in hand")
                sys.stdin.readline()
"""


def test_a_finished_run_is_accounted_for(two_runs: str) -> None:
    """Each run is shown with what is done, dead, open and missing, and with who owned it last."""
    ended = call("status", two_runs)
    assert ended.code == 0
    assert ended.out.startswith(f"{two_runs}: ")
    assert "2 runs\n\ningest\n  3 done, 2 dead, 0 open, 0 missing, 5 in all\n  last activity 20" in ended.out
    assert "\n\nclean\n  2 done, 0 dead, 0 open, 0 missing, 2 in all\n" in ended.out
    assert ended.out.count(f"not running; last owned by process {os.getpid()} on {os.uname().nodename} since 20") == 2


def test_one_run_can_be_chosen(two_runs: str) -> None:
    """--run leaves the others out, and a name that is not there is a usage error."""
    assert "ingest" not in call("status", two_runs, "--run", "clean").out
    assert call("status", two_runs, "--run", "nothing").code == 2


def test_json_has_the_numbers(ingest: str) -> None:
    """--json prints one object: the journal, and each run with its accounts, newest entry and owner."""
    seen = call("status", ingest, "--json").json
    (run,) = seen.pop("runs")
    assert seen == {
        "journal": ingest, "bytes": seen["bytes"], "torn_bytes": 0, "aside_bytes": 0,
        "droppable_entries": seen["droppable_entries"],
    }  # fmt: skip
    assert seen["bytes"] >= Path(ingest).stat().st_size > 0
    assert [run[name] for name in ("run", "total", "done", "dead", "missing", "open")] == ["ingest", 5, 3, 2, 0, 0]
    assert run["newest"]["kind"] == "pass"
    assert run["owner"]["pid"] == os.getpid()
    assert (run["owner"]["durability"], run["owner"]["epoch"], run["owner"]["runs"]) == ("power", 1, False)


def test_a_total_that_nobody_can_know_is_not_made_up(place: str) -> None:
    """Before an input was walked to its end neither the total nor what is missing is a number."""
    with leftoff.open(place) as journal:
        for item in journal.run("ingest").each("abc", progress=False):
            if item == "b":
                break
    assert "1 done, 0 dead, 0 open, total not known before the input was walked to its end" in call("status", place).out
    (run,) = call("status", place, "--json").json["runs"]
    assert (run["total"], run["missing"]) == (None, None)


def test_a_live_owner_is_told_from_a_dead_one(place: str, tmp_path: Path) -> None:
    """While another process works, status says that it owns the run now; once killed, no more."""
    with started(write(tmp_path, WORKING), place) as process:
        until(process, "in hand")
        ended = call("status", place)
        assert "5 done, 0 dead, 1 open" in ended.out
        assert f"owned now by process {process.pid} on " in ended.out
        assert call("status", place, "--json").json["runs"][0]["owner"]["runs"] is True
        finish(process, signal.SIGKILL)
        assert f"not running; last owned by process {process.pid} on " in call("status", place).out


def test_a_process_that_works_on_another_run_does_not_run_this_one(ingest: str, tmp_path: Path) -> None:
    """The owner that is shown as running is the run's own, not whoever happens to write the file."""
    program = write(tmp_path, WORKING.replace('"ingest"', '"other"'))
    with started(program, ingest) as process:
        until(process, "in hand")
        owners = {run["run"]: run["owner"]["runs"] for run in call("status", ingest, "--json").json["runs"]}
    assert owners == {"ingest": False, "other": True}


def test_what_is_kept_aside_and_what_compacting_gives_are_said(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes beside the journal are counted apart, and a journal that is mostly past is said to be worth compacting."""
    monkeypatch.setattr("leftoff.work.look._FEW", 10)
    with leftoff.open(place, durability="process") as journal:
        for _ in journal.run("ingest").each((str(n) for n in range(40)), progress=False):
            pass
        journal.run("ingest").forget()
    assert "leftoff compact drops them" in call("status", place).out
    assert call("compact", place, "--keep").code == 0
    ended = call("status", place)
    assert "leftoff compact drops them" not in ended.out
    assert "more are kept aside beside it" in ended.out
    assert call("status", place, "--json").json["aside_bytes"] == Path(f"{place}.before-1").stat().st_size


def test_a_torn_tail_is_said_and_left_alone(tmp_path: Path) -> None:
    """What a crash tore is announced with its size; only the next run cuts it."""
    with leftoff.open("torn.jsonl") as journal:
        list(journal.run("ingest").each("abc", progress=False))
    path = tmp_path / "torn.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    torn = path.read_bytes()
    tail = len(torn) - torn.rindex(b"\n") - 1
    ended = call("status", "torn.jsonl")
    assert f"its last commit is torn: the next run will cut {tail} bytes and keep them aside" in ended.out
    assert call("status", "torn.jsonl", "--json").json["torn_bytes"] == tail
    assert path.read_bytes() == torn


def test_a_journal_without_runs_is_no_failure(tmp_path: Path, place: str) -> None:
    """An interrupted creation leaves an empty file, which holds no run yet."""
    (tmp_path / place).touch()
    ended = call("status", place)
    assert (ended.code, ended.out) == (0, f"{place}: 0 bytes, no run yet\n")


def test_the_name_of_a_run_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """What stands in the journal of somebody else is shown escaped."""
    with leftoff.open("a.jsonl") as journal:
        journal.store.own("\x1b[2Jrun")
    ended = call("status", "a.jsonl")
    assert "\x1b" not in ended.out
    assert "\\x1b[2Jrun" in ended.out
    assert json.loads(call("status", "a.jsonl", "--json").out)["runs"][0]["run"] == "\x1b[2Jrun"


WATCH = [sys.executable, "-m", "leftoff.cli", "status", "--watch", "--every", "0.1"]


def test_of_thousands_of_runs_those_are_shown_that_are_not_complete(tmp_path: Path) -> None:
    """Loops inside items are runs, too: what is complete is summed up, what is open, dead or missing is shown."""
    place = str(tmp_path / "many.db")
    with leftoff.open(place, durability="process") as journal:
        for number in range(24):
            list(journal.run(f"run {number}").each(range(3), progress=False))
        for _ in journal.run("left").each(range(3), progress=False):
            break
    text = call("status", place).out
    assert [line for line in text.splitlines() if line and line[0] != " "][1:-1] == ["run 0", "left"]
    assert text.endswith("\n\n23 runs more, all complete: 69 done, 0 dead, 0 open; --run NAME shows one, --json all\n")
    assert len(call("status", place, "--json").json["runs"]) == 25
    with leftoff.open(place, durability="process") as journal:
        for number in range(24):
            list(journal.run(f"run {number}").map(lambda _: 1 / 0, ["bad"], attempts=1, progress=False))
    text = call("status", place).out
    shown = [line for line in text.splitlines() if line and line[0] != " "][1:-1]
    assert shown == ["run 0", *(f"run {number}" for number in range(6, 24)), "left"]
    assert text.endswith("\n\n5 runs more: 0 done, 5 dead, 0 open; --run NAME shows one, --json all\n")


def test_a_watch_prints_a_block_each_time(two_runs: str) -> None:
    """Where nobody looks, the status is printed again and again with its rate, and Ctrl-C ends it with success."""
    with subprocess.Popen([*WATCH, two_runs, "--run", "clean"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        blocks = [[process.stdout.readline() for _ in range(8)] for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert [block[0] for block in blocks] == [blocks[0][0]] * 3
    assert [block[7] for block in blocks] == ["\n"] * 3
    assert blocks[0][4] == "  watching how fast it goes\n"
    assert blocks[2][4] == "  nothing was done in the 0:00:00 that were watched\n"
    assert "\x1b" not in "".join(map("".join, blocks))


def test_a_watch_is_told_to_programs(ingest: str) -> None:
    """With --json each look is an object a line, with rate and what is left; SIGTERM ends it with its code."""
    words = [*WATCH, ingest, "--json", "--total", "9"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 75
    (run,) = first["runs"]
    assert (run["rate"], run["left"], run["seconds_left"]) == (None, 0, None)
    assert second["runs"][0]["rate"] == 0
    once = call("status", ingest, "--json").json
    assert set(first) == set(once)
    assert set(run) - set(once["runs"][0]) == {"rate", "left", "seconds_left"}


def test_a_watch_ends_when_its_reader_or_its_journal_goes(ingest: str) -> None:
    """`| head` ends it quietly, a deleted journal with an error."""
    with subprocess.Popen([*WATCH, ingest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(PATIENCE), process.stderr.read()) == (141, "")
    with subprocess.Popen([*WATCH, ingest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        Path(ingest).unlink()
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (1, f"leftoff: {ingest} is gone: it was deleted or moved away\n")


def test_options_of_a_watch_are_refused_without_it(ingest: str) -> None:
    """--every or --total alone would be believed to do something."""
    for words in (["--every", "1"], ["--total", "5"], ["--watch", "--every", "0"], ["--watch", "--total", "0"]):
        assert call("status", ingest, *words).code == 2


Tmux = Callable[..., str]


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """Give a real terminal of 70 by 12 characters, in which a shell runs."""
    if shutil.which("tmux") is None:
        (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)("tmux is not here: install the package tmux")

    def call_tmux(*words: str) -> str:
        command = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    call_tmux("new-session", "-d", "-x", "70", "-y", "12", "PS1='$ ' exec sh")
    yield call_tmux
    call_tmux("kill-server")


def shown(tmux: Tmux, wanted: Callable[[list[str]], bool]) -> list[str]:
    """Return the lines of the terminal once they are as wanted."""
    end = time.monotonic() + PATIENCE
    while True:
        lines = tmux("capture-pane", "-p").rstrip("\n").split("\n")
        if wanted(lines):
            return lines
        assert time.monotonic() < end, lines
        time.sleep(0.05)


def test_a_terminal_is_redrawn_in_place(ingest: str, tmux: Tmux) -> None:
    """Nothing of an earlier look is left over, a smaller window is cut to, and what stood there before comes back."""
    shown(tmux, lambda lines: lines[-1] == "$")  # what is typed before the shell is there would be shown twice
    tmux("send-keys", f"echo before; {' '.join(WATCH)} {ingest} --total 2000", "Enter")
    first = shown(tmux, lambda lines: "nothing was done" in "".join(lines))
    assert first[0].startswith(f"{ingest}: ")
    assert [line.split()[0] for line in first if line] == [f"{ingest}:", "ingest", "3", "nothing", "last", "not"]
    with leftoff.open(ingest) as journal:
        for number in journal.run("ingest").each(range(1001), progress=False):
            if number == 1000:
                break
    # Between the last item's end and the loop's, the one that is broken off is open.
    full = shown(tmux, lambda lines: "1,003 done, 2 dead, 0 open" in lines[3] and "/s in the last" in lines[4])
    assert len(full) == 7
    assert "995 left, about " in full[4]

    call("forget", ingest, *(str(number) for number in range(1000)))  # so that lines become shorter
    again = shown(tmux, lambda lines: "  3 done" in lines[3] and "nothing was done" in lines[4])
    assert again[4].rstrip().endswith("that were watched")
    assert "left" not in again[4]

    tmux("resize-window", "-x", "30", "-y", "5")
    small = shown(tmux, lambda lines: lines[-1].startswith("… 3 more lines"))
    assert len(small) == 5
    assert max(map(len, small)) <= 30
    tmux("resize-window", "-x", "90", "-y", "14")
    shown(tmux, lambda lines: len(lines) == 7 and lines[6].startswith("  not running"))

    tmux("send-keys", "C-c")
    shown(tmux, lambda lines: lines[-1] == "$")  # what is typed before it ends would be lost
    tmux("send-keys", "echo code $?", "Enter")
    after = shown(tmux, lambda lines: "code 0" in lines)
    assert "before" in after
    assert sum(line.startswith(f"{ingest}: ") for line in after) == 1
