from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leftoff.prove import Proof

APPEND = """
import time
lines = len(open("out.txt").readlines()) if __import__("os").path.exists("out.txt") else 0
for number in range(lines, 8):
    time.sleep(0.01)
    with open("out.txt", "a") as file:
        file.write(f"{number}\\n")
"""


def test_a_kill_takes_the_children_too(proven: Callable[..., Proof], quick: Path, seed: int) -> None:
    """A child in a process group of its own dies with the program, or it would still write after the restart."""
    child = f"import time; time.sleep(600)  # {quick}"
    program = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", {child!r}], preexec_fn=os.setpgrp)
{APPEND}
"""
    proof = proven(program, seed=seed, kills=4, strace=False)
    assert proof.failure is None, proof.lines()
    if sys.platform == "linux":  # elsewhere a kill reaches the process group alone
        running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not [words for words in running if f"sleep(600)  # {quick}".encode() in words]


def test_each_journey_begins_from_the_same_folder(proven: Callable[..., Proof], quick: Path, seed: int) -> None:
    """What lies in the folder is there in each copy, links included, and the folder itself is never changed."""
    work = quick / "work"
    (work / ".venv").mkdir(parents=True)
    (work / ".venv" / "marker").write_text("1")
    (work / "input.txt").write_text("a\nb\n")
    (work / "link.txt").symlink_to("input.txt")
    os.mkfifo(work / "pipe")
    program = "open('out.txt', 'w').write(open('link.txt').read() + open('.venv/marker').read())"
    proof = proven(program, seed=seed, kills=2)
    assert proof.compared == ["out.txt"]
    assert sorted(path.name for path in work.iterdir()) == [".venv", "input.txt", "link.txt", "pipe", "program.py"]
    assert (quick / "kept" / "clean" / "out.txt").read_text() == "a\nb\n1"


@pytest.mark.usefixtures("strace")
def test_a_fault_is_found_again_by_its_seed_and_number(proven: Callable[..., Proof], seed: int) -> None:
    """The seed and the number of the journey make the same kills and the same fault again, in that journey alone."""
    program = APPEND.replace(
        "file.write(f", "file.write(''); file.flush(); file.write('h'); file.flush(); file.write(f"
    )
    first = proven(program, seed=seed, power=False)
    assert first.failure is not None
    again = proven(program, seed=seed, power=False, only=first.failure.journey)
    assert again.failure is not None
    assert (again.failure.journey, again.failure.kills) == (first.failure.journey, first.failure.kills)
    assert again.journeys == 1


def test_a_restart_that_hangs_or_fails_is_a_fault(proven: Callable[..., Proof], seed: int) -> None:
    """A program that a kill leaves unable to start again is found, and its last words are shown."""
    lock = "import os, sys, time\nif os.path.exists('lock'): sys.exit('locked by another')\nopen('lock', 'w').close()\n"
    proof = proven(f"{lock}{APPEND}\nos.remove('lock')", seed=seed, strace=False)
    assert proof.failure is not None
    assert proof.failure.what == ["started again it ended with exit code 1: locked by another"]
    assert Path(proof.failure.killed, "lock").exists()


def test_a_restart_that_never_ends_is_a_fault(
    proven: Callable[..., Proof], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart that waits for what a kill left behind is found after ten times the uninterrupted run and a while."""
    monkeypatch.setattr("leftoff.prove.journeys._AT_LEAST", 1.0)
    lock = "import os, time\nwhile os.path.exists('lock'): time.sleep(0.1)\nopen('lock', 'w').close()\n"
    proof = proven(f"{lock}{APPEND}\nos.remove('lock')", seed=seed, strace=False)
    assert proof.failure is not None
    assert proof.failure.what[0].startswith("started again it had not ended after ")


def test_a_run_that_keeps_nothing_for_long_is_warned_of(proven: Callable[..., Proof], seed: int) -> None:
    """A program that writes all at its end passes, as its result is right, with a warning of what a kill costs."""
    text = "import time\ntime.sleep(1)\nopen('out.txt', 'w').write('1\\n')"
    proof = proven(text, seed=seed, kills=1, kills_per_run=1, strace=False)
    assert proof.failure is None
    assert "it changed nothing for " in proof.warnings[0]
    assert "--ledger" in proof.warnings[0]


def test_repeats_that_are_allowed_are_no_fault(proven: Callable[..., Proof], seed: int) -> None:
    """With so many repeated lines a kill allowed, a program that appends again what it has is said to resume."""
    program = """
import os, time
done = int(open("next").read() or 0) if os.path.exists("next") else 0
for number in range(done, 8):
    with open("out.txt", "a") as file:
        file.write(f"{number}\\n")
    time.sleep(0.04)
    with open("new", "w") as file:
        file.write(str(number + 1))
    os.replace("new", "next")
"""
    assert proven(program, seed=seed, strace=False).failure is not None
    proof = proven(program, seed=seed, kills=10, strace=False, repeats=1)
    assert proof.failure is None, proof.lines()
    assert 0 < proof.repeated <= proof.kills
    assert "(<= 1 per kill)" in proof.verdict


def test_work_within_its_ledger_is_no_fault(proven: Callable[..., Proof], seed: int) -> None:
    """A ledger that repeats one line a kill is what a resumed item costs; it is counted and not compared."""
    program = APPEND.replace("    time.sleep", "    open('begun.txt', 'a').write(f'{number}\\n')\n    time.sleep")
    proof = proven(program, seed=seed, kills=8, strace=False, ledger="begun.txt")
    assert proof.failure is None, proof.lines()
    assert proof.compared == ["out.txt"]
    assert proof.begun_again is not None
    assert proof.begun_again <= proof.kills


@pytest.mark.usefixtures("strace")
def test_a_program_that_is_too_quick_is_killed_all_the_same(proven: Callable[..., Proof], seed: int) -> None:
    """A program of no time at all is killed at its calls."""
    quick_one = "open('out.txt', 'w').write('1\\n')"
    assert proven(quick_one, seed=seed, kills=3, power=False).kills == 3


def test_stopping_prove_stops_the_program(quick: Path) -> None:
    """SIGTERM ends prove with 75, and the program under proof with it; its copies are removed."""
    work, scratch = quick / "work", quick / "tmp"
    work.mkdir()
    scratch.mkdir()
    told = quick / "told"
    os.mkfifo(told)
    (work / "program.py").write_text(f"open({str(told)!r}, 'w').write('up\\n')\nimport time\ntime.sleep(600)")
    command = [sys.executable, "-m", "leftoff.cli", "prove", "--", sys.executable, "program.py"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(command, cwd=work, env=environment, stderr=subprocess.PIPE, text=True)
    with told.open() as words:
        assert words.read() == "up\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, list(scratch.iterdir())) == (75, []), err
