"""So many at a time, over threads, processes, forks and kills."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leftoff.errors import LeftoffError, UsageError
from leftoff.work import slots
from leftoff.work.slots import Slots


class Refused(Exception):
    pass


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def refuse(_: float) -> None:
    raise Refused


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_the_limit_hold_a_place(limit: int) -> None:
    """S1: one more waits, and has its place as soon as one is let go."""
    held = [Slots("crossref").hold(limit) for _ in range(limit)]
    for each in held:
        assert each.__enter__() == 0
    with pytest.raises(Refused), Slots("crossref").hold(limit, refuse):
        pass
    with Slots("another").hold(limit, refuse):
        pass
    held[-1].__exit__(None, None, None)
    with Slots("crossref").hold(limit, refuse):
        pass
    for each in held[:-1]:
        each.__exit__(None, None, None)


def test_who_says_less_waits_for_more() -> None:
    """Each who asks says how many there are: the first of several places is all that one of one has."""
    with Slots("a").hold(2):
        with pytest.raises(Refused), Slots("a").hold(1, refuse):
            pass
        with Slots("a").hold(2, refuse), pytest.raises(Refused), Slots("a").hold(2, refuse):
            pass


def test_threads_take_turns() -> None:
    """S1: of six threads two at a time are inside, each two meet there, and each comes to it."""
    inside, most, came = 0, 0, 0
    lock, two = threading.Lock(), threading.Barrier(2)

    def work() -> None:
        nonlocal inside, most, came
        with Slots("a").hold(2, lambda seconds: time.sleep(seconds / 20)):
            with lock:
                inside, came = inside + 1, came + 1
                most = max(most, inside)
            two.wait(60)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, came, inside) == (2, 6, 0)


HOLDS = """
import sys
from leftoff.work.slots import Slots
with Slots("a").hold(1):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_place_falls_with_the_process_that_is_killed() -> None:
    """S2: a place of another process is held until that ends, however it ends."""
    with another_process() as process:
        with pytest.raises(Refused), Slots("a").hold(1, refuse):
            pass
        process.kill()
        process.wait()
        with Slots("a").hold(1, refuse):
            pass


def test_the_place_of_a_killed_process_is_not_taken_at_once() -> None:
    """S4: what it had begun may still go on at the service. Behind one that ended by itself nobody waits."""
    for ends in ("killed", "by itself"):
        waits: list[float] = []
        with another_process() as process:
            if ends == "killed":
                process.kill()
            process.communicate()
            with Slots("a", linger=7.0).hold(1, waits.append) as waited:
                pass
            assert (waits, waited) == (([7.0], 7.0) if ends == "killed" else ([], 0.0))
            with Slots("a", linger=7.0).hold(1, refuse):
                pass


def test_who_gives_up_while_it_waits_leaves_the_wait_to_the_next() -> None:
    """S4: the place is let go of, and still that of a process that was killed."""
    with another_process() as process:
        process.kill()
        process.communicate()
    for _ in range(2):
        with pytest.raises(Refused), Slots("a", linger=7.0).hold(1, refuse):
            pass
    waits: list[float] = []
    with Slots("a", linger=7.0).hold(1, waits.append):
        pass
    assert waits == [7.0]


def test_a_fork_keeps_no_place_of_its_parents() -> None:
    """S3: a child that is forked while a place is held, and lives on, holds nobody up."""
    reader, writer = os.pipe()
    told, tell = os.pipe()
    with Slots("a").hold(1):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.write(tell, b"!")
            os.read(reader, 1)  # until the parent closes its end
            os._exit(0)
        os.read(told, 1)
        with pytest.raises(Refused), Slots("a").hold(1, refuse):
            pass
    with Slots("a").hold(1, refuse):
        pass
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for fd in (reader, told, tell):
        os.close(fd)


def test_a_child_that_leaves_the_block_takes_nothing_from_its_parent() -> None:
    """S3: the block may end in a child, too; the parent's place is still its own."""
    with Slots("a").hold(1):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with pytest.raises(Refused), Slots("a").hold(1, refuse):
                    pass
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(slots._held) == 1
    assert not slots._held


def test_a_wait_that_is_given_up_leaves_nothing_open() -> None:
    """Who gives up holds no place, and no open file."""
    before = open_files()
    with Slots("a").hold(1), pytest.raises(Refused), Slots("a").hold(1, refuse):
        pass
    assert open_files() == before


def test_a_limit_is_at_least_one() -> None:
    """None at a time would be for ever."""
    with pytest.raises(UsageError, match="at least one"), Slots("a").hold(0):
        pass


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    """A directory, or a link of somebody else's, in the place of the file is no place."""
    place = Slots("a", directory=tmp_path)
    Path(f"{place._path}.0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LeftoffError, match="LEFTOFF_RATE_DIR"), place.hold(1):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_places_are_the_users_alone(tmp_path: Path) -> None:
    """0600, as everything that is remembered of a service."""
    place = Slots("a", directory=tmp_path)
    with place.hold(1):
        (file,) = tmp_path.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_place_that_was_deleted_while_it_was_taken_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleaner of old files that comes between the opening and the lock leads to no place that others do not see."""
    place = Slots("a", directory=tmp_path)
    lock = slots._try_lock

    def late(fd: int) -> bool:
        monkeypatch.setattr(slots, "_try_lock", lock)
        next(tmp_path.iterdir()).unlink()
        return lock(fd)

    monkeypatch.setattr(slots, "_try_lock", late)
    waits: list[float] = []
    with place.hold(1, waits.append):
        assert len(waits) == 1
        with pytest.raises(Refused), Slots("a", directory=tmp_path).hold(1, refuse):
            pass
