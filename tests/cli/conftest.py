"""What the tests of the command line share: a journal to look at, in each format, and the command itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import leftoff
from leftoff.cli import main
from tests.contract.stores import FILES


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def call(*words: object) -> Ended:
    """Run the command in this process; what it does not turn into an exit code is raised."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def command() -> Callable[..., Ended]:
    return call


@pytest.fixture(params=FILES, ids=lambda file: Path(file).suffix)
def place(request: pytest.FixtureRequest) -> str:
    """Name a journal that is not there yet, in the test's own folder."""
    return str(request.param)


def refuse_two(item: str) -> str:
    """Work on an item; two of them always raise."""
    if item in ("b", "d"):
        raise ValueError(f"{item} is no good")
    return item.upper()


@pytest.fixture
def ingest(place: str) -> str:
    """Make a journal with one run: a, c, e done, and b, d dead letters."""
    with leftoff.open(place) as journal:
        for _ in journal.run("ingest").map(refuse_two, "abcde", attempts=1, progress=False):
            pass
    return place


@pytest.fixture
def two_runs(ingest: str) -> str:
    """Add a second run, clean, to the first."""
    with leftoff.open(ingest) as journal:
        for _ in journal.run("clean").each(["x", "y"], progress=False):
            pass
    return ingest


def fates(place: str, run: str = "ingest") -> tuple[list[str], list[str]]:
    """Return which keys are done, and which are dead."""
    with leftoff.open(place, create=False) as journal:
        return list(journal.run(run).keys("done")), list(journal.run(run).keys("dead"))
