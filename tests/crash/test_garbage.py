"""Garbage where something was being written, at the end or in an old sector; and disks that lie about a sync."""

import functools
import multiprocessing
import os
import resource
import shutil
from concurrent.futures import ProcessPoolExecutor

import pytest

import leftoff
from leftoff.testing.power import Findings
from leftoff.testing.power_disk import SECTORS, TRASH
from tests.crash import judges, recorded
from tests.crash.surveys import Task, judge_workloads

TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]
WORKLOADS, IMAGES = 2, 100
TAIL = 64 << 10  # bytes, the longest that is put behind a journal
ROOM = 256 << 20  # bytes of memory that opening a small journal may take

every_store = pytest.mark.parametrize("suffix", list(recorded.PLACES))
both = pytest.mark.parametrize("durability", ["power", "process"])


@pytest.fixture(scope="module")
def judged():
    """Record and judge tasks, in processes of their own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=context) as executor:
        yield lambda *tasks: sum(executor.map(judge_workloads, tasks), Findings())


def seeds_of(rng, number=WORKLOADS):
    return tuple(rng.getrandbits(32) for _ in range(number))


@pytest.mark.parametrize("times", TIMES)
@both
@every_store
def test_garbage_where_something_was_being_written(judged, rng, suffix, durability, times):
    """Garbage in unsynced sectors (failure mode 4) costs nothing acknowledged: it is cut or left out, or reported."""
    judge = functools.partial(judges.judge_garbage, power=durability == "power")
    findings = judged(*(Task(suffix, durability, seeds_of(rng), IMAGES, (TRASH,), judge) for _ in range(2 * times)))
    assert not findings.wrong, findings
    assert findings.images >= 3 * IMAGES * times
    print(f"{findings.images} different disks with garbage, {suffix} with {durability!r}; 0 wrong")


def test_garbage_in_json_lines_can_be_damage_to_report(judged, rng):
    """Garbage that holds a line's end looks like a changed bit of an acknowledged commit: it is named, never cut."""
    findings = judged(*(Task("jsonl", "power", seeds_of(rng), IMAGES, (TRASH,)) for _ in range(2)))
    assert findings.wrong
    assert all(wrong.what.startswith("damaged: ") for wrong in findings.wrong), findings


@every_store
def test_a_disk_that_lies_about_a_sync(judged, rng, suffix):
    """With no sync believed (failure mode 42) entries may be missing, but none is invented, altered or out of order."""
    judge = judges.judge_lying
    findings = judged(*(Task(suffix, "power", seeds_of(rng), IMAGES, judge=judge, lying=True) for _ in range(2)))
    assert not findings.wrong, findings


@pytest.fixture
def journal_of(quick):
    """Fill a journal that fits into no single sector; return its folder, and what it holds."""

    def fill(suffix):
        folder = quick / suffix
        folder.mkdir()
        with leftoff.open(f"{folder}/{recorded.PLACES[suffix]}") as journal:
            run = journal.run(recorded.RUN)
            keys = [f"item-{number}" for number in range(60)]
            for outcome in run.map(lambda key: recorded.value_of(key, 700), keys, progress=False):
                assert outcome.error is None
            return folder, judges.state(journal)

    return fill


@pytest.fixture
def little_memory():
    """Let the process grow by so much and no more: a length that garbage tells of cannot be believed unnoticed."""
    with open("/proc/self/statm") as numbers:
        size = int(numbers.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def look(folder):
    """Return what the journal in a folder says it holds, None where it is refused as damaged."""
    try:
        with leftoff.open(judges.find(folder)) as journal:
            found = judges.state(journal)
            return None if journal.verify() else found
    except leftoff.LeftoffError:
        return None


@pytest.mark.parametrize("filler", ["zeros", "random"])
@every_store
def test_a_tail_of_garbage_or_zeros(journal_of, little_memory, rng, suffix, filler):
    """Up to 64 KiB of zeros or garbage behind a journal (failure mode 4) cost no entry and no memory."""
    folder, whole = journal_of(suffix)
    files = sorted(path for path in folder.rglob("*") if path.name.endswith((".jsonl", ".db")))
    for turn in range(40):
        size = rng.choice((1, 7, 512, 4096, TAIL, rng.randrange(1, TAIL)))
        tail = bytes(size) if filler == "zeros" else rng.randbytes(size)
        copy = folder.with_name(f"{suffix}-{turn}")
        shutil.copytree(folder, copy)
        with open(copy / rng.choice(files).relative_to(folder), "ab") as file:
            file.write(tail)
        before = judges.contents(copy)
        found = look(copy)
        assert found in (whole, None), f"{size} bytes of {filler}: {found} is not {whole}"
        assert found == whole or judges.contents(copy) == before, "a refused journal was changed"
        if suffix == "db" or (filler == "zeros" and suffix == "jsonl"):
            assert found == whole, f"{size} bytes of {filler} were refused"


@every_store
def test_garbage_in_an_old_sector(journal_of, rng, suffix):
    """A sector of garbage amid what was synced long ago (failure mode 6) is damage, or changes no answer."""
    folder, whole = journal_of(suffix)
    files = sorted(path for path in folder.rglob("*") if path.name.endswith((".jsonl", ".db")))
    refused = 0
    for turn in range(60):
        copy = folder.with_name(f"{suffix}-{turn}")
        shutil.copytree(folder, copy)
        path, sector = copy / rng.choice(files).relative_to(folder), rng.choice(SECTORS)
        at = rng.randrange(path.stat().st_size // sector - 1) * sector
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(rng.choice((rng.randbytes(sector), bytes(sector), b"\xff" * sector)))
        before, found = judges.contents(copy), look(copy)
        assert found in (whole, None), f"garbage at {at} of {path.name}: {found} is not {whole}"
        assert found == whole or judges.contents(copy) == before, "a refused journal was changed"
        assert found is None or suffix == "db", f"garbage at {at} of {path.name} was not seen"
        refused += found is None
    assert refused, "none of it was seen"
