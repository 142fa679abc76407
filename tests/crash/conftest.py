"""What every crash test gets: a seed that it prints with the command that repeats it, and a place to be quick in."""

import os
import random
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def rng(request):
    """Random numbers whose seed is printed; LEFTOFF_SEED repeats it."""
    seed = int(os.environ.get("LEFTOFF_SEED") or random.SystemRandom().randrange(1 << 32))
    marks = " -m prove" if request.node.get_closest_marker("prove") else ""
    print(f"repeat with: LEFTOFF_SEED={seed} .venv/bin/python -m pytest{marks} {shlex.quote(request.node.nodeid)}")
    return random.Random(seed)


@pytest.fixture
def quick():
    """A folder in memory where there is one, for what is killed too often for a disk: SIGKILL leaves the same there."""
    folder = Path(tempfile.mkdtemp(prefix="leftoff-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    yield folder
    shutil.rmtree(folder)
