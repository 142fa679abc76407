"""The power of real file systems is cut: what was acknowledged is there, and the work goes on and ends."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import leftoff
from leftoff.journal.sync import sync_directory
from leftoff.testing.powercut import KINDS, FileSystem, cut_power, missing, why_not
from tests.crash import cut, judges, recorded
from tests.crash.surveys import ENVIRONMENT

TIMES = [pytest.param(1, id="few"), pytest.param(10, id="many", marks=pytest.mark.prove)]
CUTS = 4  # of one journal
ITEMS = 60


@pytest.fixture(params=KINDS)
def disk(request):
    """A file system whose power can be cut; where there is none, the reason is printed."""
    kind = request.param
    if os.environ.get("LEFTOFF_CI") and os.geteuid() == 0 and (packages := missing(kind)):
        pytest.fail(f"not installed: {' '.join(packages)}")
    if reason := why_not(kind):
        print(f"NO REAL POWER CUT was tested on {kind}: {reason}")
        pytest.skip(reason)
    with FileSystem(kind) as made:
        yield made


def program(disk, suffix, durability, seed):
    return [sys.executable, cut.__file__, str(disk.folder), suffix, durability, str(seed), str(ITEMS)]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("suffix", list(recorded.PLACES))
def test_a_power_cut_of_a_real_file_system(disk, rng, counted, suffix, durability, times):
    """Cut again and again, a journal with power loses nothing acknowledged, none is damaged, and each ends complete."""
    lost = 0
    for _ in range(times):
        told = []
        for _ in range(CUTS):
            seed = rng.getrandbits(32)
            new = cut_power(
                disk,
                program(disk, suffix, durability, seed),
                lines=rng.randrange(ITEMS // 2),
                flush_log=rng.random() < 0.5,
                environment=ENVIRONMENT,
            )
            told += new
            problem = judges.judge(disk.folder, told, power=durability == "power")
            assert problem is None, f"seed {seed}: {problem}"
            lost += len(keys_of(new, "acknowledged") - done(disk))
        finish(disk, suffix, durability, rng.getrandbits(32))
    print(f"{CUTS * times} cuts on {disk.kind}, {suffix} with {durability!r}: {lost} acknowledged items lost")
    assert durability == "process" or not lost
    counted("power cuts of a real file system", f"{disk.kind} with {durability!r}", CUTS * times)


def keys_of(told, word):
    return {line.key for line in told if line.word == word}


def done(disk):
    place = judges.find(disk.folder)
    if place is None:
        return set()
    with leftoff.open(place) as journal:
        return set(journal.run(recorded.RUN).keys("done"))


def finish(disk, suffix, durability, seed):
    """Let the program come to its end, and clear the disk for the next."""
    subprocess.run(program(disk, suffix, durability, seed), env={**os.environ, **ENVIRONMENT}, check=True)
    place = judges.find(disk.folder)
    with leftoff.open(place) as journal:
        report = journal.run(recorded.RUN).report()
        assert report.missing == 0
        assert report.done + report.dead == ITEMS
    for path in disk.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    sync_directory(disk.folder)  # else the next cut brings back what was there


def test_a_loss_on_a_real_file_system_is_seen(disk, rng):
    """A program that appends and never syncs loses what it acknowledged, and the same harness finds it."""
    told = cut_power(disk, program(disk, "naive", "", 0), lines=40, environment=ENVIRONMENT)
    assert len(keys_of(told, "acknowledged")) >= 10
    path = disk.folder / "work.txt"
    found = set(path.read_text().splitlines()) if path.exists() else set()
    assert keys_of(told, "acknowledged") - found, "nothing was lost"


def test_nothing_is_left_behind_a_failure(disk):
    """However a block ends, nothing is mounted, no loop device is in use, and the file is gone."""
    with pytest.raises(ZeroDivisionError), FileSystem(disk.kind) as other:
        place = str(other.folder.parent)
        other.cut()
        raise ZeroDivisionError
    assert not Path(place).exists()
    assert place not in Path("/proc/mounts").read_text()
    assert place not in subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout


def test_a_program_that_fails_by_itself_is_an_error(disk):
    """A program that ended badly before the power was cut tells nothing of power cuts: what it said is the error."""
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3.*what it said"):
        cut_power(
            disk, [sys.executable, "-c", "import sys; print('what it said', file=sys.stderr); sys.exit(3)"], lines=1
        )
    (disk.folder / "written").write_text("the power is still there")


def test_where_it_cannot_run_it_says_why(monkeypatch):
    """Another user than root, a missing program and an unknown file system are told by name."""
    with pytest.raises(ValueError, match="'btrfs' is none of ext4, xfs"):
        FileSystem("btrfs")
    why_not.cache_clear()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_not("xfs") == "to mount an xfs takes root"
    why_not.cache_clear()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")
    assert why_not("xfs") == "not installed: mount xfsprogs"
    why_not.cache_clear()
