"""Each call on a journal's files fails, alone or with all that follow: the error is ours, nothing acknowledged is lost.

The programs, and what is held against their ledgers, are in `faulted.py`.
"""

import contextlib
import itertools
import os
import re
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leftoff.testing.faults import ERRORS, Fault, fault_server
from leftoff.testing.kills import read_ledger
from tests.crash import faulted
from tests.crash.campaign import IN_FLIGHT
from tests.figures import store_of

MODES = [
    (error, lasting) for error in ERRORS for lasting in (False, True) if not (lasting and error in ("EINTR", "short"))
]

BY_SQLITE = ("work.db", "work.db-wal", "work.db-shm", "work.db-journal", ".")  # SQLite syncs the folder as well
VAGUE = {"nothing", "JournalInDoubt", "JournalUnusable", "JournalFull"}


def expected(error, where):
    """Return how a program may end that met an error at a call, such as "fdatasync work.db-wal"."""
    call, file = where.split(" ", 1)
    if file.startswith("work"):  # in a directory of segments the folder and the writer's file stand for the others
        file = re.sub(r"^work(/.*(?=\.jsonl$))", "work", file) if file != "work" else "."
    if call == "pwrite" and file.endswith(".lock"):
        return {"nothing", "JournalFull", "JournalUnusable"}  # the name of who holds it, also when it is given up
    if "result.txt" in file:
        return {"nothing", "own"}  # the user's file: the system's own error
    if error == "EINTR":  # Python tries every call again; SQLite all but the syncs
        return (
            {"nothing", "JournalInDoubt", "JournalUnusable"}
            if call == "fdatasync" and file in BY_SQLITE
            else {"nothing"}
        )
    if error == "short":  # a line of JSON Lines is one write
        return {"nothing", "JournalFull"} if (call, file) == ("write", "work.jsonl") else {"nothing"}
    if file in BY_SQLITE and (call, file) != ("fsync", "."):
        if error == "ENOSPC" and call == "pwrite" and file != "work.db-shm":
            return {"nothing", "JournalFull", "own"}
        # SQLite tells of a full disk only from a write, and calls a page that the disk does not give back malformed.
        return VAGUE | {"own"} | ({"JournalDamaged"} if call == "pread" else set())
    if error == "ENOSPC":
        return {"JournalFull", "own"} if file == "." else {"JournalFull"}
    if (call, file) == ("fsync", "."):
        return {"DurabilityUnavailable", "own"}
    return {"JournalInDoubt", "JournalUnusable"} if call in ("write", "fdatasync") else {"JournalUnusable"}


class Sweep:
    """Let one program meet a fault at each of its calls."""

    def __init__(self, servers, folder, place, use, durability, items, torn):
        self.servers, self.folder, self.place = servers, folder, place
        self.plan = {
            "use": use, "durability": durability, "items": items, "seconds": 0.0,
            "in_flight": IN_FLIGHT.get(use, 1) * (1 + torn),
        }  # fmt: skip
        self.before = self.make("before")[0]
        if torn:
            self.tear()

    def make(self, name):
        folder = self.folder / name
        (folder / "files").mkdir(parents=True)
        (folder / "files" / "result.txt").write_text(faulted.OLD)
        return folder, self.plan_in(folder)

    def plan_in(self, folder):
        return {**self.plan, "place": f"{folder}/files/{self.place}", "ledger": str(folder / "ledger")}

    def tear(self):
        """Let the program be killed in the middle, and its last commit be torn."""
        whole = self.servers[0].run("work", self.make("whole")[1])
        plan = self.plan_in(self.before)
        end = self.servers[0].run("work", plan, boundary=int(whole.calls * 1.4))
        assert end.killed
        torn = {"work.jsonl": "work.jsonl", "work.db": "work.db-wal", "work/": "work/*.jsonl"}[self.place]
        with max((self.before / "files").glob(torn)).open("ab") as file:
            file.write(b'{"seq":')

    def run(self):
        """Meet every fault, shared out among the servers; return how many there were of each error."""
        with ThreadPoolExecutor(len(self.servers)) as pool:
            shares = [pool.submit(self.meet_share, first) for first in range(len(self.servers))]
            return sum((share.result() for share in shares), Counter())

    def meet_share(self, first):
        points = Counter()
        for error, lasting in MODES:
            for call in itertools.count(1 + first, len(self.servers)):
                name = f"{error}-{call}-and-later" if lasting else f"{error}-{call}"
                if not self.meet(self.servers[first], name, error, call, lasting):
                    break
                points[error] += 1
        return points

    def meet(self, server, name, error, call, lasting):
        """Let one call fail, then let the program go on without faults; return whether there was such a call."""
        folder = self.folder / name
        shutil.copytree(self.before, folder)
        plan = self.plan_in(folder)
        before = len(read_ledger(plan["ledger"]))
        end = server.run("work", plan, fault=Fault(error, call, folder / "files", lasting))
        what = f"{name} of {self.plan}: {end.fault}"
        assert end.code == 0, f"{what}: {end.output}"
        lines = read_ledger(plan["ledger"])[before:]
        again = server.run("resume", plan)
        assert again.code == 0, f"after {what}: {again.output}"
        self.judge(what, error, end, lines)
        shutil.rmtree(folder)
        return bool(end.fault)

    def judge(self, what, error, end, lines):
        """Hold what the program told against what the fault allows."""
        told = [line.key.split()[0] if line.word == "refused" else line.word for line in lines]
        how = next((word for word in told if word.startswith(("Journal", "Durability", "own"))), "nothing")
        if not end.fault:
            assert how == "nothing", f"{what}: {lines}"
            return
        if self.plan["durability"] == "power" and re.fullmatch(r"fdatasync work.*(jsonl|-wal)", end.fault):
            later = [line for line in lines if line.word == "acknowledged" and line.at > end.fault_at]
            assert error == "EINTR" or not later, f"acknowledged behind a failed sync: {what}: {lines}"
        later = {"JournalInDoubt", "JournalUnusable", "JournalFull"} if "-and-later" in what else set()
        assert how in expected(error, end.fault) | later, f"{what}: {lines}"


@pytest.fixture(scope="module")
def servers():
    """As many servers as there are processors."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(fault_server(Path(faulted.__file__))) for _ in range(os.cpu_count() or 1)]


FEW = [  # by the time one takes: an SQLite journal makes five times as many calls
    *(("work.jsonl", use, "power", use != "each") for use in faulted.USES),
    *(("work.jsonl", use, "process", False) for use in ("each", "threads", "mended")),
    ("work.db", "each", "power", False),
    ("work.db", "threads", "process", True),
    ("work/", "each", "power", False),
]
ALL = list(itertools.product(("work.jsonl", "work.db", "work/"), faulted.USES, ("power", "process"), (False, True)))


@pytest.mark.parametrize(
    ("place", "use", "durability", "torn", "count"),
    [
        *(pytest.param(*case, 2) for case in FEW),
        *(pytest.param(*case, 5, marks=pytest.mark.prove) for case in ALL),
    ],
)
def test_every_call_fails_once(servers, quick, counted, place, use, durability, torn, count):
    """Whichever call fails, the program ends well or with the error that tells it, and the next start loses nothing."""
    items = [f"item-{number}" for number in range(count)]
    points = Sweep(servers, quick, place, use, durability, items, torn).run()
    for error, number in points.items():
        counted("calls that failed", f"{store_of(place)} {error}", number)
    assert min(points[error] for error in ERRORS) > (2 if use == "threads" else count)  # which share commits


@pytest.mark.parametrize(
    ("lie", "found"), [("careless", "acknowledged behind a failed sync"), ("hasty", r"lost: \{'item-1'\}")]
)
def test_a_lie_is_seen(servers, quick, lie, found):
    """A journal that takes a failed sync for a good one, or a program that acknowledges too early, is caught."""
    sweep = Sweep(servers, quick, "work.jsonl", "each", "power", ["item-1", "item-2"], torn=False)
    sweep.plan[lie] = True
    with pytest.raises(AssertionError, match=found):
        sweep.run()


@pytest.mark.parametrize("steps", [40, pytest.param(1000, marks=pytest.mark.prove)])
@pytest.mark.parametrize(
    ("place", "use", "durability"),
    [("work.jsonl", "each", "power"), ("work.jsonl", "mended", "process"), ("work.db", "batches", "power")],
)
def test_an_allocation_that_fails_leaves_a_journal_to_go_on_with(servers, quick, rng, place, use, durability, steps):
    """Wherever Python's memory gives out, nothing that was acknowledged is lost (failure mode 14)."""
    pytest.importorskip("_testcapi", reason="this Python comes without its own test module, which fails allocations")
    sweep = Sweep(servers, quick, place, use, durability, ["item-1", "item-2"], torn=False)
    told = Counter()
    for allocation in rng.sample(range(1, 1001), steps):
        folder, plan = sweep.make(str(allocation))
        end = servers[0].run("starved", {**plan, "allocation": allocation})
        told.update({line.key.split()[0] for line in read_ledger(plan["ledger"]) if line.word == "refused"})
        again = servers[0].run("resume", plan)
        assert again.code == 0, f"allocation {allocation}: {again.output} after {end.output}"
        shutil.rmtree(folder)
    assert set(told) <= {"JournalInDoubt", "JournalUnusable"}
    assert told["JournalInDoubt"] or steps < 1000, "no commit was hit"  # among few it may be none
