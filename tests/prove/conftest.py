"""What the tests of prove share: a seed that is printed, a working folder, strace, and the call itself."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leftoff.prove import Proof, prove, trace

HERE = Path(__file__).parent


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed for `prove`, printed; LEFTOFF_SEED repeats it."""
    seed = int(os.environ.get("LEFTOFF_SEED") or random.SystemRandom().randrange(10**6))
    print(f"repeat with: LEFTOFF_SEED={seed} .venv/bin/python -m pytest {shlex.quote(request.node.nodeid)}")
    return seed


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory where there is one: what prove shows does not depend on the disk."""
    folder = Path(tempfile.mkdtemp(prefix="leftoff-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def strace() -> None:
    """Ask for strace: no test passes because a program is missing."""
    missing = trace.available()
    if missing is not None:
        (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)(missing)


@pytest.fixture
def proven(quick: Path) -> Callable[..., Proof]:
    """Prove a program, given as text or by its path, in a working folder that holds nothing else."""

    def call(program: str | Path, *arguments: str, **options: Any) -> Proof:
        folder = quick / "work"
        folder.mkdir(exist_ok=True)
        text = program.read_text("utf-8") if isinstance(program, Path) else program
        (folder / "program.py").write_text(text, "utf-8")
        given = {"folder": folder, "keep": quick / "kept", "progress": False, **options}
        shutil.rmtree(quick / "kept", ignore_errors=True)
        return prove([sys.executable, "program.py", *arguments], **given)

    return call
