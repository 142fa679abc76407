"""What these tests share: the real GNU parallel, and a seed that is printed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import leftoff
from leftoff.adopt import Done, Doubt, NotDone
from tests.crash.conftest import quick, rng  # noqa: F401  # pytest finds them here

NASTY = [
    "plain", "with space", "two  spaces", "it's", "''", 'say "hi"', "$HOME", "back\\slash", "`id`", "$(id)", "-dash",
    "--opt=val", "ünï", "日本", "a*b?c", "semi;colon", "pipe|x", "tab\there", "#hash", "~tilde", "!bang", "{}", "{1}",
    "{#}", "a&b", "(par)", "[b]", "<lt>", "new%s", "ends ", " starts", "=", "^c", "emoji😀", "'", '"', "\\", "a\\ b",
    "\u00a0nb", "x\x01y", "\x7f", "{.}", "\\n", "a:b@c/d+e_f.g", "out of order.tar.gz", "x'y\"z\\", "a\rb", "\r",
    ".", "..", "/",
]  # fmt: skip
"""Items that a shell or a careless reader would take for something else."""


@pytest.fixture
def parallel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run GNU parallel over items, one after the other; return the name of its log."""
    command = gnu_parallel()
    monkeypatch.setenv("PARALLEL_HOME", str(tmp_path / ".parallel"))

    def run(template: str, items: list[str], *options: str, log: str = "jobs.log", end: str = "\n") -> str:
        Path("list").write_text("".join(f"{item}{end}" for item in items), "utf-8")
        words = [*command, "-j1", "--joblog", log, "-a", "list", *options, *([template] if template else [])]
        subprocess.run(words, capture_output=True, check=False, timeout=60)
        return log

    return run


def gnu_parallel() -> list[str]:
    """Return the command that starts GNU parallel; moreutils has another one of this name."""
    path = shutil.which("parallel")
    if path is not None:
        said = subprocess.run([path, "--version"], check=False, capture_output=True, text=True)
        if "GNU parallel" in said.stdout:
            return [path, "--will-cite"]
    (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)(
        "GNU parallel is not here: install the package parallel"
    )
    raise AssertionError


def sorted_out(found):
    """Return what a source said: the keys that are done, those that are not, and the doubts."""
    every = list(found)
    return (
        [each.key for each in every if isinstance(each, Done)],
        [each.key for each in every if isinstance(each, NotDone)],
        [each for each in every if isinstance(each, Doubt)],
    )


def done_entries(place: str, run: str) -> list[str]:
    """Return the key of each `done` entry of a run: one that was adopted twice would be there twice."""
    with leftoff.open(place, create=False) as journal:
        return [entry.key for entry in journal.entries(run) if entry.kind == "done"]
