"""The demo shows what is so, and would say it if it were not."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from leftoff.testing.ncbi_process import serve

DEMO = Path(__file__).parents[2] / "examples" / "papers" / "demo.py"
LAST = re.compile(r"0 lost, ([0-9]+) fetched twice \(at most one batch per kill\)")


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_ends_with_what_was_lost_and_the_live_command(demo: ModuleType) -> None:
    """`make demo` ends well, counts nothing lost and at most a batch a kill twice, and names the live command."""
    ended = subprocess.run([sys.executable, str(DEMO)], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    verdict, _, live = ended.stdout.partition("\n\nThe same with PubMed itself:\n")
    counted = LAST.fullmatch(verdict.splitlines()[-1])
    assert counted is not None
    assert int(counted[1]) <= 3 * demo.BATCH
    assert live == f"{demo.LIVE}\n"
    assert max(map(len, ended.stdout.splitlines())) <= 80
    rows = [[int(number) for number in line.split()[-3:]] for line in verdict.splitlines() if re.match(r"  \d  ", line)]
    assert len(rows) == 5
    assert all(0 < fetched < 120 for fetched, _, _ in rows[:4])
    assert [resumed for _, resumed, _ in rows] == sorted({resumed for _, resumed, _ in rows})
    assert rows[4] == [0, 120, 0]
    assert sum(fetched for fetched, _, _ in rows) == 120 + int(counted[1])


def test_the_demo_tells_of_a_loss(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record that is gone from the database makes the demo say so and fail, and so does a changed one."""
    with serve(demo.RECORDS) as replica:
        shown = demo.Demo(tmp_path, replica)
        shown.sync("whole.db")
        shown.began = len(replica.log())
        shown.sync("papers.db")
        assert shown.judge(0, again=0)
        for change in ("UPDATE paper SET title = 'changed' WHERE id = 1", "DELETE FROM raw WHERE rowid = 1"):
            with closing(sqlite3.connect(tmp_path / "papers.db")) as connection, connection:
                connection.execute(change)
            assert not shown.judge(0, again=0)
            assert "NOT THE SAME" in capsys.readouterr().out
        assert not shown.judge(0, again=0)
        assert "1 lost, 0 fetched twice" in capsys.readouterr().out
