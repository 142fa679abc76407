"""What the tests of commands share: the command line as a process of its own, and a ledger that its commands keep."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import leftoff

LEFTOFF = [sys.executable, "-m", "leftoff.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(leftoff.__file__).parents[1])}


def start(*words: object, stdin: str | bytes | None = None, **more: object) -> subprocess.Popen[bytes]:
    """Start `leftoff` with these words, its output captured."""
    process = subprocess.Popen(
        [*LEFTOFF, *map(str, words)],
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        **more,
    )
    if stdin is not None:
        process.stdin.write(stdin.encode() if isinstance(stdin, str) else stdin)
        process.stdin.close()
        process.stdin = None
    return process


def run(*words: object, stdin: str | bytes | None = None, **more: object) -> subprocess.CompletedProcess[bytes]:
    """Run `leftoff` with these words to its end."""
    process = start(*words, stdin=stdin, **more)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def wait_for(what: Callable[[], object]) -> None:
    """Wait until something is so; fail where it never comes."""
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.005)


def ledger(place: Path | str = "ledger") -> Counter[str]:
    """Count the lines that commands have written."""
    return Counter(Path(place).read_text().splitlines()) if Path(place).exists() else Counter()


def living(mark: str) -> list[int]:
    """Return the processes that have this text among their arguments and run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:  # a zombie has none
            found.append(int(folder.name))
    return found


@pytest.fixture(scope="session")
def parallel() -> list[str]:
    """GNU parallel, quiet; where it is not installed the test is skipped, in CI it fails."""
    if shutil.which("parallel") is None:
        (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)("GNU parallel is not installed")
    return ["parallel", "--will-cite"]
