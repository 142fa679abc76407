from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.adopt import adopt, joblog
from leftoff.testing.kills import ForkServer
from tests.adopt.conftest import NASTY, done_entries, gnu_parallel
from tests.adopt.programs import work
from tests.contract.program import PATIENCE

KEYS = [f"key {number}" for number in range(300)]
PLACES = ["work.jsonl", "work.db", "work/"]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer(Path(__file__).parent / "programs.py") as server:
        yield server


@pytest.fixture
def source() -> str:
    Path("keys.txt").write_text("".join(f"{key}\n" for key in KEYS))
    return "keys.txt"


def adopted_again(server: ForkServer, folder: Path, place: str, source: str) -> None:
    """Adopt to the end, and hold the journal against the list: each key once, none missing."""
    end = server.run("take", str(folder / place) + "/" * place.endswith("/"), source, str(folder / "ledger"))
    assert end.code == 0, end.output
    assert sum(map(int, end.output.split())) == len(KEYS)
    assert done_entries(str(folder / place) + "/" * place.endswith("/"), "ingest") == KEYS


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_every_boundary_an_adoption_goes_on(server: ForkServer, quick: Path, source: str, place: str) -> None:
    """Before and after each call on the journal's files: adopting again leaves each key done once."""
    source = str(Path(source).resolve())
    whole = quick / "whole"
    whole.mkdir()
    calls = server.run("take", f"{whole}/{place}", source, str(whole / "ledger")).calls
    assert done_entries(f"{whole}/{place}", "ingest") == KEYS
    assert calls > 8  # eight commits at least, or the kills would fall into one
    for boundary in range(2 * calls):
        folder = quick / str(boundary)
        folder.mkdir()
        end = server.run("take", f"{folder}/{place}", source, str(folder / "ledger"), boundary=boundary)
        assert end.killed, (boundary, end.output)
        adopted_again(server, folder, place, source)


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_any_instant_an_adoption_goes_on(
    server: ForkServer, quick: Path, source: str, place: str, rng: random.Random
) -> None:
    """Twice in a row, at instants spread over the span of a whole adoption: each key is done once."""
    source = str(Path(source).resolve())
    whole = quick / "whole"
    whole.mkdir()
    span = server.run("take", f"{whole}/{place}", source, str(whole / "ledger")).seconds
    for number in range(12):
        folder = quick / str(number)
        folder.mkdir()
        for _ in range(2):
            server.run(
                "take", f"{folder}/{place}", source, str(folder / "ledger"), after=span * (number + rng.random()) / 12
            )
        adopted_again(server, folder, place, source)


@pytest.mark.parametrize("finished", [1, 9, 25, 44])
def test_a_killed_parallel_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: int) -> None:
    """GNU parallel is killed after so many items; `map` does the rest, and at most what was in hand twice."""
    monkeypatch.setenv("PARALLEL_HOME", str(tmp_path / ".parallel"))
    ledger = tmp_path / "ledger"
    template = f"printf '%s\\n' {{}} >> {ledger}; sleep 0.01"
    Path("list").write_text("".join(f"{item}\n" for item in NASTY), "utf-8")
    words = [*gnu_parallel(), "-j2", "--joblog", "jobs.log", "-a", "list", template]
    process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE
    while len(read(ledger)) < finished:
        assert time.monotonic() < end, "parallel does not come on"
        assert process.poll() is None, "parallel ended"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    begun = len(read(ledger))

    adopted = adopt("progress.jsonl", joblog("jobs.log", command=template), run="each", progress=False)
    assert begun - 2 <= adopted.adopted <= begun
    work("progress.jsonl", NASTY, str(ledger))

    counted = Counter(read(ledger))
    assert set(counted) == set(NASTY)
    assert sum(counted.values()) - len(NASTY) <= 2
    assert sorted(done_entries("progress.jsonl", "each")) == sorted(NASTY)


def read(ledger: Path) -> list[str]:
    return ledger.read_bytes().decode().split("\n")[:-1] if ledger.exists() else []
