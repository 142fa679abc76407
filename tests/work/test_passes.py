"""The accounts of a pass (P3), and prompt stops of whole programs (P10)."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import IncompleteRun, Stopped
from leftoff.journal.entry import Draft, to_datetime
from leftoff.journal.memory import MemoryStore
from leftoff.work.journal import Journal
from tests.contract import program
from tests.contract.stores import Lives, everywhere, on_files


class Forgetful:
    """An owner that drops the first `done` of one key, and says that it kept it."""

    def __init__(self, owner: Any, key: str) -> None:
        self._owner, self._key = owner, key

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner, name)

    def commit(self, drafts: Sequence[Draft]) -> list[int]:
        kept = [draft for draft in drafts if draft[:2] != ("done", self._key)]
        marks = iter(self._owner.commit(kept) if kept else [])
        return [
            100_000 if draft[:2] == ("done", self._key) else next(marks)
            for draft in drafts
            if draft.kind in ("done", "dead")
        ]


@everywhere
@pytest.mark.parametrize("way", ["each", "each-slow", "batches", "map", "threads"])
def test_a_done_that_the_store_dropped_is_missing(place, way):
    """A store that loses one `done` behind our back is found out: missing is 1, and the completed loop is an error."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        owner: Any = Forgetful(run.own(), "3")
        run._owner = owner
        loops: dict[str, Any] = {
            "each": lambda: run.each(range(6)),
            "each-slow": lambda: run.each(iter(range(6))),
            "batches": lambda: run.batches(range(6), 2),
            "map": lambda: run.map(str, range(6)),
            "threads": lambda: run.map(str, range(6), workers=2),
        }
        with pytest.raises(IncompleteRun, match="1 of 6 items are neither done nor dead though the loop has ended"):
            list(loops[way]())
        report = run.report()
        assert (report.total, report.done, report.dead, report.missing) == (6, 5, 0, 1)
        run._owner = owner._owner
        assert [str(getattr(i, "item", i)).strip("[]") for i in loops[way]() if not getattr(i, "resumed", False)] == [
            "3"
        ]
        assert run.report().missing == 0


@everywhere
def test_missing_is_unknown_before_the_input_has_ended(place):
    """In a loop and after a break nobody can know what is missing; at the end it is a number."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        for item in run.each(range(5)):
            assert run.report().missing is None
            if item == 3:
                break
        assert run.report().missing is None
        list(run.each(range(5)))
        assert run.report().missing == 0
        run.forget([0])
        assert run.report().missing is None, "what was counted no longer holds"


@everywhere
def test_the_report_is_recomputed_from_the_store(place):
    """A later life reports what the last pass found, exactly, without walking anything."""
    lives = Lives(place)

    def work(n: int) -> int:
        if n == 4:
            raise ValueError(n)
        return n

    with lives.open() as journal:
        list(journal.run("r").map(work, [0, 1, 1, 2, 3, 4], attempts=1))
        first = journal.run("r").report()
    with lives.open() as journal:
        assert journal.run("r").report() == first
    assert (first.total, first.done, first.dead, first.missing, first.duplicates) == (5, 4, 1, 0, 1)


@everywhere
def test_an_input_that_shrank_is_accounted_for_as_it_is(place):
    """What an earlier input brought stays done, and is no item of a pass that does not meet it."""
    lives = Lives(place)
    with lives.open() as journal:
        list(journal.run("r").each(range(10)))
    with lives.open() as journal:
        run = journal.run("r")
        assert list(run.each([3, 4, 99])) == [99]
        assert (run.report().total, run.report().done, run.report().resumed) == (3, 3, 2)
        assert len(list(run.keys("done"))) == 11


@everywhere
def test_many_dead_letters_are_counted_and_some_named(place, capsys):
    """Five are named, the others counted."""

    def work(n: int) -> None:
        raise ValueError(n)

    with Lives(place).open() as journal:
        list(journal.run("r").map(work, range(8), attempts=1))
    assert "r: 8 dead letters: 0, 1, 2, 3, 4 and 3 more; leftoff retry" in capsys.readouterr().err


# -- the peers' failures, which a loop here must not have ----------------------------------------------------------

LISTED = """
import os, signal, sys, leftoff
{comment}
names = sys.argv[2:]
for outcome in leftoff.map(lambda name: name.upper(), names, {place!r}, run="files", key=str, durability="process"):
    if outcome.key == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    print(outcome.key, outcome.value, "resumed" if outcome.resumed else "fresh", flush=True)
"""


@on_files
def test_a_killed_program_is_completed_and_a_changed_list_or_comment_changes_no_result(place, tmp_path):
    """After a kill, with a name added in front, the list turned round and a comment edited, every result is its own."""
    text = LISTED.replace("{place!r}", repr(place))
    names = [f"file{n}" for n in range(12)]
    program.run(program.write(tmp_path, text.replace("{comment}", "")), "file7", *names, code=-signal.SIGKILL)
    changed = ["aaa", *reversed(names)]
    edited = program.write(tmp_path, text.replace("{comment}", "# another remark"))
    lines = [line.split() for line in program.run(edited, "-", *changed).stdout.splitlines()]
    assert [(name, value) for name, value, _ in lines] == [(name, name.upper()) for name in changed]
    fresh = {name for name, _, how in lines if how == "fresh"}
    assert fresh == {"aaa", *names[8:]}


# -- prompt stops --------------------------------------------------------------------------------------------------

STOPPED = """
import select, sys, time, leftoff

def wait_for_a_line():  # in slices: Python looks at a signal that comes right before a read only after it
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        pass
    sys.stdin.readline()

def body(n):
    if n == 2:
        print("ready", flush=True)
        wait_for_a_line()

def slow():
    yield from range(2)
    print("ready", flush=True)
    wait_for_a_line()
    yield 2

def quick(n):
    pass

if "rate" in {loop!r}:  # say when the wait for the next slot begins
    from leftoff.work.pool import Pool
    sleep, wait = time.sleep, Pool.wait
    time.sleep = lambda s: (print("ready", flush=True), sleep(s))
    waits = []  # in the first of them the first item comes back; in the second nothing is in hand

    def counted(self, timeout):
        waits.append(timeout or 0)
        if sum(t > 1 for t in waits) == 2:
            print("ready", flush=True)
        return wait(self, timeout)

    Pool.wait = counted

run = leftoff.open({place!r}, durability="process").run("r")
for item in {loop}:
    {rest}
"""
BUSY = {
    "run.each(range(5))": "body(item)",
    "run.each(iter(range(5)))": "body(item)",
    "run.map(body, range(5))": "pass",
    "run.map(body, range(5), workers=2)": "pass",
    "run.batches(range(6), 3)": "[body(n) for n in item]",
}
WAITING = [
    "run.each(slow())",
    "run.map(quick, slow())",
    "run.map(quick, slow(), workers=2)",
    "run.batches(slow(), 1)",
    "run.each(range(5), rate='1/h')",
    "run.map(quick, range(5), rate='1/h')",
    "run.map(quick, range(5), rate='1/h', workers=2)",
    "run.batches(range(5), 1, rate='1/h')",
]
SIGNALS = pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])


def state(place: str) -> tuple[set[str], dict[str, Any]]:
    with leftoff.open(place) as journal:
        return set(journal.run("r").keys("done")), dict(journal.run("r").own().open_items)


def stoppable(tmp_path: Path, place: str, loop: str, rest: str = "pass") -> Path:
    text = STOPPED.replace("{place!r}", repr(place)).replace("{loop!r}", repr(loop))
    return program.write(tmp_path, text.replace("{loop}", loop).replace("{rest}", rest))


@on_files
@SIGNALS
@pytest.mark.parametrize("loop", BUSY)
def test_p10_the_first_signal_finishes_the_item_in_hand(place, loop, sent, code, tmp_path):
    """It says what it finishes; the item is done, the program ends with the signal's code, and nothing is left open."""
    with program.started(stoppable(tmp_path, place, loop, BUSY[loop])) as process:
        program.until(process, "ready")
        process.send_signal(sent)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("finishing ")
        assert line.endswith("; again to stop now\n")
        returned, _, err = program.finish_with(process, "\n")
    assert returned == code, err
    assert "Traceback" not in err
    done, open_items = state(place)
    assert {"0", "1", "2"} <= done
    assert open_items == {}


@on_files
@SIGNALS
@pytest.mark.parametrize("loop", BUSY)
def test_p10_the_second_signal_stops_now(place, loop, sent, code, tmp_path):
    """The item in hand is given back: not done, and with no error or crash to its name."""
    with program.started(stoppable(tmp_path, place, loop, BUSY[loop])) as process:
        program.until(process, "ready")
        process.send_signal(sent)
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(sent)
        returned = process.wait(60)  # its input stays open: a line, or the end, would let the item finish
        err = process.stderr.read()
    assert returned == code, err
    done, open_items = state(place)
    assert "2" not in done
    if "workers" in loop:
        assert done, "one of the two places was free for the third item"
    else:
        assert done >= (set() if "batches" in loop else {"0", "1"})
    assert open_items == {}


@on_files
@SIGNALS
@pytest.mark.parametrize("loop", WAITING)
def test_p10_a_signal_while_waiting_stops_at_once(place, loop, sent, code, tmp_path):
    """With nothing in hand, in a slow input or a rate's wait, one signal is enough, and what was done is done."""
    with program.started(stoppable(tmp_path, place, loop)) as process:
        program.until(process, "ready")
        returned, _, err = program.finish(process, sent)
    assert returned == code, err
    # With workers the input is asked while an item may still be in hand; whether one is, is a race.
    assert "finishing" not in err or "workers" in loop
    done, open_items = state(place)
    assert done == ({"0"} if "rate" in loop else {"0", "1"})
    assert open_items == {}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("loop", ["each", "batches", "map", "threads"])
def test_p10_a_signal_inside_a_commit_is_told_and_a_second_one_stops_behind_it(loop, times, monkeypatch, capfd):
    """No commit is interrupted: one signal in it is announced and finishes what began, two let nothing begin."""
    store, seen = MemoryStore(), []

    def work(item: Any) -> None:
        seen.append(item)

    def time_of_commit(seconds: float) -> Any:
        if store.latest("r", "owner") is not None and not fired:
            fired.append(True)
            for _ in range(times):
                signal.raise_signal(signal.SIGTERM)
        return to_datetime(seconds)

    fired: list[bool] = []
    monkeypatch.setattr("leftoff.journal.memory.to_datetime", time_of_commit)
    journal = Journal(store)
    run = journal.run("r")
    loops: dict[str, Any] = {
        "each": lambda: run.each([1, 2, 3]),
        "batches": lambda: run.batches([1, 2, 3], 1),
        "map": lambda: run.map(work, [1, 2, 3]),
        "threads": lambda: run.map(work, [1, 2, 3], workers=2),
    }
    with pytest.raises(leftoff.Stopped) as caught:
        for item in loops[loop]():
            if loop in ("each", "batches"):
                work(item)
    assert caught.value.code == 75
    assert "finishing " in capfd.readouterr().err
    if loop != "threads":
        assert len(seen) == 2 - times
    store._closed = False
    journal.close()
    assert [e.kind for e in store.entries("r")].count("started") >= 1, "the commit that was met is whole"
    assert {k: t for k, t in store.open_items("r").items() if t.begun or t.crashes} == {}


def test_ten_thousand_known_items_are_met_once_each(tmp_path: Path) -> None:
    """The accounts hold however far behind the first entries an item's conclusion lies."""
    with leftoff.open(tmp_path / "a.jsonl", durability="process") as journal:
        run = journal.run("r")
        for _ in run.batches(range(10_000), 1000, progress=False):
            pass
        assert list(run.each([*range(9_990, 10_001), 9_999], progress=False)) == [10_000]
        report = run.report()
        assert (report.total, report.done, report.resumed, report.duplicates) == (11, 11, 10, 1)


@on_files
def test_a_stop_inside_nested_loops_is_told_once(place, capfd):
    """Whoever waits at the terminal is told, though the outer loop sees no exception: it is suspended in its body."""
    begun = []
    with leftoff.open(place, durability="process") as journal:
        with pytest.raises(Stopped):
            for outer in journal.run("outer").each([1, 2], progress=False):
                for inner in journal.run("inner").each([1, 2]):
                    begun.append((outer, inner))
                    signal.raise_signal(signal.SIGINT)
        assert begun == [(1, 1)]
        assert list(journal.run("inner").keys("done")) == ["1"]
    assert capfd.readouterr().err.count("stopped by Ctrl-C") == 1


@on_files
def test_a_stop_that_passes_through_two_loops_is_told_once(place, capfd):
    """A function of a map may loop itself; what it was stopped with goes through both."""
    with leftoff.open(place, durability="process") as journal:

        def work(n: int) -> int:
            for _ in journal.run("inner").each([1, 2]):
                signal.raise_signal(signal.SIGINT)
            return n

        with pytest.raises(Stopped):
            list(journal.run("outer").map(work, [1, 2]))
        assert list(journal.run("inner").keys("done")) == ["1"]
    assert capfd.readouterr().err.count("stopped by Ctrl-C") == 1
