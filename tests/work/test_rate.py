"""Starts are evenly spaced over all processes of the machine (invariants I1 to I4 of the module)."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leftoff.errors import LeftoffError, UsageError
from leftoff.work import rate
from leftoff.work.rate import SECOND, Limiter, home, parse_rate

HOUR = 3600 * SECOND


class Machine:
    """A machine whose clocks and boots the test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.up, self.wall, self.boot = 100 * HOUR, 10**6 * HOUR, b"first boot......"
        monkeypatch.setattr(rate, "_now", lambda: self.up)
        monkeypatch.setattr(rate, "_boot", lambda: self.boot)
        monkeypatch.setattr(rate.time, "time_ns", lambda: self.wall)

    def sleep(self, seconds: float) -> None:
        self.up += round(seconds * SECOND)
        self.wall += round(seconds * SECOND)

    def reboot(self, off: float, up: float = 60.0) -> None:
        self.sleep(off + up)
        self.up, self.boot = round(up * SECOND), b"second boot....."


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3/s", 1 / 3), ("0.5/s", 2.0), ("100/min", 0.6), ("1000/h", 3.6), ("2/day", 43200.0)],
)
def test_a_rate_is_read_as_the_seconds_between_two_starts(text, seconds):
    """COUNT/UNIT gives UNIT divided by COUNT."""
    assert parse_rate(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "3", "3/", "/s", "0/s", "0.0/h", "-1/s", "3/sec", "3 / s", " 3/s", "3/s\n", "1e3/s", "inf/s", "nan/s", "3/2s",
     "٣/s", ".5/s", "1./s", "0.001/day", "9" * 400 + "/s", 3, 3.0, None, b"3/s"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_forms(text):
    """What is no rate is refused with examples of what is."""
    with pytest.raises(UsageError, match='write "3/s"'):
        parse_rate(text)


@given(st.text())
def test_a_text_is_a_positive_interval_or_refused(text):
    """No text gives an interval that is zero, negative, infinite, or another error."""
    try:
        interval = parse_rate(text)
    except UsageError:
        return
    assert 0 < interval < float("inf")


def test_the_first_start_is_free_and_the_next_waits_the_interval(machine):
    """A name nobody used starts at once; then every start waits for the one before."""
    limiter = Limiter("crossref", 2.0)
    assert [limiter.take() for _ in range(4)] == [0.0, 2.0, 4.0, 6.0]


def test_idle_time_buys_no_burst(machine):
    """After an hour of rest one start is free, not an hour's worth of them."""
    limiter = Limiter("crossref", 2.0)
    limiter.take()
    machine.sleep(3600)
    assert [limiter.take(), limiter.take()] == [0.0, 2.0]


def test_a_claim_that_must_wait_takes_nothing(machine):
    """A waiter that gives up before its start leaves the slot to the next."""
    limiter = Limiter("crossref", 2.0)
    assert limiter.claim() == 0.0
    assert [limiter.claim(), limiter.claim(), limiter.claim()] == [2.0, 2.0, 2.0]
    machine.sleep(2.0)
    assert limiter.claim() == 0.0


def test_waiting_never_starts_early_though_sleep_does(machine):
    """A sleep that wakes too early is followed by another; the start is never before its slot."""
    limiter = Limiter("crossref", 2.0)
    starts = []
    for _ in range(5):
        limiter.wait(lambda seconds: machine.sleep(seconds * 0.7 + 1e-9))
        starts.append(machine.up)
    assert all(late - early >= 2 * SECOND for early, late in pairwise(starts))


def test_a_late_start_pushes_the_next_one_back(machine):
    """I1: a sleep that overslept is no debt to be made up: the next start keeps its distance to it."""
    limiter = Limiter("crossref", 2.0)
    limiter.wait()
    limiter.wait(lambda seconds: machine.sleep(seconds + 1.5))
    assert limiter.peek() == 2.0


def test_a_stopped_waiter_wastes_nothing(machine):
    """A waiter whose sleep raises has taken no slot."""

    def stopping(seconds):
        raise KeyboardInterrupt

    limiter = Limiter("crossref", 2.0)
    limiter.wait()
    with pytest.raises(KeyboardInterrupt):
        limiter.wait(stopping)
    assert limiter.peek() == 2.0


def test_peek_takes_nothing(machine):
    """Looking at the next slot leaves it free."""
    limiter = Limiter("crossref", 2.0)
    assert [limiter.peek(), limiter.peek()] == [0.0, 0.0]
    limiter.take()
    assert [limiter.peek(), limiter.peek()] == [2.0, 2.0]


def test_push_back_holds_everybody_and_is_never_shortened(machine):
    """A service's Retry-After holds all limiters of the name; a shorter one does not undo a longer one."""
    limiter, other = Limiter("crossref", 2.0), Limiter("crossref", 2.0)
    limiter.push_back(30.0)
    other.push_back(5.0)
    assert other.peek() == 30.0
    assert [other.take(), limiter.take()] == [30.0, 32.0]


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_push_back_into_the_past_is_refused(seconds):
    """A negative wait, or one that is no number, is the caller's mistake."""
    with pytest.raises(UsageError, match="push_back"):
        Limiter("crossref", 2.0).push_back(seconds)


def test_an_endless_push_back_ends_after_a_year(machine):
    """A service that says "never" is believed for a year, and the file still holds it."""
    limiter = Limiter("crossref", 2.0)
    limiter.push_back(float("inf"))
    assert limiter.peek() == pytest.approx(366 * 86400)


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_an_interval_must_be_positive_and_below_a_year(interval):
    """An interval that no clock can keep is refused."""
    with pytest.raises(UsageError, match="interval"):
        Limiter("crossref", interval)


def test_a_pace_that_is_told_later_holds_from_then_on(machine):
    """A service tells its limit in its answers: the next start waits as long as was told last."""
    limiter = Limiter("a", 10.0)
    limiter.take()
    limiter.pace(0.5)
    assert (limiter.peek(), limiter.interval) == (0.5, 0.5)
    limiter.pace(20.0)
    assert limiter.peek() == 20.0
    with pytest.raises(UsageError):
        limiter.pace(0.0)
    assert limiter.peek() == 20.0


def test_each_process_adds_its_own_interval(machine):
    """A slower process keeps its own distance to the start of a quicker one, and the other way round."""
    quick, slow = Limiter("crossref", 1.0), Limiter("crossref", 5.0)
    quick.take()
    assert slow.peek() == 5.0
    assert quick.peek() == 1.0


def test_names_do_not_wait_for_each_other(machine):
    """Every name has its own slots, and no name is ever part of a path."""
    names = ["a", "b", "../../etc/passwd", "/abs", "x" * 10_000, "\0", "é\ud800"]
    assert [Limiter(name, 60.0).take() for name in names] == [0.0] * len(names)
    files = list(home().iterdir())
    assert len(files) == len(names)
    assert all(len(file.name) == 64 for file in files)


def test_a_restart_remembers_the_last_start(machine):
    """A new limiter of the same name goes on where the last one was."""
    Limiter("crossref", 2.0).take()
    machine.sleep(0.5)
    assert Limiter("crossref", 2.0).take() == 1.5


def test_a_reboot_remembers_by_the_wall_clock(machine):
    """The monotonic clock begins again, yet a start of half an hour ago still counts."""
    Limiter("crossref", 3600.0).take()
    machine.reboot(off=1740.0)
    assert Limiter("crossref", 3600.0).peek() == 1800.0


@pytest.mark.parametrize("jump", [-(10**5), -1, 1, 10**5])
def test_a_clock_that_jumped_over_a_reboot_never_lengthens_the_wait(machine, jump):
    """I4: whatever the wall clock says after a reboot, the wait is at most what it was before."""
    Limiter("crossref", 60.0).push_back(600.0)
    machine.reboot(off=10.0)
    machine.wall += jump * HOUR
    assert 0.0 <= Limiter("crossref", 60.0).peek() <= 600.0


def test_a_machine_that_is_up_for_an_hour_waits_for_nothing_older(machine):
    """I4: after a reboot the time the machine has been up counts, though the wall clock went back."""
    Limiter("crossref", 3600.0).take()
    machine.reboot(off=10.0, up=3000.0)
    machine.wall -= 10**5 * HOUR
    assert Limiter("crossref", 3600.0).peek() == 600.0


def test_setting_the_clock_changes_nothing_without_a_reboot(machine):
    """I4: the wall clock is not asked while the machine stays up."""
    limiter = Limiter("crossref", 60.0)
    limiter.take()
    machine.wall -= 10**5 * HOUR
    assert limiter.peek() == 60.0


def test_an_unseen_reboot_is_never_early(machine):
    """Where a boot has no name, a machine that was down counts at least the time it has been up."""
    machine.boot = bytes(16)
    Limiter("crossref", 3600.0).take()
    machine.up, machine.wall = 60 * SECOND, machine.wall + 60 * SECOND
    assert Limiter("crossref", 3600.0).peek() == 3540.0


@given(data=st.binary(min_size=1, max_size=120))
def test_a_file_of_anything_costs_one_interval(data):
    """I4: bytes that are no record of ours are neither believed nor an error, and the name works again."""
    limiter = Limiter("torn", 5.0)
    limiter.path.write_bytes(data)
    assert 4.0 < limiter.take() <= 5.0
    assert 9.0 < limiter.take() <= 10.0


def test_every_torn_or_flipped_record_costs_one_interval(machine):
    """I4: a record cut at any byte or with any bit flipped is found."""
    limiter = Limiter("torn", 5.0)
    limiter.push_back(1000.0)
    whole = limiter.path.read_bytes()
    broken = [whole[:cut] for cut in range(1, len(whole))]
    broken += [
        whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :] for at in range(len(whole)) for bit in range(8)
    ]
    for data in broken:
        limiter.path.write_bytes(data)
        assert limiter.peek() == 5.0


def test_the_file_is_the_users_alone_and_small():
    """Others can neither read nor write it, and it does not grow."""
    limiter = Limiter("crossref", 1e-6)
    for _ in range(100):
        limiter.take()
    assert stat.S_IMODE(limiter.path.stat().st_mode) == 0o600
    assert limiter.path.stat().st_size < 100


def test_a_deleted_file_and_directory_are_made_again(tmp_path):
    """A cleaner of old files does no harm."""
    limiter = Limiter("crossref", 60.0, directory=rate._own(tmp_path / "rates"))
    limiter.take()
    limiter.path.unlink()
    limiter.path.parent.rmdir()
    assert limiter.take() == 0.0
    assert limiter.peek() > 0


def test_a_file_deleted_while_it_was_waited_for_is_opened_again(monkeypatch):
    """A lock on a file that is no longer there excludes nobody, so the file that is there is locked."""
    limiter = Limiter("crossref", 60.0)
    lock, deletions = rate._lock, [limiter.path]

    def deleting(fd: int) -> None:
        lock(fd)
        if deletions:
            deletions.pop().unlink()

    monkeypatch.setattr(rate, "_lock", deleting)
    limiter.take()
    assert limiter.peek() > 0


def test_a_wait_for_the_lock_that_is_interrupted_leaves_nothing_open(monkeypatch):
    """Whoever presses Ctrl-C behind a process that holds the lock keeps no file of it."""
    limiter = Limiter("crossref", 60.0)
    opened: list[int] = []

    def interrupted(fd: int) -> None:
        opened.append(fd)
        raise KeyboardInterrupt

    monkeypatch.setattr(rate, "_lock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        limiter.take()
    assert len(opened) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


@pytest.mark.parametrize("content", [None, "", "no hexadecimal digits"])
def test_a_start_of_the_machine_that_has_no_name_is_told_by_the_clock(monkeypatch, tmp_path, content):
    """Some containers show no boot id: the limiter works all the same."""
    name = tmp_path / "boot_id"
    if content is not None:
        name.write_text(content)
    monkeypatch.setattr(rate, "Path", lambda path: name if path.endswith("boot_id") else Path(path))
    rate._boot.cache_clear()
    try:
        assert rate._boot() == bytes(16)
        limiter = Limiter("crossref", 60.0)
        limiter.take()
        assert 0 < limiter.peek() <= 60
    finally:
        rate._boot.cache_clear()


def test_a_link_in_place_of_the_file_is_refused(tmp_path):
    """A symbolic link is not followed: its target stays as it is and the error says what to do."""
    target = tmp_path / "precious"
    target.write_text("mine")
    limiter = Limiter("crossref", 1.0)
    limiter.path.symlink_to(target)
    with pytest.raises(LeftoffError, match="LEFTOFF_RATE_DIR"):
        limiter.take()
    assert target.read_text() == "mine"


def test_the_directory_is_made_for_the_user_alone(monkeypatch, tmp_path):
    """What is missing is made 0700, and what is ours but open is closed."""
    place = tmp_path / "rates"
    monkeypatch.setenv("LEFTOFF_RATE_DIR", str(place))
    assert home() == place
    place.chmod(0o777)
    home()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_directory_that_is_something_else_is_refused(monkeypatch, tmp_path, kind):
    """A link or a file in place of the directory is an error that names the way out."""
    place = tmp_path / "rates"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.write_text("")
    monkeypatch.setenv("LEFTOFF_RATE_DIR", str(place))
    with pytest.raises(LeftoffError, match="LEFTOFF_RATE_DIR"):
        Limiter("crossref", 1.0)


def test_another_users_directory_is_refused(monkeypatch, tmp_path):
    """A directory that somebody else prepared is never used."""
    monkeypatch.setenv("LEFTOFF_RATE_DIR", str(tmp_path / "rates"))
    home()
    monkeypatch.setattr(rate.os, "geteuid", lambda: 12345678)
    with pytest.raises(LeftoffError, match="belongs to user"):
        home()


def test_the_default_place_depends_on_neither_tmpdir_nor_folder(monkeypatch, tmp_path):
    """Two processes meet whatever TMPDIR says and wherever they run."""
    monkeypatch.delenv("LEFTOFF_RATE_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    first = home()
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.chdir("/")
    assert home() == first
    assert first.is_absolute()
    assert tmp_path not in first.parents


def test_threads_of_one_process_are_spaced_too():
    """I1: no two threads reserve nearer than the interval, through one limiter or several of the name."""
    limiters = [Limiter("crossref", 0.001) for _ in range(2)]
    slots: list[int] = []

    def reserve(limiter: Limiter) -> None:
        slots.extend([limiter._reserve()[0] for _ in range(50)])

    threads = [threading.Thread(target=reserve, args=(limiters[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    slots.sort()
    assert len(slots) == 300
    assert min(late - early for early, late in pairwise(slots)) >= SECOND // 1000


PROCESS = """
import os, sys
from leftoff.work.rate import Limiter

class Recorded(Limiter):
    def _remember(self, fd, now, last, not_before):
        super()._remember(fd, now, last, not_before)
        os.write(out, b"%d\\n" % last)

how, interval, file, count = sys.argv[1:]
out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
limiter = Recorded("crossref", float(interval))
for _ in range(int(count)):
    limiter.wait() if how == "wait" else limiter.take()
"""


@pytest.mark.parametrize("how", ["wait", "take"])
def test_processes_are_spaced_though_some_are_killed(tmp_path, how):
    """I1, I2, I3: no two processes start nearer than the interval, and a killed one holds nobody up."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    interval = 0.0005

    def start(name: str, count: int) -> subprocess.Popen[bytes]:
        (tmp_path / name).touch()
        return subprocess.Popen([sys.executable, "-c", PROCESS, how, str(interval), str(tmp_path / name), str(count)])

    workers = [start(f"worker {number}", 200) for number in range(3)]
    for number in range(3):
        victim = start(f"victim {number}", 10**9)
        bound = rng.randrange(1, 100)
        while (tmp_path / f"victim {number}").read_bytes().count(b"\n") < bound:
            assert victim.poll() is None
        victim.kill()
        assert victim.wait() == -signal.SIGKILL
    assert [worker.wait(60) for worker in workers] == [0] * 3
    starts = sorted(int(line) for file in tmp_path.iterdir() for line in file.read_text().split())
    assert len(starts) > 600
    assert min(late - early for early, late in pairwise(starts)) >= interval * SECOND


FORKS = """
import os, threading
from leftoff.work.rate import Limiter

def is_open(path):
    wanted = os.stat(path).st_ino
    for fd in range(3, 100):
        try:
            if os.fstat(fd).st_ino == wanted:
                return True
        except OSError:
            pass
    return False

limiter = Limiter("crossref", 1e-6)
limiter.take()
ended = threading.Event()

def reserve():
    while not ended.is_set():
        limiter.take()

threads = [threading.Thread(target=reserve) for _ in range(3)]
for thread in threads:
    thread.start()
codes = set()
for _ in range(100):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 2 if is_open(limiter.path) else 0
            limiter.take()
        finally:
            os._exit(code)
    codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ended.set()
for thread in threads:
    thread.join()
print(codes)
"""


def test_a_lock_is_not_inherited_by_a_fork():
    """I3: a child forked while other threads reserve holds nothing of its parent's, and reserves for itself."""
    script = [sys.executable, "-W", "ignore", "-c", FORKS]
    assert subprocess.run(script, capture_output=True, text=True, check=True, timeout=60).stdout == "{0}\n"
