"""Power cut at any instant: what was acknowledged is there, nothing is damaged, and no sync is there for nothing."""

import functools
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from leftoff.testing.power import Recording, record, survey
from leftoff.testing.power_disk import FOLDER
from tests.crash import judges, recorded

ROOT = str(Path(recorded.__file__).parents[2])
PARTS = 4
TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]
IMAGES = {"power": 5000, "process": 2000}
PER_RECORDING = {"jsonl": 350, "db": 700}  # so many different disks a recording of its length brings

every_store = pytest.mark.parametrize("suffix", ["jsonl", "db"])


@pytest.fixture(scope="module")
def cut():
    """Record the program with a seed, and judge what a power failure would have left."""
    context = multiprocessing.get_context("spawn")  # a fork would take this process's threads' locks along
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=context) as executor:
        yield functools.partial(survey, executor=executor, parts=PARTS)


def recording_of(folder, suffix, durability, seed, without="", **options) -> Recording:
    folder.mkdir()
    command = [sys.executable, recorded.__file__, str(folder), suffix, durability, str(seed), without]
    environment = {"PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    return record(command, folder, environment=environment, **options)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("durability", list(IMAGES))
@every_store
def test_power_failure_at_any_instant(cut, tmp_path, rng, suffix, durability, times):
    """No disk that a power failure can leave is damaged, and each holds all that was acknowledged, or synced."""
    judge = judges.judge if durability == "power" else judges.judge_process
    images = number = 0
    while images < IMAGES[durability] * times:
        seed, number = rng.getrandbits(32), number + 1
        recording = recording_of(tmp_path / str(number), suffix, durability, seed)
        findings = cut(recording, judge, images=PER_RECORDING[suffix], seed=seed)
        assert not findings.wrong, f"workload {seed}: {findings}"
        images += findings.images
    print(f"{images} disks of {number} workloads")


def test_every_sync_is_known():
    """Each call that syncs is known to be needed, or why it is not."""
    assert set(recorded.sync_sites()) == set(recorded.NEEDED) | set(recorded.OTHERS)


@pytest.mark.parametrize("without", list(recorded.WITHOUT))
def test_every_sync_is_needed(cut, tmp_path, rng, without):
    """With any sync left out that an acknowledgement rests on, the same survey finds a loss or damage."""
    suffix = "db" if "sqlite" in without.lower() else "jsonl"
    durability = recorded.NEEDED.get(without, "power")
    judge = judges.judge if durability == "power" else judges.judge_process
    for number in range(60):  # one in four workloads shows it; twelve in a row once did not
        seed = rng.getrandbits(32)
        recording = recording_of(tmp_path / str(number), suffix, durability, seed, without)
        if without.startswith("sqlite_owner.py"):
            recording = with_failing_sync_of_sqlite(recording)
        findings = cut(recording, judge, images=PER_RECORDING[suffix], seed=seed)
        if findings.wrong:
            assert findings.wrong[0].what.startswith(("lost", "damaged", "rows")), findings
            return
    pytest.fail(f"nothing is wrong without {without}")


def test_sqlites_own_sync_of_the_directory_may_fail(cut, tmp_path, rng):
    """SQLite ignores it when its own sync of the directory fails; ours comes before the first acknowledgement."""
    seed = rng.getrandbits(32)
    recording = with_failing_sync_of_sqlite(recording_of(tmp_path / "work", "db", "power", seed))
    findings = cut(recording, judges.judge, images=PER_RECORDING["db"], seed=seed)
    assert [wrong for wrong in findings.wrong if wrong.what.startswith("lost")] == []


def with_failing_sync_of_sqlite(recording):
    """Let SQLite's syncs of the directory fail: it uses fdatasync for them, and we use fsync."""
    weaker = recording.failing(lambda sync: sync.file == FOLDER and sync.call == "fdatasync")
    assert weaker != recording, "this SQLite syncs the directory in another way"
    return weaker


@every_store
def test_a_failed_sync_ends_it(cut, tmp_path, rng, suffix):
    """Whichever sync fails, the journal refuses further work, syncs no more and loses nothing that was acknowledged."""
    refused = 0
    for failing in range(1, 16):
        seed = rng.getrandbits(32)
        inject = f"fdatasync:error=EIO:when={failing}"
        recording = recording_of(
            tmp_path / str(failing), suffix, "power", seed, "insist", inject=inject, codes=(0, 1, 3)
        )
        operations = recording.operations
        told = [operation.name for operation in operations if operation.kind == "told"]
        assert "refused JournalInDoubt" not in told or "not refused" not in told
        if "refused JournalInDoubt" in told:
            refused += 1
            (failed,) = (number for number, operation in enumerate(operations) if operation.kind == "failed")
            later = [operation for operation in operations[failed:] if operation.kind == "sync"]
            assert operations[failed].file not in {sync.file for sync in later}, "the sync was tried again"
        findings = cut(recording, judges.judge, images=100, seed=seed)
        assert not findings.wrong, f"sync {failing} failed, workload {seed}: {findings}"
    assert refused, "no commit was hit"
