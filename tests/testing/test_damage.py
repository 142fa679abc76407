"""The damage fuzzer: that it finds what it is made to find, and that its cases can be repeated."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal.jsonl import JsonlStore
from leftoff.testing.damage import Sample, damaged, load, main, survey

DATA = Path(__file__).parent.parent / "data" / "format-1"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load(DATA / "power.jsonl")


def test_a_case_is_made_from_its_seed_and_number_alone(sample: Sample) -> None:
    """The same seed and number damage the same bytes in the same way; other numbers others."""
    once, again = ([damaged(sample, 7, number) for number in range(60)] for _ in range(2))
    assert once == again
    assert len({tuple(case.files.items()) for case in once}) > 55
    assert all(case.files != sample.files for case in once)


def test_a_folder_and_a_log_beside_a_database_are_read_whole(tmp_path: Path) -> None:
    """All files of a journal are damaged, not only the one that gives it its name."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl", "a.jsonl.lock"):
        shutil.copy(DATA / "power.jsonl", folder / name)
    assert sorted(load(folder).files) == ["work/a.jsonl", "work/b.jsonl"]
    assert sorted(load(DATA / "killed.db").files) == ["killed.db", "killed.db-wal"]
    assert load(DATA / "closed.db").place == "closed.db"


def _faulty(fault: str, path: Path) -> Any:
    if path.parent.name == "sound":
        return JsonlStore(path)
    try:
        return JsonlStore(path)
    except JournalDamaged as error:
        if fault == "silent":
            path.write_bytes(b"")
            return JsonlStore(path)
        if fault == "broke":
            raise KeyError("seq") from error
        if fault == "unnamed":
            raise JournalDamaged("something is wrong") from error
        if fault == "crashed":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hung":
            signal.pause()
        if fault == "memory":
            bytearray(3 << 30)
        raise


@pytest.mark.parametrize("fault", ["silent", "broke", "unnamed", "crashed", "hung", "memory"])
def test_what_must_not_be_is_found(sample: Sample, fault: str, tmp_path: Path) -> None:
    """A store that makes nothing of damage, raises anything, dies, hangs or eats memory is told of, case by case."""
    found = survey(
        sample, seed=3, cases=range(12), opener=lambda path: _faulty(fault, path), seconds=0.5, folder=tmp_path
    )
    assert found.cases == 12
    assert {failure.verdict for failure in found.failures} == {"broke" if fault == "memory" else fault}, found.table()
    assert len(found.failures) >= 5
    assert all(failure.kind for failure in found.failures)


def test_reading_that_writes_is_found(sample: Sample, tmp_path: Path) -> None:
    """A store that mends what it was only to look at has touched it."""

    def open_and_cut(path: Path) -> JsonlStore:
        store = JsonlStore(path)
        os.truncate(path, path.stat().st_size - store.torn())
        return store

    found = survey(sample, seed=3, cases=range(80), opener=open_and_cut, folder=tmp_path)
    assert {failure.verdict for failure in found.failures} == {"touched"}, found.table()


def test_a_sample_must_be_sound(sample: Sample, tmp_path: Path) -> None:
    """A survey of a journal that holds nothing would find nothing."""
    with pytest.raises(ValueError, match=r"power\.jsonl is no sound journal with a run in it"):
        survey(Sample("power.jsonl", {"power.jsonl": b""}), seed=1, cases=range(1), folder=tmp_path)


def test_one_command_repeats_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line judges the cases it is told to, says how they ended, and exits by that."""
    assert main([str(DATA / "power.jsonl"), "--seed", "5", "--first", "3", "--cases", "2"]) == 0
    assert capsys.readouterr().out.startswith("power.jsonl: 2 damaged journals, seed 5\n")
    script = [sys.executable, "-m", "leftoff.testing.damage", "--help"]
    assert "--other" in subprocess.run(script, capture_output=True, text=True, check=True).stdout
