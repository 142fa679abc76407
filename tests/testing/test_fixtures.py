"""The pytest fixture `kill_and_resume`: it lets sound programs pass and catches naive ones."""

import subprocess
import sys

import pytest

from leftoff.errors import UsageError
from tests.testing import killed

NAIVE = [
    (killed.begins_anew, (), "lost"),
    (killed.marks_first, ["out"], "different"),
    (killed.marks_last, ["out"], "different"),
    (killed.reads_ahead, [f"{key}.txt" for key in range(10)], "different"),
    (killed.saves_halfway, (), "different"),
    (killed.works_by_twos, (), "repeated"),
]


@pytest.mark.parametrize(("at", "kills"), [("instants", 6), ("boundaries", None), ("lines", 20)])
def test_a_sound_program_passes(kill_and_resume, at, kills):
    """A loop whose rows commit with its items is killed wherever it may be and is found sound."""
    resumed = kill_and_resume(killed.sound, 2 if kills is None else 6, at=at, kills=kills, compare=["work.db"])
    assert resumed.kills == kills or (kills is None and resumed.kills > 20)
    assert resumed.repeats <= resumed.kills
    assert not resumed.wrong


@pytest.mark.parametrize(("program", "compare", "wrong"), NAIVE, ids=lambda value: getattr(value, "__name__", None))
def test_a_naive_program_is_caught(kill_and_resume, program, compare, wrong):
    """A program that begins anew, skips, repeats, reads ahead or saves half a file is found out."""
    resumed = kill_and_resume(program, kills=8, compare=compare, check=False)
    assert resumed.kills == 8
    assert getattr(resumed, wrong), resumed


def test_what_is_wrong_fails_the_test_and_says_how_to_repeat_it(kill_and_resume):
    """The failure tells what was lost after which kill, where it can be looked at, and the seed."""
    text = r"(?s)4 kills, .*lost: ledger: 0.* \(killed after .* is as it was left\)\n.*seed=7\) and pytest '?tests/"
    with pytest.raises(AssertionError, match=text):
        kill_and_resume(killed.begins_anew, kills=4, seed=7)


def test_more_may_be_in_flight(kill_and_resume):
    """A batch is what its loop may repeat, where the test says so."""
    assert not kill_and_resume(killed.works_by_twos, kills=4, in_flight=2).wrong


def test_a_script_gets_its_arguments_and_files(kill_and_resume, tmp_path):
    """A script runs as its own program in a folder with copies of its files, and a function may read its result."""
    (tmp_path / "neighbour.py").write_text("import leftoff\n")
    (tmp_path / "script.py").write_text(
        "import sys\nfrom neighbour import leftoff\nfrom pathlib import Path\n"
        "assert __name__ == '__main__'\n"
        "for key in leftoff.each(Path(sys.argv[1]).read_text().split(), 'work.jsonl', progress=False):\n"
        "    with leftoff.replacing(key) as file:\n"
        "        file.write(sys.argv[2])\n"
    )
    (tmp_path / "items.txt").write_text("a b c")
    made = []

    def read(folder):
        made.append(sorted(path.name for path in folder.iterdir()))
        return [(folder / key).read_text() for key in "abc"]

    resumed = kill_and_resume(
        "script.py", "items.txt", 7, files=["items.txt"], compare=read, at="boundaries", kills=10, seed=1
    )
    assert resumed.kills == 10
    assert made[0] == ["a", "b", "c", "items.txt", "work.jsonl", "work.jsonl.lock"]


@pytest.mark.parametrize(
    ("program", "options", "error", "text"),
    [
        (killed.fails, {}, AssertionError, "uninterrupted, it ended with exit code 1:.*as it always does"),
        (killed.nothing, {"at": "boundaries"}, AssertionError, "no kill hit it: there are no boundaries"),
        (killed.sound, {"at": "ends"}, UsageError, "at='ends': write 'instants' or 'boundaries' or 'lines'"),
        (killed.sound, {"kills": 0}, UsageError, "kills=0: it takes one at least"),
        ("gone.py", {}, UsageError, "there is no script gone.py"),
        (lambda: None, {}, UsageError, "give it a script, or a function defined at the top of a file"),
    ],
)
def test_what_cannot_be_killed_is_said(kill_and_resume, program, options, error, text):
    """A program that fails by itself, has no such place, or cannot be found, is told apart from one that was hurt."""
    with pytest.raises(error, match=rf"(?s){text}"):
        kill_and_resume(program, **options)


def test_pytest_pays_nothing_for_it():
    """Registering the fixture imports neither the journal's databases nor what forks and kills."""
    script = "import sys, leftoff.testing.fixtures; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"leftoff.testing.kills", "leftoff.journal.sqlite", "sqlite3", "psycopg", "leftoff.papers"} & set(
        loaded
    ) == set()
