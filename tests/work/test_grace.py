"""After a SIGTERM there is a time of grace before the kill: what does not end within it is given back in time."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.work.signals import StopGuard, _handlers

PROGRAM = """
    import asyncio, sys, time, leftoff
    kind, seconds, grace, place = sys.argv[1], float(sys.argv[2]), sys.argv[3], "p.jsonl"

    def work(item):
        print("begun", item, flush=True)
        time.sleep(seconds)

    async def awaited(item):
        print("begun", item, flush=True)
        await asyncio.sleep(seconds)

    async def asynchronous(run, options):
        if kind == "amap":
            async for _ in run.amap(awaited, range(9), concurrency=2, **options):
                pass
        else:
            async with run.aeach(range(9), **options) as items:
                async for item in items:
                    await awaited(item)

    with leftoff.open(place) as journal:
        run, options = journal.run("r"), {"progress": False, "grace": grace}
        if kind == "each":
            for item in run.each(range(9), **options):
                work(item)
        elif kind == "batches":
            for batch in run.batches(range(9), 2, **options):
                work(batch[0])
        elif kind in ("aeach", "amap"):
            asyncio.run(asynchronous(run, options))
        else:
            list(run.map(work, range(9), workers=2 if kind == "threads" else None, **options))
    """
KINDS = ["each", "batches", "map", "threads", "aeach", "amap"]


def start(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """Start the program, and return when an item is in hand."""
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(PROGRAM))
    command = [sys.executable, str(file), *words]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline().startswith("begun")
    return program


def fates() -> tuple[int, dict[str, int]]:
    with leftoff.open("p.jsonl") as journal:
        run = journal.run("r")
        return len(list(run.keys("done"))), {key: tries.crashes for key, tries in run.store.open_items("r").items()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_on_for_too_long_is_given_back(tmp_path: Path, kind: str) -> None:
    """One SIGTERM is enough to end items of an hour: they count against nothing, and the exit code is 75."""
    program = start(tmp_path, kind, "3600", "0.4s")
    program.send_signal(signal.SIGTERM)
    _, err = program.communicate(timeout=120)
    assert (program.returncode, fates()) == (75, (0, {})), err
    assert "finishing" in err
    assert "Traceback" not in err or kind == "aeach"


@pytest.mark.parametrize("kind", KINDS)
def test_what_ends_in_time_is_finished(tmp_path: Path, kind: str) -> None:
    """Within the time of grace an item ends as ever, and no other is begun."""
    program = start(tmp_path, kind, "0.3", "10m")
    program.send_signal(signal.SIGTERM)
    _, err = program.communicate(timeout=120)
    done, waiting = fates()
    assert (program.returncode, waiting) == (75, {}), err
    assert done == 1 if kind in ("each", "map", "aeach") else done in (1, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_has_time(tmp_path: Path, number: int) -> None:
    """A person who pressed Ctrl-C is not hurried; only SIGTERM has a time of grace."""
    program = start(tmp_path, "each", "1.5", "0.2s")
    program.send_signal(number)
    program.communicate(timeout=120)
    assert fates() == (int(number == signal.SIGINT), {})


def test_a_loop_that_ended_is_not_reminded() -> None:
    """The second SIGTERM does not come when the first one has stopped the loop, whatever the program does then."""
    with leftoff.open("p.jsonl") as journal:
        for _ in range(2):
            with pytest.raises(leftoff.Stopped):
                for _ in journal.run("r").each(range(9), grace=0.2, progress=False):
                    signal.raise_signal(signal.SIGTERM)
            subprocess.run(["sleep", "0.5"], check=True)
        assert list(journal.run("r").keys("done")) == ["0", "1"]


def test_a_reminder_comes_as_the_signal_itself() -> None:
    """What reminds is another thread; the stop is raised in the main one, and behind it a reminder is nothing."""
    with pytest.raises(leftoff.Stopped) as stop, StopGuard() as guard:
        guard.hand = "item"
        signal.raise_signal(signal.SIGTERM)
        _handlers.ask_again(signal.SIGTERM, 0.0)
        pytest.fail("went on")
    assert stop.value.code == 75
    _handlers.ask_again(signal.SIGTERM, 0.0)


def test_a_time_of_grace_that_is_none_is_refused() -> None:
    """As any span of time is."""
    with pytest.raises(UsageError, match="grace='soon': give seconds"):
        leftoff.each("a", "p.jsonl", run="r", grace="soon")
