from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from leftoff.prove import trace
from tests.cli.conftest import call

LOSES = """
import os, time
done = open("done").read().split() if os.path.exists("done") else []
for number in map(str, range(6)):
    if number not in done:
        with open("done", "a") as file:
            file.write(f"{number}\\n")
        time.sleep(0.02)
        with open("out.txt", "a") as file:
            file.write(f"{number}\\n")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a program that loses what a kill hits, and a place for copies beside it."""
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    (work / "loses.py").write_text(LOSES)
    (work / "keeps.py").write_text("open('out.txt', 'w').write('1\\n')")
    monkeypatch.chdir(work)
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    return scratch


def test_a_proof_is_one_line_and_leaves_nothing(folder: Path) -> None:
    """A program that resumes is told in one line with exit code 0, and the copies are gone."""
    if trace.available() is not None:
        (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)("strace cannot be used")
    ended = call("prove", "--no-power", "--kills", 3, sys.executable, "keeps.py", "--kills", 9)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == "prove: 3 kills, 0 lost, 0 repeated, 0 different: it resumes"
    assert list(folder.iterdir()) == []


def test_a_fault_is_told_with_what_repeats_it(folder: Path) -> None:
    """A fault is exit code 1, with examples, the kills, the kept folders, and a command that finds it again."""
    ended = call("prove", "--no-strace", "--compare", "out.txt", "--", sys.executable, "loses.py")
    assert ended.code == 1
    verdict, *lines = ended.out.splitlines()
    assert verdict.startswith("prove: ")
    assert verdict.endswith(": it does NOT resume")
    assert lines[0].startswith("  out.txt: lost: ")
    assert any(line.startswith("  killed ") and line.endswith(" s after its start") for line in lines)
    kept = next(line.split() for line in lines if line.startswith("  kept: "))
    assert [Path(kept[1], "out.txt").exists(), Path(kept[4], "done").exists()] == [True, True]
    repeat = shlex.split(lines[-1].removeprefix("  repeat: "))
    command = ["--no-strace", "--", sys.executable, "loses.py"]
    assert repeat[:3] == ["leftoff", "prove", "--seed"]
    assert (repeat[4], repeat[6:]) == ("--only", ["--compare", "out.txt", *command])
    shutil.rmtree(Path(kept[1]).parent)
    said = call("prove", "--json", *repeat[2:]).json
    assert (said["seed"], said["journeys"]) == (int(repeat[3]), 1)


def test_a_fault_is_told_to_programs(folder: Path) -> None:
    """--json is one object with the counts, the failure and the command that repeats it."""
    ended = call("prove", "--json", "--no-strace", "--seed", 7, "--keep", folder / "kept", sys.executable, "loses.py")
    said = ended.json
    assert (ended.code, said["proven"], said["seed"]) == (1, False, 7)
    assert said["lost"] + said["repeated"] + said["different"] > 0
    assert said["failure"]["clean"] == str(folder / "kept" / "clean")
    assert said["repeat"].startswith("leftoff prove --seed 7 --only ")
    assert "--keep" not in said["repeat"]
    assert said["not_durable"] is None


def test_what_cannot_be_judged_is_a_usage_error(folder: Path) -> None:
    """A program that fails by itself, or is not there, is exit code 2 and one line; nothing stays behind."""
    for words, message in (
        (["no-such-program"], "no-such-program cannot be started"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "failed without any kill, with exit code 3"),
        (["true"], "the program changed no file of its folder"),
    ):
        ended = call("prove", "--", *words)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("leftoff: ")
        assert message in ended.err
        assert list(folder.iterdir()) == []
    assert call("prove").code == 2
