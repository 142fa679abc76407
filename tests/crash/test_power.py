"""Power cut at any instant: what was acknowledged is there, nothing is damaged, and no sync is there for nothing."""

import functools
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from leftoff.testing.power import Findings, record, survey
from leftoff.testing.power_disk import FOLDER
from tests.crash import judges, recorded
from tests.crash.surveys import JUDGES, Task, judge_workloads, recording_of
from tests.figures import store_of

PARTS = 4
TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]
TOGETHER = 6  # workloads in one recorded program
IMAGES = 250  # so many different disks of each workload; most have more
WORKLOADS = {
    ("jsonl", "power"): 114,
    ("jsonl", "process"): 54,
    ("segments", "power"): 18,
    ("segments", "process"): 12,
    ("db", "power"): 12,
    ("db", "process"): 12,
}
"""How many workloads of each store at each durability: 222, and 50,000 disks, in the smaller count."""

every_store = pytest.mark.parametrize("suffix", list(recorded.PLACES))


@pytest.fixture(scope="module")
def executor():
    """Processes to record and to judge in."""
    context = multiprocessing.get_context("spawn")  # a fork would take this process's threads' locks along
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=context) as executor:
        yield executor


@pytest.fixture(scope="module")
def cut(executor):
    """Judge what a power failure would have left of one recording."""
    return functools.partial(survey, executor=executor, parts=PARTS)


def seeds_of(rng, number):
    return [tuple(rng.getrandbits(32) for _ in range(TOGETHER)) for _ in range(number // TOGETHER)]


@pytest.mark.timeout(14_400)  # seconds; half a million disks on a busy machine
@pytest.mark.parametrize("times", TIMES)
def test_power_failure_at_any_instant(executor, rng, counted, times):
    """No disk that a power failure can leave (failure modes 1, 2, 3, 24) is damaged or lacks what was acknowledged."""
    tasks = [
        Task(suffix, durability, seeds, IMAGES)
        for (suffix, durability), number in WORKLOADS.items()
        for seeds in seeds_of(rng, number * times)
    ]
    findings, seen = Findings(), 0
    for task, found in zip(tasks, executor.map(judge_workloads, tasks), strict=True):
        assert not found.wrong, found
        findings += found
        counted("different disks after a power failure", store_of(task.suffix), findings.images - seen)
        seen = findings.images
    workloads = sum(len(task.seeds) for task in tasks)
    counted("workloads of those disks", "each with a seed of its own", workloads)
    assert findings.images >= 50_000 * times
    assert workloads >= 200 * times


def test_every_sync_is_known():
    """Each call that syncs is known to be needed, or why it is not."""
    assert set(recorded.sync_sites()) == set(recorded.NEEDED) | set(recorded.OTHERS)


@pytest.mark.parametrize("without", list(recorded.WITHOUT))
def test_every_sync_is_needed(cut, quick, rng, without):
    """With any sync left out that an acknowledgement rests on, the same survey finds a loss or damage."""
    suffix = "db" if "sqlite" in without.lower() else "segments" if "segments" in without else "jsonl"
    durability = recorded.NEEDED.get(without, "power")
    judge = JUDGES[durability]
    for number in range(60):  # one in four workloads shows it; twelve in a row once did not
        seed = rng.getrandbits(32)
        recording = recording_of(quick / str(number), suffix, durability, seed, without)
        if without.startswith("sqlite_owner.py"):
            recording = with_failing_sync_of_sqlite(recording)
        findings = cut(recording, judge, images=IMAGES, seed=seed)
        if findings.wrong:
            assert findings.wrong[0].what.startswith(("lost", "damaged", "rows")), findings
            return
    pytest.fail(f"nothing is wrong without {without}")


def test_sqlites_own_sync_of_the_directory_may_fail(cut, quick, rng):
    """SQLite ignores it when its own sync of the directory fails; ours comes before the first acknowledgement."""
    seed = rng.getrandbits(32)
    recording = with_failing_sync_of_sqlite(recording_of(quick / "work", "db", "power", seed))
    findings = cut(recording, judges.judge, images=IMAGES, seed=seed)
    assert [wrong for wrong in findings.wrong if wrong.what.startswith("lost")] == []


def with_failing_sync_of_sqlite(recording):
    """Let SQLite's syncs of the directory fail: it uses fdatasync for them, and we use fsync."""
    weaker = recording.failing(lambda sync: sync.file == FOLDER and sync.call == "fdatasync")
    assert weaker != recording, "this SQLite syncs the directory in another way"
    return weaker


@every_store
def test_a_failed_sync_ends_it(cut, quick, rng, suffix):
    """Whichever sync fails, the journal refuses further work, syncs no more and loses nothing that was acknowledged."""
    refused = 0
    for failing in range(1, 16):
        seed = rng.getrandbits(32)
        inject = f"fdatasync:error=EIO:when={failing}"
        recording = recording_of(quick / str(failing), suffix, "power", seed, "insist", inject=inject, codes=(0, 1, 3))
        operations = recording.operations
        told = [operation.name for operation in operations if operation.kind == "told"]
        assert "refused JournalInDoubt" not in told or "not refused" not in told
        if "refused JournalInDoubt" in told:
            refused += 1
            (failed,) = (number for number, operation in enumerate(operations) if operation.kind == "failed")
            later = [operation for operation in operations[failed:] if operation.kind == "sync"]
            assert operations[failed].file not in {sync.file for sync in later}, "the sync was tried again"
        findings = cut(recording, judges.judge, images=40, seed=seed)
        assert not findings.wrong, f"sync {failing} failed, workload {seed}: {findings}"
    assert refused, "no commit was hit"


@every_store
def test_a_folder_that_cannot_be_synced(cut, quick, rng, suffix):
    """While its folder cannot be synced (failure mode 23) a journal acknowledges nothing new, and says why."""
    seed = rng.getrandbits(32) & ~1  # an even one: nobody was there before
    for failing in range(1, 5):
        inject = f"fsync:error=EIO:when={failing}"  # of files it is fdatasync
        recording = recording_of(quick / str(failing), suffix, "power", seed, inject=inject, codes=(0, 1))
        told = [line.word for line in recording.told(len(recording.operations))]
        assert failing > 1 or told == ["folder"], told
        findings = cut(recording, judges.judge, images=40, seed=seed)
        assert not findings.wrong, f"sync {failing} of a folder failed, workload {seed}: {findings}"
    with pytest.raises(RuntimeError, match=r"DurabilityUnavailable: the directory .* cannot be synced"):
        recording_of(quick / "again", suffix, "power", seed, inject="fsync:error=EIO:when=1")


@pytest.mark.parametrize("suffix", [suffix for suffix in recorded.PLACES if suffix != "jsonl"])  # it has one writer
def test_two_processes_on_one_journal(cut, quick, rng, suffix):
    """What two processes were told of their runs of one journal is there after a power failure at any instant."""
    program = [sys.executable, "-c", TWO, f"{quick}/{recorded.PLACES[suffix]}"]
    findings = cut(record(program, quick), judges.judge_two, images=IMAGES, seed=rng.getrandbits(32))
    assert not findings.wrong, findings
    assert findings.images > IMAGES // 2


TWO = """
import os, sys, leftoff
from leftoff.testing.power import tell
child = os.fork()
run = "parent" if child else "child"
with leftoff.open(sys.argv[1]) as journal:
    for outcome in journal.run(run).map(str, [f"{run}-{number}" for number in range(8)], progress=False):
        tell("acknowledged", outcome.key)
if child:
    os.waitpid(child, 0)
"""
