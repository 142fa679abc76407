"""The tutorial's programs, as they stand: killed half-way and resumed, they end as if nothing had happened."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "examples" / "tutorial"
PAGE = ROOT / "docs" / "tutorial.md"
PAPERS = {f"paper-{number:02}" for number in range(1, 41)}
PATIENCE = 60.0  # seconds

PROGRAMS = {  # what each is started with, how it ends, and how many papers it has in hand at once
    "first_loop.py": ((), 0, 1),
    "dead_letters.py": ((), 0, 1),
    "parallel.py": ((), 0, 4),
    "budget.py": (("5",), 0, 1),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Have the tutorial's files in a folder of one's own."""
    return Path(shutil.copytree(TUTORIAL, tmp_path / "tutorial", ignore=shutil.ignore_patterns("__pycache__")))


def start(folder: Path, program: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", program, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str], code: int) -> str:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    return out


def requests(folder: Path) -> list[str]:
    """Return the papers that the service was asked for, in order."""
    log = folder / "requests.log"
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def results(folder: Path) -> Any:
    """Return what a program left: the texts of its files, and the rows of its database."""
    texts = {path.name: path.read_text() for path in folder.glob("paper-*.txt")}
    if not (folder / "papers.db").exists():
        return texts
    with closing(sqlite3.connect(folder / "papers.db")) as connection:
        return texts, connection.execute("SELECT * FROM paper ORDER BY id").fetchall()


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_is_killed_ends_as_if_nothing_had_happened(program: str, folder: Path) -> None:
    """Killed when half of the papers are fetched, and again later, it has each paper, and repeats what was in hand."""
    words, code, width = PROGRAMS[program]
    for least in (14, 28):
        process = start(folder, program, *words)
        while len(requests(folder)) < least:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    out = end(start(folder, program, *words), code)
    counted = Counter(requests(folder))
    assert counted.keys() == PAPERS
    again = 1 if program == "dead_letters.py" else 0  # paper 13 has a second attempt
    assert counted.total() - len(PAPERS) <= 2 * width + again

    whole = Path(shutil.copytree(TUTORIAL, folder.parent / "whole", ignore=shutil.ignore_patterns("__pycache__")))
    expected = end(start(whole, program, *words), code)
    assert results(folder) == results(whole)
    if program == "dead_letters.py":
        assert out == expected == "paper-13 was set aside: ValueError: it is only a scan\n156 words\n"
    before = requests(folder)
    end(start(folder, program, *words), code)
    assert requests(folder) == before, "a third run asks for nothing"


def test_commands_that_are_killed_are_run_on(folder: Path) -> None:
    """The shell's loop runs each command once, and at most its four in hand twice; one more run does nothing."""
    folders = [str(Path(sys.executable).parent), os.environ["PATH"]]
    options: dict[str, Any] = {"cwd": folder, "env": {**os.environ, "PATH": os.pathsep.join(folders)}}
    command = ["sh", "commands.sh"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, **options)
    while len(requests(folder)) < 18:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    counted = Counter(requests(folder))
    assert counted.keys() == PAPERS
    assert counted.total() - len(PAPERS) <= 4
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    assert Counter(requests(folder)) == counted


def test_the_budget_stops_and_goes_on(folder: Path) -> None:
    """A dollar is enough for twenty papers; with more it goes on, and no paper is paid for twice."""
    end(start(folder, "budget.py", "1"), 75)
    assert len(requests(folder)) == 20
    end(start(folder, "budget.py", "5"), 0)
    assert sorted(requests(folder)) == sorted(PAPERS)


def test_the_plan_says_what_the_page_says(folder: Path) -> None:
    """Behind the program that it follows, it finds a changed list and a changed function, killed half-way or not."""
    end(start(folder, "dead_letters.py"), 0)
    process, before = start(folder, "plan.py"), len(requests(folder))
    while len(requests(folder)) < before + 12:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    out, _ = process.communicate()
    said = "35 done, 1 dead, 4 removed, 4 to do"
    assert out == f"{said}\nchanged: dead_letters.count_words, plan.count_words\n"
    end(start(folder, "plan.py"), 0)
    after = Counter(requests(folder)[before:])
    assert set(after) == {f"paper-{number:02}" for number in range(5, 45)}
    assert after.total() - len(after) <= 1
    assert said in PAGE.read_text("utf-8")


def test_the_page_shows_the_programs_as_they_are() -> None:
    """Each block of the tutorial is a file of its folder, word for word, and each file is on the page."""
    blocks = dict(re.findall(r"^```(?:py|sh)\n# (\S+)\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))
    assert blocks == {path.name: path.read_text("utf-8") for path in TUTORIAL.iterdir() if path.is_file()}
