"""An item that takes too long has failed, wherever it is worked on; the loop and its neighbours go on."""

import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.work import retry
from leftoff.work.attempt import Attempts, Overdue
from leftoff.work.executors import InExecutor
from leftoff.work.pool import Threads
from tests.work import computed
from tests.work.computed import processes


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


@pytest.fixture
def run():
    with leftoff.open("p.jsonl") as journal:
        yield journal.run("r")


def stuck(n):
    """Wait for ever in a call for 1, with every error hidden that can be."""
    computed.note(n)
    while n == 1:
        with suppress(Exception):
            time.sleep(3600)
    return n


def spins(n):
    """Run Python code for ever for 1."""
    computed.note(n)
    while n == 1:
        pass
    return n


def executed():
    return Counter(Path(computed.LEDGER).read_text().split())


def test_in_the_main_thread_any_call_is_ended(run):
    """A sleep of an hour is a TimeoutError that says where it was, tried again, and then a dead letter."""
    zero, one, two = run.map(stuck, [0, 1, 2], timeout=0.2, attempts=2)
    assert (zero.value, two.value) == (0, 2)
    assert (one.error.type, one.error.message) == ("TimeoutError", "it took longer than timeout=0.2 s")
    assert "in stuck\n    time.sleep(3600)" in one.error.traceback
    assert executed() == {"0": 1, "1": 2, "2": 1}


def test_a_timer_of_somebody_else_goes_on(run):
    """The alarm that the program had set rings, after the item's was taken away."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    rest = signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        assert next(iter(run.map(stuck, [1], timeout=0.1, attempts=1))).error.type == "TimeoutError"
        assert not rung
        while not rung:
            signal.pause()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *rest)


def test_what_a_timeout_is_worth_is_said_by_retry_on(run):
    """An item that took too long once is not tried again where only other errors are worth it."""
    (one,) = run.map(stuck, [1], timeout=0.1, retry_on=ConnectionError)
    assert one.error.type == "TimeoutError"
    assert executed() == {"1": 1}


@pytest.mark.parametrize("options", [{"workers": 2}, {"workers": 1}])
def test_a_thread_is_interrupted_where_it_runs_python(run, options):
    """A loop that never ends is ended in a worker's thread; so it is where the whole map runs in another thread."""
    outcomes = []
    function = lambda: outcomes.extend(run.map(spins, [0, 1, 2, 3], timeout=0.2, attempts=2, **options))  # noqa: E731
    if options["workers"] == 1:
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()
    else:
        function()
    assert [o.value for o in outcomes] == [0, None, 2, 3]
    assert outcomes[1].error.type == "TimeoutError"
    assert "in spins" in outcomes[1].error.traceback
    assert executed() == {"0": 1, "1": 2, "2": 1, "3": 1}


def test_what_a_thread_cannot_be_interrupted_in_is_said(run, capsys):
    """A sleep in a thread is waited for, with a word; then it is late all the same."""

    def sleeps(n):
        time.sleep(2.5 if n == 1 else 0)
        return n

    zero, one = run.map(sleeps, [0, 1], workers=2, timeout=0.2, attempts=1)
    assert (zero.value, one.error.type) == (0, "TimeoutError")
    said = [line for line in capsys.readouterr().err.splitlines() if "1 takes longer" in line]
    (line,) = said
    assert line == (
        "r: 1 takes longer than timeout=0.2 s, in a call that cannot be interrupted from here; it is waited for"
        " (a process of a ProcessPoolExecutor would be ended)"
    )


def test_items_that_end_just_in_time_upset_nothing(run):
    """Whatever an interruption hits, each item has one outcome, a value or a TimeoutError, and the threads live on."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    spans = {n: rng.uniform(0.015, 0.025) for n in range(300)}

    def works(n):
        end = time.monotonic() + spans[n]
        while time.monotonic() < end:
            pass
        return n

    outcomes = list(run.map(works, spans, workers=4, timeout=0.02, attempts=1, ordered=False))
    assert sorted(o.item for o in outcomes) == sorted(spans)
    assert all(o.value == o.item if o.error is None else o.error.type == "TimeoutError" for o in outcomes)
    assert run.report().missing == 0


def test_an_interruption_that_comes_when_the_item_was_just_finished_is_its_failure():
    """It can come behind the last line of the item: the thread lives on, and has no second item to fail for it."""

    class Interrupted(Threads):
        left = 0

        def _leave(self, key):
            self.left += 1
            if self.left == 1:
                raise Overdue
            super()._leave(key)

    pool = Interrupted(Attempts(str, "r", "id", timeout=1.0), 1)
    assert pool.renew(), "threads do not die: there is nothing to replace"
    brought = []
    for key in "ab":
        pool.submit(key, key, 1)
        while not (events := pool.wait(None)):
            pass
        brought += [event.value for event in events]
    pool.stop(now=False)
    late, ended = brought
    assert (late.done, late.fault.failure.type) == (False, "TimeoutError")
    assert ended.value == "b"


def test_an_interruption_that_comes_while_the_thread_notes_its_end_loses_no_thread():
    """It can come behind any call in there: the thread that noted half of it notes it again, and lives on."""

    class Interrupted(dict):
        left = 0

        def pop(self, *key):
            thread = super().pop(*key)
            self.left += 1
            if self.left == 1:
                raise Overdue
            return thread

    pool = Threads(Attempts(str, "r", "id", timeout=1.0), 1)
    pool._inside = Interrupted()
    brought = []
    for key in "ab":
        pool.submit(key, key, 1)
        slices = (pool.wait(None) for _ in range(600))
        brought += [event.value for event in next(filter(None, slices))]
    pool.stop(now=False)
    late, ended = brought
    assert (late.done, late.fault.failure.type) == (False, "TimeoutError")
    assert ended.value == "b"


def test_a_process_ends_what_is_late_by_itself(run):
    """The worker lives on, with its neighbours and all that it has set up."""
    with processes() as pool:
        outcomes = list(run.map(computed.lingers, [0, 1, 3, 4, 5], executor=pool, timeout=0.3, attempts=2))
        alive = {pool.submit(computed.lingers, 9).result() for _ in range(20)}
    assert [o.error and o.error.type for o in outcomes] == [None, "TimeoutError", None, None, None]
    assert "in lingers" in outcomes[1].error.traceback
    assert {o.value for o in outcomes if not o.error} <= alive | {outcomes[0].value}
    assert executed()["1"] == 2


def test_a_process_that_cannot_end_it_is_killed(run, monkeypatch):
    """The item has failed by that; what its neighbours had in hand is given back, uncounted, and done."""
    monkeypatch.setattr(InExecutor, "grace", 0.3)
    with processes(3) as pool:
        outcomes = list(run.map(computed.lingers, range(8), executor=pool, timeout=0.5, attempts=2, crashes=1))
    assert [o.item for o in outcomes if o.error] == [1, 2]
    assert {o.error.type for o in outcomes if o.error} == {"TimeoutError"}
    with leftoff.open("p.jsonl") as journal:
        kinds = Counter(entry.kind for entry in journal.entries("r") if entry.key == "2")
    assert (kinds["failed"], kinds["dead"]) == (1, 1)
    assert kinds["started"] == 2 + kinds["released"], "given back where 1 was late, and not counted"
    assert not run.store.open_items("r")


def test_a_timeout_that_is_none_is_refused(run):
    """Zero, less, and what is no number."""
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="give the seconds that an item may take"):
            run.map(stuck, [1], timeout=wrong)
