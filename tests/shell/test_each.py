"""A command for each item, as the library has it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import JournalError, LeftoffError, Stopped, UsageError
from leftoff.shell import Finished, each_command, from_file, from_words, planned
from leftoff.shell.outputs import pieces
from leftoff.work.keys import LONGEST
from tests.shell.conftest import ENVIRONMENT, ledger, living, start, wait_for

SCRIPT = 'echo "$1" >>ledger; echo "out $1"'


def each(*items: str, script: str = SCRIPT, **more):
    """Run a script for each item; return the accounts, and what was told."""
    told: list[tuple[str, bytes, bool]] = []

    def tell(finished: Finished) -> None:
        told.append((finished.key, b"".join(pieces(finished.stdout)), finished.resumed))

    command = ["sh", "-c", script, "sh", "{}"]
    summary = each_command(command, from_words(items), "work.jsonl", **{"tell": tell, "jobs": 2, **more})
    return summary.report, told


def values() -> dict[str, object]:
    with leftoff.open("work.jsonl") as journal:
        return {entry.key: entry.value for entry in journal.entries() if entry.kind == "done"}


def test_what_is_kept_of_an_item() -> None:
    """The journal has exit status, seconds and both streams, text as text."""
    report, told = each("a", "b", ordered=True)
    assert (report.done, report.dead, report.missing) == (2, 0, 0)
    assert told == [("a", b"out a\n", False), ("b", b"out b\n", False)]
    kept = values()["a"]
    assert kept.pop("seconds") >= 0
    assert kept == {"exit": 0, "stdout": "out a\n", "stderr": ""}


def test_nothing_is_told_of_what_was_done_before() -> None:
    """Resumed items are told of only where they are to be replayed, in place and as they were."""
    each("b", ordered=True)
    report, told = each("a", "b", "c", ordered=True)
    assert [key for key, *_ in told] == ["a", "c"]
    assert report.resumed == 1
    assert each("a", "b", "c", ordered=True, replay=True)[1] == [
        ("a", b"out a\n", True),
        ("b", b"out b\n", True),
        ("c", b"out c\n", True),
    ]
    assert ledger() == {"a": 1, "b": 1, "c": 1}


def test_items_that_no_journal_takes_as_keys() -> None:
    """Bytes that are no UTF-8, and items longer than a key, reach their command as they are, once."""
    Path("list").write_bytes(b"caf\xe9\n" + b"x" * (LONGEST + 1) + b"\nbytes:caf%E9\n")
    command = [
        sys.executable,
        "-c",
        "import os, sys; open('ledger', 'ab').write(os.fsencode(sys.argv[1]) + b'\\n')",
        "{}",
    ]
    for _ in range(2):
        each_command(command, from_file("list"), "work.jsonl", jobs=1)
    assert sorted(Path("ledger").read_bytes().splitlines()) == sorted(Path("list").read_bytes().splitlines())


def test_a_long_output_of_a_failed_command_is_told() -> None:
    """What a failed command wrote is told, however long, and its error shows the end of its stderr."""
    report, told = each("200000", script='head -c "$1" /dev/zero; head -c "$1" /dev/zero >&2; echo end >&2; exit 9')
    assert (report.dead, told) == (1, [("200000", b"\0" * 200_000, False)])
    with leftoff.open("work.jsonl") as journal:
        message = journal.run("each").dead()[0].error.message
    assert message.startswith("exit status 9: ")
    assert message.endswith("\0end")
    assert not Path("work.jsonl.outputs").exists()


def test_results_are_durable_before_done() -> None:
    """Each file is synced, renamed and its folder synced, before the journal has the item's `done`."""
    if shutil.which("strace") is None:
        (pytest.fail if os.environ.get("LEFTOFF_CI") else pytest.skip)("strace is not installed")
    calls = "trace=fsync,fdatasync,rename,write,pwrite64,mkdir"
    words = ["strace", "-f", "-o", "trace", "-e", calls, "-y", "-s", "4096"]
    leftoff_each = [sys.executable, "-m", "leftoff.cli", "each", "-j1", "--results", "out", ":::", "a", "--", "echo"]
    subprocess.run([*words, *leftoff_each], env=ENVIRONMENT, check=True, capture_output=True)
    lines = Path("trace").read_text().splitlines()
    made = next(n for n, line in enumerate(lines) if 'rename("' in line and 'out/a/stdout"' in line)
    done = next(n for n, line in enumerate(lines) if '\\"done\\":\\"a\\"' in line)
    synced = [n for n, line in enumerate(lines) if "sync(" in line and "/out/a/.stdout." in line]
    folder = [n for n, line in enumerate(lines) if "sync(" in line and line.rstrip().endswith("/out/a>) = 0")]
    assert synced[0] < made < done
    assert made < folder[0] < done


def test_a_kill_leaves_no_half_results() -> None:
    """A result file is whole or not there, whenever leftoff is killed."""
    script = "echo begun >>ledger; yes | head -c 99999; sleep 600"
    process = start("each", "-j1", "--results", "out", ":::", "9", "--", "sh", "-c", script)
    wait_for(ledger)
    process.kill()
    process.communicate()
    assert not Path("out/9/stdout").exists()


def test_where_results_cannot_be_kept_no_item_is_to_blame() -> None:
    """A folder that cannot be written ends it, its item is given back, and it goes on once that is mended."""
    script = SCRIPT + "; [ -e mended ] || { rm -rf out; touch out; }"
    with pytest.raises(OSError, match="File exists: 'out'"):
        each("a", results="out", script=script)
    Path("out").unlink()
    Path("mended").touch()
    report, _ = each("a", results="out", script=script)
    assert (report.done, report.dead, ledger()) == (1, 0, {"a": 2})


def test_a_results_folder_that_is_a_file_is_refused() -> None:
    """That is told before anything runs."""
    Path("out").touch()
    with pytest.raises(UsageError, match="--results out: there is a file of that name"):
        each("a", results="out")
    assert not ledger()


def test_a_full_disk_is_no_error_of_an_item(tmp_path: Path) -> None:
    """Where output finds no room the exit code is not that of a failed item, and the item is given back."""
    limited = f"ulimit -f 100; exec {sys.executable} -m leftoff.cli each ::: 400000 -- head -c {{}} /dev/zero"
    ended = subprocess.run(["bash", "-c", limited], env=ENVIRONMENT, capture_output=True, check=False)
    assert ended.returncode == 1
    assert b"leftoff: the output of head cannot be collected in TMPDIR: File too large\n" in ended.stderr
    with leftoff.open("leftoff.jsonl") as journal:
        assert [entry.kind for entry in journal.entries()][-2:] == ["started", "released"]


def test_outputs_are_private() -> None:
    """What commands wrote may hold secrets: only its owner may read it."""
    each("70000", script='head -c "$1" /dev/zero')
    folder = Path("work.jsonl.outputs/each/70000")
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "stdout").stat().st_mode) == 0o600


def test_two_runs_of_a_journal_keep_their_outputs_apart() -> None:
    """Long output of the same item under two names of runs is in two folders."""
    for name in ("one", "two"):
        each("70000", script=f'head -c "$1" /dev/zero | tr "\\0" {name[0]}', run=name)
    assert Path("work.jsonl.outputs/one/70000/stdout").read_bytes() == b"o" * 70_000
    assert Path("work.jsonl.outputs/two/70000/stdout").read_bytes() == b"t" * 70_000


def test_a_run_of_another_kind_is_replayed_as_far_as_it_goes() -> None:
    """Items that a Python loop of that name has done have no output, and are done all the same."""
    with leftoff.open("work.jsonl") as journal:
        for _ in journal.run("each").map(str.upper, ["a"], progress=False):
            pass
    report, told = each("a", "b", replay=True)
    assert (report.done, report.resumed, told) == (2, 1, [("b", b"out b\n", False)])


def test_what_is_finished_at_a_stop_is_told() -> None:
    """Outputs that wait for their turn are told when a signal stops it, in order."""
    script = 'echo "$1" >>ledger; until [ "$1" != a ] || [ -e go ]; do sleep 0.01; done; echo "out $1"'
    process = start("each", "-k", "-j2", ":::", *"abcd", "--", "sh", "-c", script, "sh", "{}")
    wait_for(lambda: len(ledger()) == 4)
    process.send_signal(signal.SIGTERM)
    process.stderr.readline()
    Path("go").touch()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert out == b"out a\nout b\nout c\nout d\n"


def test_a_listener_that_fails_ends_it() -> None:
    """What the one who is told raises comes out; what runs is finished and kept."""

    def tell(finished: Finished) -> None:
        raise RuntimeError("deaf")

    with pytest.raises(RuntimeError, match="deaf"):
        each(*"abcdef", tell=tell)
    assert set(values()) == set(ledger())
    assert each(*"abcdef")[0].done == 6
    assert set(ledger().values()) == {1}


def test_the_starters_death_is_no_error_of_an_item() -> None:
    """Where the process that starts the commands is killed, what ran is ended and given back."""
    script = "[ -e free ] || { kill -9 $PPID; sleep 600; }"
    with pytest.raises(LeftoffError, match="the process that starts the commands was killed, or failed"):
        each(
            "a", script=f"{script} & wait; kill -9 $PPID; wait".replace("sleep 600 & wait", "kill -9 $PPID; sleep 600")
        )
    Path("free").touch()
    report, _ = each("a", script=script)
    assert (report.done, report.dead) == (1, 0)


def test_kills_of_leftoff_leave_nothing_running() -> None:
    """After kill -9 the commands are gone, so that the resumed run is alone with its items."""
    mark = f"600.{os.getpid()}"
    process = start("each", "-j3", ":::", *"abc", "--", "sh", "-c", f'echo "$1" >>ledger; sleep {mark}', "sh", "{}")
    wait_for(lambda: len(living(mark)) == 3)
    process.kill()
    process.communicate()
    wait_for(lambda: not living(mark))
    report, _ = each(*"abc", run="other")
    assert report.done == 3


def test_a_plan_leaves_out_what_is_done_or_dead() -> None:
    """Planned commands are those that would run, each once; nothing is owned."""
    each("a", "b", script='[ "$1" = a ]')
    found = list(planned(["echo", "<{}>"], from_words(["a", "b", "c", "c"]), "work.jsonl"))
    assert found == [["echo", "<c>"]]
    assert list(planned(["echo"], from_words(["a"]), "work.jsonl", run="other")) == [["echo", "a"]]


def test_a_hook_of_its_own_is_refused() -> None:
    """`tell` stands in the place of on_fate."""
    with pytest.raises(UsageError, match="on_fate=: pass tell="):
        each("a", on_fate=print)


def test_options_of_the_loop_are_passed_on() -> None:
    """A rate spaces the starts, a deadline stops it, and tries are counted over runs."""
    with pytest.raises(Stopped, match=r"stop_after=0\.05"):
        each(*"abcdefgh", jobs=1, stop_after=0.05, script=SCRIPT + "; sleep 0.1")
    assert len(ledger()) < 8
    with pytest.raises(UsageError, match="rate"):
        each("a", rate="often")


def test_an_unusable_journal_runs_nothing() -> None:
    """A journal that cannot be made is told before any command runs."""
    Path("work.jsonl").mkdir()
    with pytest.raises((JournalError, UsageError)):
        each("a")
    assert not ledger()


def test_many_commands_at_once() -> None:
    """Fifty at once: each item once, and as many descriptors as before at the end."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    report, told = each(*map(str, range(300)), jobs=50)
    assert (report.done, len(told), set(ledger().values())) == (300, 300, {1})
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
