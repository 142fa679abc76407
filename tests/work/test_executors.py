"""A map in somebody else's executor: the owner commits, processes compute, and their deaths are accounted for."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import UnusableValue, UsageError
from leftoff.work import retry
from tests.work import computed
from tests.work.computed import Breaks, Cancels, CannotBeSaid, Direct, IsBroken, Raises, processes

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # pytest has threads of its own
METHODS = ("spawn", "forkserver", "fork")


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


def executed():
    return Counter(Path(computed.LEDGER).read_text().split())


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def kinds(key, run="r"):
    with leftoff.open("p.jsonl") as journal:
        return [entry.kind for entry in journal.entries(run) if entry.key == key]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ordered", [True, False])
def test_processes_compute_and_the_owner_commits(method, ordered):
    """Twenty items in two processes: each once, with the values that threads would have made, in their order."""
    with processes(method=method) as pool, leftoff.open("p.jsonl") as journal:
        outcomes = list(journal.run("r").map(computed.squared, range(20), executor=pool, ordered=ordered))
    assert [o.value["square"] for o in sorted(outcomes, key=lambda o: int(o.key))] == [n * n for n in range(20)]
    assert ordered is False or [o.item for o in outcomes] == list(range(20))
    assert {tuple(o.value["prepared"]) for o in outcomes} == {("ready",)}
    assert os.getpid() not in {o.value["pid"] for o in outcomes}
    assert executed() == Counter(map(str, range(20)))
    with leftoff.open("p.jsonl") as journal:
        assert [o.resumed for o in journal.run("r").map(computed.squared, range(20), executor=Direct(), workers=1)] == [
            True
        ] * 20


def test_the_item_in_hand_is_known_in_a_worker():
    """The token there is the one that a loop in this process would have had."""
    with processes() as pool, leftoff.open("p.db") as journal:
        run = journal.run("r")
        tokens = {o.key: o.value for o in run.map(computed.told, range(4), executor=pool)}
        run.forget()
        assert tokens == {o.key: o.value for o in run.map(computed.told, range(4))}
    assert len({token for token, _ in tokens.values()}) == 4


def test_an_exception_that_cannot_travel_is_a_failure_like_any_other():
    """What cannot be pickled, or not be unpickled, is told by type, message and traceback, and kills nobody."""
    with processes() as pool, leftoff.open("p.jsonl") as journal:
        one, two, three = list(journal.run("r").map(computed.refuses, [1, 2, 3], executor=pool, attempts=2))
    assert (one.error.type, one.error.message) == ("CannotTravel", "it cannot travel")
    assert "in refuses" in one.error.traceback
    assert (two.error.type, two.error.message) == ("ValueError", "holds what cannot be pickled")
    assert three.value == 3
    assert executed() == {"1": 2, "2": 2, "3": 1}


def test_a_result_that_cannot_be_kept_ends_the_loop():
    """The item is given back, and what was done beside it is kept."""
    refused = pytest.raises(UnusableValue, match="the result of item 1 cannot be kept: a object is not JSON")
    with processes() as pool, leftoff.open("p.jsonl") as journal, refused:
        list(journal.run("r").map(computed.unusable, range(4), executor=pool))
    assert kinds("1") == ["started", "released"]


def test_a_worker_that_exits_ends_the_loop_as_it_would_in_a_thread():
    """A SystemExit of the function is the program's."""
    with processes() as pool, leftoff.open("p.jsonl") as journal, pytest.raises(SystemExit, match="enough"):
        list(journal.run("r").map(computed.leaves, range(4), executor=pool))
    assert kinds("1") == ["started", "released"]


@pytest.mark.parametrize("given", ["an executor", "a factory"])
def test_a_worker_that_dies_makes_suspects_of_all_in_flight(given):
    """A poison item is dead after its crashes; the others are done, and each was repeated with a death at most.

    The executor is made again as it was: its initializer runs there, too.
    """
    pool = processes(3)
    with pool, leftoff.open("p.jsonl") as journal:
        executor = pool if given == "an executor" else lambda: processes(3)
        outcomes = {o.item: o for o in journal.run("r").map(computed.kills, range(12), executor=executor, crashes=3)}
        ready = [o.value["prepared"] for o in journal.run("s").map(computed.squared, [1], executor=processes)]
    assert [n for n, o in outcomes.items() if o.error] == [3]
    assert outcomes[3].error.type == "ProcessEnded"
    assert "the worker that had it in hand died" in outcomes[3].error.message
    assert ready == [["ready"]]
    times = executed()
    del times["1"]  # of the second run, too
    assert times["3"] == 3
    assert times["4"] >= 2
    assert all(times[str(n)] <= 3 for n in range(12)), "in flight with the first death of 3, and with that of 4"
    assert sum(times[str(n)] > 1 for n in range(12) if n not in (3, 4)) <= 4, "two beside each of two deaths"
    assert kinds("3") == ["started", "failed"] * 2 + ["started", "dead"]
    assert journal_report() == (12, 11, 1)


def journal_report(run="r"):
    with leftoff.open("p.jsonl") as journal:
        report = journal.run(run).report()
    return report.total, report.done, report.dead


def test_an_executor_that_cannot_be_made_again_stops_the_loop():
    """Stopped with 75, all in flight accounted for; the same with a factory goes on to the end."""
    stopped = pytest.raises(leftoff.Stopped, match=r"broke .* pass executor=FACTORY; everything finished is kept")
    with leftoff.open("p.jsonl") as journal, Breaks(2) as pool, stopped as stop:
        list(journal.run("r").map(computed.refuses, range(3, 13), executor=pool))
    assert stop.value.code == 75
    with leftoff.open("p.jsonl") as journal:
        run = journal.run("r")
        begun = set(run.store.open_items("r"))
        done = set(run.keys("done"))
        assert not begun & done
        assert len(done) == 2
        assert all(not tries.begun for tries in run.store.open_items("r").values())
        made = []

        def factory():
            made.append(Breaks(2))
            return made[-1]

        assert [o.value for o in run.map(computed.refuses, range(3, 13), executor=factory)] == list(range(3, 13))
    assert len(made) > 1
    assert max(executed().values()) == 1, "nobody had begun what was in flight when it broke"


def test_an_executor_that_is_broken_when_an_item_is_handed_in_stops_the_loop():
    """Nobody has begun the item: it is given back, and what came before is kept."""
    stopped = pytest.raises(leftoff.Stopped, match=r"broke \(broken already\) .* pass executor=FACTORY")
    with leftoff.open("p.jsonl") as journal, IsBroken(1) as pool, stopped:
        list(journal.run("r").map(computed.refuses, [3, 4, 5], executor=pool))
    assert (kinds("3"), kinds("4"), kinds("5")) == (["started", "done"], ["started", "released"], [])


def test_an_executor_that_somebody_shuts_down_ends_the_loop():
    """Its own error says so; what was finished is done, what was not begun is given back, nothing is waited for."""
    with ThreadPoolExecutor(2) as pool, leftoff.open("p.jsonl") as journal:
        run = journal.run("r")
        with pytest.raises(RuntimeError, match="after shutdown"):
            for _ in run.map(computed.refuses, range(3, 30), executor=pool):
                pool.shutdown(wait=False)
        assert not run.store.open_items("r")
        assert set(run.keys("done")) == set(executed())


def test_what_somebody_cancels_is_begun_again():
    """A cancelled future blames no item."""
    with Cancels(1) as pool, leftoff.open("p.jsonl") as journal:
        assert [o.value for o in journal.run("r").map(computed.refuses, [3, 4], executor=pool)] == [3, 4]
    assert kinds("3") == ["started", "released", "started", "done"]


def test_a_pool_that_broke_between_two_items_is_made_again_when_the_next_is_handed_in():
    """Nobody had an item in hand: none is a suspect, and each is worked on once."""

    def broken_meanwhile():
        yield 0
        (worker,) = vars(pool)["_processes"].values()
        while worker.is_alive():
            worker.kill()
            worker.join(0.1)
        while not vars(pool)["_broken"]:
            time.sleep(0.01)
        yield from (1, 2)

    with processes(1) as pool, leftoff.open("p.jsonl") as journal:
        outcomes = list(journal.run("r").map(computed.squared, broken_meanwhile(), executor=pool))
    assert [o.value["square"] for o in outcomes] == [0, 1, 4]
    assert executed() == {"0": 1, "1": 1, "2": 1}
    assert kinds("1") == ["started", "done"]


def test_what_is_no_error_ends_the_loop_wherever_it_came_from():
    """An executor that brings a KeyboardInterrupt instead of a result: the item is given back, and it is raised."""
    with Raises(1) as pool, leftoff.open("p.jsonl") as journal, pytest.raises(KeyboardInterrupt, match="in a worker"):
        list(journal.run("r").map(computed.refuses, range(3, 9), executor=pool))
    assert kinds("3") == ["started", "done"]
    assert kinds("4") == ["started", "released"]


def test_what_goes_wrong_in_sending_is_told_as_it_is():
    """Only what says that it cannot be pickled is explained; any other error is the user's own."""
    with processes() as pool, leftoff.open("p.jsonl") as journal, pytest.raises(OSError, match="the disk is gone"):
        list(journal.run("r").map(CannotBeSaid(), [1], executor=pool))


@pytest.mark.parametrize("how", ["by hand", "in an argument"])
def test_a_function_that_was_typed_in_is_refused(how):
    """A process that is not forked could not import it: said before anything is begun, with the way out."""
    program = """
import leftoff
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def work(n):
    return n

with ProcessPoolExecutor(1, get_context("spawn")) as pool:
    list(leftoff.map(work, [1], "typed.jsonl", run="r", executor=pool))
"""
    command, typed = ([sys.executable], program) if how == "by hand" else ([sys.executable, "-c", program], "")
    ended = subprocess.run(command, check=False, input=typed, capture_output=True, text=True, timeout=120)
    assert "UsageError: a worker process cannot import a function that was typed in: put it into a" in ended.stderr
    with leftoff.open("typed.jsonl") as journal:
        assert {entry.kind for entry in journal.entries("r")} == {"created", "owner"}


def test_workers_that_die_while_the_loop_stops_make_no_suspects():
    """A signal goes to a whole group of processes: what they had in hand when it came is given back uncounted."""
    program = """
import os, signal, sys, time, leftoff
from tests.work import computed

if __name__ == "__main__":
    with computed.processes(2) as pool:
        list(leftoff.map(computed.slow, range(9), "p.jsonl", run="r", executor=pool, progress=False))
"""
    Path("stopped.py").write_text(program)
    environment = {**os.environ, "NAP": "3600", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "stopped.py"]
    owner = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not (Path(computed.LEDGER).exists() and len(Path(computed.LEDGER).read_text().splitlines()) == 2):
        time.sleep(0.01)
    owner.send_signal(signal.SIGTERM)
    assert "finishing" in owner.stderr.readline()
    for line in Path(computed.LEDGER).read_text().splitlines():
        with suppress(ProcessLookupError):  # the executor ends the others when it has lost one
            os.kill(int(line.split()[-1]), signal.SIGKILL)
    owner.communicate(timeout=120)
    assert owner.returncode == 75
    with leftoff.open("p.jsonl") as journal:
        tries = journal.run("r").store.open_items("r")
    assert {key: (each.errors, each.crashes, each.begun) for key, each in tries.items()} == {}


def test_a_pool_of_threads_is_an_executor_too():
    """Its size is how many are in flight; it goes on when the loop has ended."""
    with ThreadPoolExecutor(2) as pool, leftoff.open("p.jsonl") as journal:
        assert [o.value for o in journal.run("r").map(computed.refuses, [3, 4, 5], executor=pool)] == [3, 4, 5]
        assert pool.submit(len, "ab").result() == 2


def test_lokys_processes_are_workers_too():
    """One that dies makes suspects of what is in flight, all is done by its successors, and none has more to say."""
    program = """
import loky, leftoff
from tests.work import computed

if __name__ == "__main__":
    make = lambda: loky.get_reusable_executor(2)
    for outcome in leftoff.map(computed.kills, [0, 1, 2, 4, 5, 6], "p.jsonl", run="r", executor=make, progress=False):
        print(outcome.key, outcome.value)
"""
    Path("in_loky.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "in_loky.py"], env=environment, check=True, capture_output=True, text=True, timeout=120
    )
    assert ended.stdout.split("\n")[:-1] == [f"{n} {n}" for n in (0, 1, 2, 4, 5, 6)]
    assert "Traceback" not in ended.stderr
    assert set(executed()) == set("012456")
    assert sum(executed().values()) - 6 in (1, 2), "the item whose process died, and perhaps its neighbour"


def test_a_loky_process_ends_with_its_owner():
    """An orphan does not go on with an item that the next owner begins again."""
    program = """
import loky, leftoff
from tests.work import computed

if __name__ == "__main__":
    list(leftoff.map(computed.slow, range(9), "p.jsonl", run="r", executor=lambda: loky.get_reusable_executor(2)))
"""
    Path("in_loky.py").write_text(program)
    environment = {**os.environ, "NAP": "3600", "PYTHONPATH": os.pathsep.join(sys.path)}
    owner = subprocess.Popen([sys.executable, "in_loky.py"], env=environment, stderr=subprocess.DEVNULL)
    while not (Path(computed.LEDGER).exists() and len(Path(computed.LEDGER).read_text().splitlines()) == 2):
        time.sleep(0.01)
    owner.kill()
    owner.wait()
    pids = [int(line.split()[-1]) for line in Path(computed.LEDGER).read_text().splitlines()]
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in pids)


def test_what_was_made_for_the_loop_ends_with_it():
    """A factory's executor is shut down, whether the loop ends or is left."""
    made = []

    def factory():
        made.append(ThreadPoolExecutor(2))
        return made[-1]

    with leftoff.open("p.jsonl") as journal:
        list(journal.run("r").map(computed.refuses, [3, 4], executor=factory))
        for _ in journal.run("r").map(computed.refuses, [5, 6, 7, 8, 9], executor=factory):
            break
    for pool in made:
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(len, "")


def test_wrong_executors_are_refused_before_anything_is_written():
    """What is no executor, says no number of workers, or cannot send the function."""
    run = leftoff.open("p.jsonl").run("r")
    with pytest.raises(UsageError, match="a Direct does not say how many workers it has; pass workers=N"):
        list(run.map(computed.refuses, [3], executor=Direct()))
    with pytest.raises(UsageError, match=r"give an executor of concurrent\.futures, or a function that makes one"):
        list(run.map(computed.refuses, [3], executor="processes"))
    with pytest.raises(UsageError, match="which is no executor"):
        list(run.map(computed.refuses, [3], executor=dict))
    with processes() as pool, pytest.raises(UsageError, match=r"cannot \(.*define them at the top of a module"):
        list(run.map(lambda n: n, [3], executor=pool))
    with processes() as pool, pytest.raises(UsageError, match="define them at the top"):
        list(run.map(computed.refuses, [3], executor=pool, retry_on=lambda error: True))
    assert [entry.kind for entry in leftoff.open("p.jsonl").entries()] in ([], ["created", "owner"])


def test_an_item_that_cannot_be_sent_is_a_dead_letter_at_once():
    """It would fail again; the others are done."""
    items = [3, lambda: 0, 4]
    with processes() as pool, leftoff.open("p.jsonl") as journal:
        three, other, four = journal.run("r").map(
            computed.refuses, items, executor=pool, key=lambda item: item if isinstance(item, int) else "function"
        )
    assert (three.value, four.value) == (3, 4)
    assert "lambda" in other.error.message
    assert kinds("function") == ["started", "dead"]


@pytest.mark.parametrize("retry_on", [TimeoutError, (TimeoutError, KeyError), computed.is_timeout])
def test_what_is_worth_another_try_is_judged_where_it_was_raised(retry_on):
    """A timeout is tried again, a wrong value is a dead letter at once: the same in a process, a thread and here."""
    for options in ({"executor": processes}, {"workers": 2}, {}):
        with leftoff.open("p.jsonl") as journal:
            run = journal.run(str(options))
            one, two, three = run.map(computed.times_out, [1, 2, 3], retry_on=retry_on, **options)
        assert (one.error.type, two.error.type, three.value) == ("TimeoutError", "ValueError", 3)
        assert executed() == {"1": 3, "2": 1, "3": 1}
        Path(computed.LEDGER).unlink()


# -- a program that is killed or stopped -----------------------------------------------------------------------------


def start(nap="0.5"):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.work.computed"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NAP": nap},
        start_new_session=True,
    )


def wait_for(what, seconds=60.0):
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def begun():
    path = Path(computed.LEDGER)
    lines = path.read_text().split("\n") if path.exists() else []
    return [line.split() for line in lines if line.startswith("begun")]


def test_an_owner_that_is_killed_takes_its_workers_along():
    """Nobody is left to work on what the next owner begins again, and two at most are begun twice."""
    program = start()
    try:
        wait_for(lambda: len(begun()) >= 4)
        workers = {pid for _, _, pid in begun()}
    finally:
        program.kill()
    program.communicate()
    wait_for(lambda: not any(map(is_alive, workers)))
    known = {key for _, key, _ in begun()}
    program = start("0.01")
    try:
        wait_for(lambda: len(begun()) >= len(known) + 6)
    finally:
        program.kill()
        program.communicate()
    assert sum(count > 1 for count in Counter(key for _, key, _ in begun() if key in known).values()) <= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_finishes_what_the_processes_have_in_hand(number):
    """A terminal's Ctrl-C reaches the workers as well: nothing is lost, nothing repeated, and only we say something."""
    program = start()
    wait_for(lambda: len(begun()) >= 4)
    os.killpg(program.pid, number) if number == signal.SIGINT else program.send_signal(number)
    _, err = program.communicate(timeout=60)
    assert program.returncode == (130 if number == signal.SIGINT else 75)
    assert "Traceback" not in err
    assert err.count("\n") == 2, err
    text = Path(computed.LEDGER).read_text().split("\n")
    assert {line.split()[1] for line in text if line} == {line.split()[1] for line in text if line.startswith("ended")}
    with leftoff.open("progress.jsonl") as journal:
        assert not journal.run("slow").store.open_items("slow")


def test_a_second_ctrl_c_does_not_wait_for_the_processes():
    """They would have slept for an hour; what they had in hand is given back."""
    program = start("3600")
    wait_for(lambda: len(begun()) >= 2)
    workers = {pid for _, _, pid in begun()}
    os.killpg(program.pid, signal.SIGINT)
    assert "finishing" in program.stderr.readline()
    os.killpg(program.pid, signal.SIGINT)
    program.communicate(timeout=60)
    assert program.returncode == 130
    wait_for(lambda: not any(map(is_alive, workers)))
    with leftoff.open("progress.jsonl") as journal:
        assert [e.kind for e in journal.entries("slow")][-2:] == ["released", "released"]
        assert not journal.run("slow").store.open_items("slow")
