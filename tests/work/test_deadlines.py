"""A loop stops in time, resumably: before its deadline, judging by how long its items took."""

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.work import deadline as deadlines
from leftoff.work.deadline import Deadline, make_deadline, seconds_of


class Clock:
    """Be the time, which passes only when somebody sleeps."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        for name in ("monotonic", "time"):
            monkeypatch.setattr(deadlines.time, name, lambda: self.now)

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [(90, 90.0), (0.5, 0.5), ("90s", 90.0), ("2h30m", 9000.0), ("1d", 86400.0), ("1.5m", 90.0)]
)
def test_a_span_is_seconds_or_a_text(text, seconds):
    """Numbers with their units, one after the other."""
    assert seconds_of(text, "x") == seconds


@pytest.mark.parametrize("wrong", ["", "soon", "5", "-5s", "1h 5m", 0, -1, float("nan"), float("inf"), True])
def test_what_is_no_span_is_refused_at_the_call(wrong):
    """With what can be written."""
    with pytest.raises(UsageError, match=r"stop_after=.*: give seconds, or a text such as '90s', '2h30m' or '1d'"):
        leftoff.each([1], run="x", stop_after=wrong)


def test_the_longest_of_the_last_items_tells_how_long_the_next_may_take(monkeypatch):
    """Before any was measured, all the time is there; an old outlier is forgotten."""
    clock = Clock(monkeypatch)
    deadline = Deadline(100.0, "x")
    assert deadline.left == 100.0
    for seconds in (5, 30, 10):
        deadline.took(seconds)
    assert deadline.left == 70.0
    clock.sleep(70)
    assert deadline.is_near()
    for _ in range(32):
        deadline.took(10)
    assert (deadline.left, deadline.is_near()) == (20.0, False)


def test_the_sooner_of_two_deadlines_counts(monkeypatch):
    """What the user says, or the end of the SLURM job that this is."""
    Clock(monkeypatch)
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert make_deadline(None) is None
    assert make_deadline("50s").reason == "stop_after=50s"
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1020")
    assert (make_deadline("50s").reason, make_deadline("50s").left) == ("the end of its SLURM job", 20.0)
    assert make_deadline(None).left == 20.0
    assert make_deadline(5).reason == "stop_after=5"
    monkeypatch.setenv("SLURM_JOB_END_TIME", "unknown")
    assert make_deadline(None) is None


async def collect(loop):
    return [item async for item in loop]


def nap(n):
    time.sleep(0.05)
    return n


async def nap_soon(n):
    await asyncio.sleep(0.05)
    return n


def walk_each(run, **options):
    for n in run.each(range(10_000), **options):
        nap(n)


def walk_batches(run, **options):
    for batch in run.batches(range(10_000), 2, **options):
        nap(batch)


async def walk_aeach(run, **options):
    async for n in run.aeach(range(10_000), **options):
        await nap_soon(n)


def walk_executor(run, **options):
    with ThreadPoolExecutor(2) as pool:
        list(run.map(nap, range(10_000), executor=pool, **options))


WAYS = {
    "each": walk_each,
    "batches": walk_batches,
    "map": lambda run, **options: list(run.map(nap, range(10_000), **options)),
    "threads": lambda run, **options: list(run.map(nap, range(10_000), workers=2, **options)),
    "executor": walk_executor,
    "aeach": lambda run, **options: asyncio.run(walk_aeach(run, **options)),
    "amap": lambda run, **options: asyncio.run(collect(run.amap(nap_soon, range(10_000), **options))),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by", ["stop_after", "SLURM"])
def test_every_loop_stops_before_its_deadline_and_can_be_resumed(monkeypatch, way, by):
    """Exit code 75, nothing in flight, some items done; each start does some more."""
    done = 0
    for _ in range(2):
        options = {"stop_after": 1.0} if by == "stop_after" else {}
        if by == "SLURM":
            monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + 2.5)))
        with leftoff.open("p.jsonl") as journal:
            run = journal.run("r")
            with pytest.raises(leftoff.Stopped, match="everything finished is kept: run the same again") as stopped:
                WAYS[way](run, **options)
            assert stopped.value.code == 75
            assert ("stop_after=1.0" if by == "stop_after" else "the end of its SLURM job") in str(stopped.value)
            assert not run.store.open_items("r")
            before, done = done, len(list(run.keys("done")))
        assert before < done < 10_000


@pytest.mark.parametrize("way", ["each", "map", "threads", "aeach", "amap"])
def test_what_only_waits_is_stopped_in_time(way):
    """A rate that lets nothing start within the hour holds no loop beyond its deadline."""
    with leftoff.open("p.jsonl") as journal:
        run = journal.run(f"rated-{way}")
        begun = time.monotonic()
        with pytest.raises(leftoff.Stopped, match=r"stop_after=0\.3"):
            WAYS[way](run, stop_after=0.3, rate="1/h")
        assert time.monotonic() - begun < 60, "it would have been an hour"
        assert list(run.keys("done")) == ["0"]


def test_an_asynchronous_input_that_brings_nothing_is_stopped_in_time():
    """It is cancelled where it waits."""

    async def nothing():
        await asyncio.Event().wait()
        yield

    async def main():
        with leftoff.open("p.jsonl") as journal:
            for loop in (
                journal.run("a").aeach(nothing(), stop_after=0.2),
                journal.run("b").amap(nap_soon, nothing(), stop_after=0.2),
            ):
                with pytest.raises(leftoff.Stopped, match=r"stop_after=0\.2"):
                    await collect(loop)

    asyncio.run(main())


def test_a_program_ends_with_75_and_says_why(tmp_path):
    """Uncaught, it is an exit code and a line, no traceback."""
    text = (
        "import leftoff, time\n"
        "for n in leftoff.each(range(9999), 'p.jsonl', run='r', stop_after='0.3s', progress=False): time.sleep(0.02)\n"
    )
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert ended.returncode == 75
    assert ended.stderr == "r: stopped by stop_after=0.3s; everything finished is kept: run the same again to go on\n"
