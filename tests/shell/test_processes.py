"""The commands' processes: what they write, how they end, and that none outlives us."""

from __future__ import annotations

import errno
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.errors import LeftoffError
from leftoff.shell import starter
from leftoff.shell.processes import NoRoom, Processes, StarterLost
from leftoff.shell.starter import ENDED, EXITED, TIMED_OUT
from tests.shell.conftest import living, wait_for


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Be ready to run commands, and wait for none of them at the end."""
    made = Processes(kill_after=0.2)
    yield made
    made.close()


@pytest.fixture
def mark() -> str:
    """Seconds to sleep that nobody else sleeps, so that the sleepers can be found."""
    return f"600.{random.SystemRandom().randrange(10**9, 10**10)}"


def sh(processes: Processes, script: str, *arguments: str, **more):
    return processes.run(["sh", "-c", script, "sh", *arguments], **more)


def test_a_command_ends_with_its_status_and_output(processes: Processes) -> None:
    """Exit status, standard output and standard error come back apart and whole."""
    ended = sh(processes, "printf out; printf err >&2; exit 3")
    assert (ended.what, ended.status, ended.stdout, ended.stderr) == (EXITED, 3, b"out", b"err")


def test_a_signal_is_told(processes: Processes) -> None:
    """A command that died of a signal has that as its status, negative."""
    assert sh(processes, "kill -SEGV $$").status == -signal.SIGSEGV


def test_arguments_come_as_they_are(processes: Processes) -> None:
    """No argument is split, joined, expanded or decoded on its way, empty ones and bytes that are no UTF-8 included."""
    words = ["", " ", "a  b", "$HOME", "*", "'", '"', "\\", "-n", "é", "caf\udce9", "a\nb", "{}"]
    ended = processes.run(
        [sys.executable, "-c", "import os, sys; os.write(1, b'|'.join(map(os.fsencode, sys.argv[1:])))", *words]
    )
    assert ended.stdout == b"|".join(word.encode("utf-8", "surrogateescape") for word in words)


def test_a_command_is_told_its_token(processes: Processes) -> None:
    """The item's idempotency token and the number of the attempt are in its environment."""
    ended = sh(processes, 'echo "$LEFTOFF_TOKEN $LEFTOFF_ATTEMPT"', token="abc", attempt=2)
    assert ended.stdout == b"abc 2\n"


def test_standard_input_is_empty_and_descriptors_are_few(processes: Processes) -> None:
    """A command reads nothing of ours, and gets no descriptor of ours."""
    script = "cat; ls /proc/self/fd"
    ours = subprocess.run(
        ["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, check=True, close_fds=False
    )
    assert sh(processes, script).stdout == ours.stdout


def test_a_broken_pipe_ends_a_command(processes: Processes) -> None:
    """Signals that Python ignores are not ignored in the commands."""
    ended = processes.run(["bash", "-c", 'yes | head -1; echo "${PIPESTATUS[0]}"'])
    assert ended.stdout == b"y\n141\n"


def test_a_script_may_write_to_its_streams_by_name(processes: Processes) -> None:
    """Nothing is lost where a script opens /dev/stderr twice, which would empty a file."""
    assert sh(processes, "echo a >/dev/stderr; echo b >/dev/stderr; echo c >&2").stderr == b"a\nb\nc\n"


@pytest.mark.parametrize("size", [0, 1, starter.KEPT, starter.KEPT + 1, 3_000_000])
def test_output_of_any_size_is_whole(processes: Processes, size: int) -> None:
    """Long output comes in a file, and none of it is lost."""
    script = "import sys; n = int(sys.argv[1]); sys.stdout.write('o' * n); sys.stderr.write('e' * n)"
    ended = processes.run([sys.executable, "-c", script, str(size)])
    found = [each if isinstance(each, bytes) else each.read() for each in (ended.stdout, ended.stderr)]
    assert found == [b"o" * size, b"e" * size]
    assert isinstance(ended.stdout, bytes) == (size <= starter.KEPT)
    ended.close()


def test_little_memory_is_needed_for_much_output(processes: Processes) -> None:
    """A command that writes 300 MB is collected in far less memory: what is long waits in a file."""
    ended = processes.run(["head", "-c", "300000000", "/dev/zero"])
    assert ended.stdout.seek(0, os.SEEK_END) == 300_000_000
    ended.close()
    # Of this program's own: what getrusage tells of a process may be its parent's.
    status = Path(f"/proc/{processes._process.pid}/status").read_text()
    assert int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) < 50_000


def test_a_command_that_takes_too_long_is_ended(processes: Processes) -> None:
    """After its time a command gets SIGTERM, with all that it started, and is told to be late."""
    ended = sh(processes, "trap 'echo bye; exit 4' TERM; echo begun; sleep 600 & wait", timeout=0.3)
    assert (ended.what, ended.status, ended.stdout) == (TIMED_OUT, 4, b"begun\nbye\n")


def test_a_command_that_ignores_that_is_killed(processes: Processes, mark: str) -> None:
    """SIGKILL follows, and reaches the whole group."""
    ended = sh(processes, f"trap '' TERM; sleep {mark} & sleep {mark}; sleep {mark}", timeout=0.2)
    assert (ended.what, ended.status) == (TIMED_OUT, -signal.SIGKILL)
    wait_for(lambda: not living(mark))


def test_the_rest_of_a_group_has_its_grace_and_no_more(processes: Processes, mark: str) -> None:
    """A child that outlives its leader at the timeout is killed when the grace is over."""
    ended = sh(processes, f"(trap '' TERM; sleep {mark}) & trap 'exit 0' TERM; wait", timeout=0.2)
    assert ended.what == TIMED_OUT
    wait_for(lambda: not living(mark))


def test_what_a_command_leaves_in_the_background_is_not_waited_for(processes: Processes, mark: str) -> None:
    """A command is over when it has exited, though a child of its holds its output; the child lives on."""
    ended = sh(processes, f"sleep {mark} & echo $!")
    child = int(ended.stdout)
    assert living(mark) == [child]
    os.kill(child, signal.SIGKILL)


def test_what_writes_for_ever_in_the_background_is_not_waited_for(processes: Processes) -> None:
    """A child that never stops writing does not keep its command from ending."""
    ended = sh(processes, "yes & exit 0")
    assert ended.status == 0
    ended.close()


def test_who_has_left_the_group_does_not_hold_a_killed_command(processes: Processes, mark: str) -> None:
    """A descendant in a session of its own holds the pipes of a command that had to be killed; it is not waited for."""
    ended = sh(processes, f"setsid sleep {mark} & trap '' TERM; while :; do sleep 1; done", timeout=0.2)
    assert (ended.what, ended.status) == (TIMED_OUT, -signal.SIGKILL)
    for pid in living(mark):
        os.kill(pid, signal.SIGKILL)


def test_late_output_of_a_child_is_taken_in(processes: Processes) -> None:
    """What a process substitution writes just after its shell has ended belongs to the output."""
    ended = processes.run(["bash", "-c", "echo x > >(sleep 0.05; cat)"])
    assert ended.stdout == b"x\n"


def test_a_program_that_cannot_be_started_is_its_items_error(processes: Processes) -> None:
    """The error names the program and the reason."""
    with pytest.raises(FileNotFoundError) as refused:
        processes.run(["/no/such/program"])
    assert refused.value.filename == "/no/such/program"
    with pytest.raises(OSError, match="Argument list too long"):
        processes.run(["true", "x" * 200_000])


def test_where_there_is_no_room_no_item_is_to_blame() -> None:
    """A system without room for one more command is told so that no `except Exception` takes it for the item's."""
    limited = Processes(kill_after=0.2)
    resource.prlimit(limited._process.pid, resource.RLIMIT_NOFILE, (9, 9))
    with pytest.raises(NoRoom, match="cannot be started: Too many open files") as refused:
        limited.run(["true"])
    assert refused.value.error.errno == errno.EMFILE
    assert not isinstance(refused.value, Exception)
    limited.close()


def test_output_that_finds_no_space_is_told() -> None:
    """A command whose output cannot be collected is ended, and that is no error of its item."""
    full = Processes(kill_after=0.2)
    resource.prlimit(full._process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    with pytest.raises(NoRoom, match="the output of yes cannot be collected in TMPDIR: File too large"):
        full.run(["yes"])
    full.close()


def test_ending_is_for_all(processes: Processes, mark: str) -> None:
    """What runs is ended and says so; what is asked for later is not begun."""
    found = []
    thread = threading.Thread(target=lambda: found.append(sh(processes, f"sleep {mark} & wait")))
    thread.start()
    wait_for(lambda: living(mark))
    processes.end()
    thread.join()
    assert found[0].what == ENDED
    assert sh(processes, "echo never").what == ENDED


def test_many_at_once(processes: Processes) -> None:
    """Each thread gets what its own command wrote."""
    found: list[list[bytes]] = [[] for _ in range(16)]

    def work(number: int) -> None:
        for count in range(10):
            found[number].append(sh(processes, 'echo "$1"', f"{number}-{count}").stdout)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[b"%d-%d\n" % (number, count) for count in range(10)] for number in range(16)]


OWNER = """
import sys, threading
from leftoff.shell.processes import Processes
processes = Processes()
for _ in range(4):
    threading.Thread(target=processes.run, args=(["sh", "-c", "sleep MARK & sleep MARK"],)).start()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_command_outlives_its_owner(number: int, mark: str) -> None:
    """However suddenly leftoff dies, what it started is killed, groups and all."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER.replace("MARK", mark)])
    wait_for(lambda: len(living(mark)) == 8)
    owner.send_signal(number)
    owner.wait()
    wait_for(lambda: not living(mark))


def test_no_command_outlives_an_owner_that_dies_at_any_instant(mark: str) -> None:
    """Also one that was being started at that instant is killed."""
    for turn in range(20):
        owner = subprocess.Popen([sys.executable, "-c", OWNER.replace("MARK", mark)])
        wait_for(lambda: living(mark))
        time.sleep(turn * 0.0004)
        owner.kill()
        owner.wait()
        wait_for(lambda: not living(mark))


def test_commands_are_killed_when_who_started_them_is(processes: Processes, mark: str) -> None:
    """Where the process that starts them dies, they are found by their session; that is an error, and no item's."""
    lost = Processes()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            sh(lost, f"sleep {mark}")
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: living(mark))
    lost._process.kill()
    thread.join()
    assert isinstance(raised[0], StarterLost)
    with pytest.raises(LeftoffError, match="what ran is ended, too"):
        lost.close()
    wait_for(lambda: not living(mark))


def test_a_signal_to_the_starter_is_not_its_end(processes: Processes) -> None:
    """Ctrl-C and SIGTERM are leftoff's to answer, not that of the process that starts the commands."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(processes._process.pid, number)
    assert sh(processes, "echo well").stdout == b"well\n"
