"""What cannot be judged is refused, with what to do about it, before anything is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import UsageError
from leftoff.prove import Proof, prove
from leftoff.prove.instants import at_instant

WRITE = "open('out.txt', 'w').write('x\\n')"

REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "fails": ("import sys; sys.exit('no input')", {}, "failed without any kill, with exit code 1: no input"),
    "ends never": ("import time\nwhile True: time.sleep(1)", {"limit": 0.5}, "had not ended by itself after 0.5 s"),
    "writes nothing": ("pass", {}, "the program changed no file of its folder"),
    "writes an empty file": ("open('out.txt', 'w')", {}, "there is nothing to compare"),
    "writes another file": (WRITE, {"compare": ["*.csv"]}, "no file fits --compare"),
    "writes its number": ("import os; open('out.txt', 'w').write(str(os.getpid()))", {}, "leave the file out with"),
    "writes no ledger": (WRITE, {"ledger": "begun.txt"}, "the ledger begun.txt is empty"),
    "prints nothing": (WRITE, {"ledger": "-"}, "the ledger - is empty"),
    "absolute pattern": (WRITE, {"compare": ["/etc/*"]}, "relative to the working folder"),
    "pattern outside": (WRITE, {"compare": ["../*"]}, "relative to the working folder"),
    "ledger outside": (WRITE, {"ledger": "/tmp/begun.txt"}, "name a file inside the working folder"),
    "no kills": (WRITE, {"kills": 0}, "kills=0: at least 1"),
    "no limit": (WRITE, {"limit": 0}, "limit=0: seconds, more than 0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_program_that_cannot_be_judged_is_refused(what: str, proven: Callable[..., Proof]) -> None:
    """A program that fails, never ends, leaves nothing or leaves something else each time is told so."""
    text, options, message = REFUSED[what]
    with pytest.raises(UsageError, match="(?i)" + message.replace("(", r"\(").replace("*", r"\*")):
        proven(text, **options)


def test_two_runs_that_differ_name_the_line(proven: Callable[..., Proof]) -> None:
    """What differs between two uninterrupted runs is named with its file and content, and can be left out."""
    text = f"import time; open('log.txt', 'w').write(str(time.time())); {WRITE}"
    with pytest.raises(UsageError, match=r"two uninterrupted runs left different things.*log\.txt: lost: \d+"):
        proven(text)
    assert proven(text, exclude=["log.txt"], kills=1).compared == ["out.txt"]


def test_a_program_that_differs_by_itself_is_told_so(
    proven: Callable[..., Proof], quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program whose third run leaves something else, without a kill, is told that no kill is to blame."""
    monkeypatch.setattr("leftoff.prove.instants.Plan.journey", lambda *_: [at_instant(600.0)])
    count = f"with open({str(quick / 'runs')!r}, 'a+') as runs: runs.write('x'); runs.seek(0); n = len(runs.read())"
    proof = proven(f"{count}\nopen('out.txt', 'w').write('early' if n < 3 else 'late')", strace=False)
    assert proof.failure is not None
    assert (proof.kills, proof.failure.journey, proof.lost, proof.different) == (0, 1, 1, 1)
    assert proof.failure.what[-1] == "no kill came before it ended: it does this by itself, once in a while"


def test_a_command_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A command that is not found, none at all, or one string for a list is the caller's mistake."""
    with pytest.raises(UsageError, match="no-such-program cannot be started: No such file"):
        prove(["no-such-program"], folder=tmp_path)
    with pytest.raises(UsageError, match="there is no command"):
        prove([])
    with pytest.raises(UsageError, match="write a list"):
        prove("python x.py")  # type: ignore[arg-type]


def test_a_program_that_changes_its_own_folder_is_refused(proven: Callable[..., Proof], quick: Path) -> None:
    """A program that writes into the original folder, past its copy, is refused and told the file."""
    out = quick / "work" / "out.txt"
    with pytest.raises(UsageError, match=r"out\.txt changed while the program ran in a copy of that folder"):
        proven(f"open({str(out)!r}, 'w').write('x')")


@pytest.mark.usefixtures("strace")
def test_what_is_written_elsewhere_is_told(proven: Callable[..., Proof], tmp_path: Path, monkeypatch: Any) -> None:
    """A file written outside the folder is no fault, and limits the proof: it is named."""
    monkeypatch.setenv("TMPDIR", os.devnull)  # pytest's folder lies among the temporary files, which are nobody's
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/nowhere")
    proof = proven(f"{WRITE}; open({str(tmp_path / 'far.txt')!r}, 'w').write('x')", kills=2)
    assert [warning for warning in proof.warnings if f"{tmp_path}/far.txt, outside its folder" in warning]


def test_odd_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is none, one too large to copy, copies inside it, and a place that is taken are refused."""
    with pytest.raises(UsageError, match="gone is no folder"):
        prove(["true"], folder="gone")
    (tmp_path / "large").write_bytes(bytes(2000))
    with pytest.raises(UsageError, match="lies inside"):
        prove(["true"], keep="kept")
    taken = tmp_path.parent / f"{tmp_path.name}-taken"
    (taken / "x").mkdir(parents=True)
    with pytest.raises(UsageError, match="is there already and not empty"):
        prove(["true"], keep=taken)
    shutil.rmtree(taken)
    monkeypatch.setattr("leftoff.prove.folder._LARGEST", 1000)
    with pytest.raises(UsageError, match="each journey begins with a copy"):
        prove(["true"])
