"""A Hypothesis state machine of the whole journal: does it hold what plain dictionaries would, whatever happens to it?

    class MyMachine(JournalMachine):
        place = "journal.mine"

        def open_store(self, path, durability):
            return MyStore(path, durability)

    TestMyStore = MyMachine.TestCase        # pytest and unittest run it

It loops over items that succeed, raise, and end their process; makes steps, moves cursors, retries and forgets; is killed
inside an item and at the boundary of any system call; is reopened with another durability, forked, copied, moved, damaged
in a copy, owned twice, while the clock jumps. After each of these everything that the store tells of each run is held against
the model (`machine_model`), by the handle in use and by a fresh one.

What a store does not promise (`Store.promises`) is left out: without P1 it is not killed or reopened, without P7 not owned
twice. A store that is no file is not damaged.
"""

from __future__ import annotations

import copy
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from leftoff.errors import ForkedHandle, JournalBusy, JournalMoved, MissingExtra
from leftoff.journal.store import Durability, Store
from leftoff.testing.damage import BAD, damaged, load
from leftoff.testing.damage_judge import Judge
from leftoff.testing.kills_server import raw_write
from leftoff.testing.kills_switch import Switch, die
from leftoff.testing.machine_model import (
    ATTEMPTS,
    BODY,
    CRASHES,
    CURSOR,
    Planned,
    RunModel,
    Steps,
    Stop,
    difference,
    step_key,
)
from leftoff.work import retry
from leftoff.work.copy import move
from leftoff.work.current import current
from leftoff.work.journal import Journal, make_store
from leftoff.work.run import Run

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
except ModuleNotFoundError as error:
    raise MissingExtra("leftoff.testing.machine needs hypothesis: pip install 'leftoff[testing]'") from error

RUNS = st.sampled_from(["one", "two ü"])
KEYS = st.lists(st.sampled_from(["a", "b", "c", 'd"\\', "é\n", "1", "$x", "done"]), max_size=6)
VALUES = st.sampled_from([None, 0, "ü", b"\x00\xff", {"$x": [1.5]}, [[], {}], {"error": None}])
STOPS = st.one_of(st.none(), st.builds(Stop, st.sampled_from(["break", "raise"]), st.integers(0, 4)))
NEVER = Stop("never", -1)
_YEARS = 365 * 86400.0
_PATIENCE = 60.0  # seconds until a forked child that tells nothing is given up


class JournalMachine(RuleBasedStateMachine):
    """Hold a journal against dictionaries. Subclass it with another `place` or `open_store` for another store."""

    place: ClassVar[str] = "journal.jsonl"
    """A file's name, relative to a folder of each example's own, or a URL."""
    copies: ClassVar[tuple[str, ...]] = (".jsonl", ".db")
    """The endings of the files that the journal is copied and moved to."""

    def open_store(self, path: str, durability: Durability) -> Store:
        """Open the store at a path, which is in the example's folder, or at the URL that `place` is."""
        return make_store(path, durability)

    def clean(self) -> None:
        """Make the place empty, before each example; files lie in a new folder anyway."""

    def __init__(self) -> None:
        """Begin with an empty journal, and a clock that can be moved."""
        super().__init__()
        self.folder = Path(
            tempfile.mkdtemp(prefix="leftoff-machine-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        )
        self.path = self.place if self.place == "memory:" or "://" in self.place else str(self.folder / self.place)
        self.durability: Durability = "process"
        self.models: dict[str, RunModel] = {}
        self.tokens: dict[tuple[str, str], str] = {}
        self.owned: set[str] = set()
        self.number = 0
        self._clock, self._offset = time.time, 0.0
        self._delay = retry.delay
        time.time = lambda: self._clock() + self._offset
        retry.delay = lambda *_, **__: 0.0
        self.clean()
        self.journal = Journal(self.open_store(self.path, self.durability))
        self._mark_every = {
            name: vars(module)["MARK_EVERY"]
            for name, module in list(sys.modules.items())
            if name.startswith("leftoff.journal.") and hasattr(module, "MARK_EVERY")
        }

    def teardown(self) -> None:
        """Leave nothing behind."""
        time.time, retry.delay = self._clock, self._delay
        self._set_marks(self._mark_every)
        self.journal.close()
        shutil.rmtree(self.folder)

    @initialize(every=st.sampled_from([3, 20, 4096]))
    def choose_marks(self, every: int) -> None:
        """Let `open` entries come so often that a small journal has some."""
        self._set_marks(dict.fromkeys(self._mark_every, every))

    def _set_marks(self, numbers: dict[str, int]) -> None:
        for name, number in numbers.items():
            vars(sys.modules[name])["MARK_EVERY"] = number

    @property
    def store(self) -> Store:
        """The store of the handle in use."""
        return self.journal.store

    def promises(self, *numbers: str) -> bool:
        """Return whether the store gives these promises."""
        return self.store.promises.issuperset(numbers)

    # -- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """Ask the handle in use, and a fresh one where there can be another, everything."""
        self._agree(self.store)
        if self.promises("P1"):
            fresh = self.open_store(self.path, self.durability)
            self._agree(fresh)
            fresh.close()

    def _agree(self, store: Store) -> None:
        found = difference(store, self.models)
        assert found is None, f"{store.url}: {found}"

    # -- work ----------------------------------------------------------------------------------------------------

    def _owning(self, name: str) -> RunModel:
        """Return the model of a run that this handle is about to own."""
        model = self.models.setdefault(name, RunModel())
        if name not in self.owned:
            self.owned.add(name)
            model.own()
        return model

    def _body(self, name: str, key: str) -> None:
        """Be in an item: its token is the one it always had."""
        token = self.tokens.setdefault((name, key), current().token)
        assert (current().key, current().token) == (key, token)
        assert list(self.tokens.values()).count(token) == 1

    def _walk_each(self, run: Run, keys: list[str], stop: Stop, *, moves: bool, told: Callable[[str], None]) -> None:
        with run.each(keys, attempts=ATTEMPTS, crashes=CRASHES, progress=False) as items:
            for body, key in enumerate(items):
                told(key)
                if moves:
                    run.cursor(CURSOR).advance(key)
                if body == stop.at:
                    if stop.how == "raise":
                        raise Planned(key)
                    if stop.how == "die":
                        die()
                    break

    def _walk_batches(self, run: Run, keys: list[str], size: int, stop: Stop, told: Callable[[str], None]) -> None:
        with run.batches(keys, size, attempts=ATTEMPTS, crashes=CRASHES, progress=False) as batches:
            for body, batch in enumerate(batches):
                told(batch[0])
                if body == stop.at:
                    if stop.how == "raise":
                        raise Planned(batch[0])
                    if stop.how == "die":
                        die()
                    break

    @rule(name=RUNS, keys=KEYS, stop=STOPS, moves=st.booleans())
    def each(self, name: str, keys: list[str], stop: Stop | None, moves: bool) -> None:
        """Loop over items, to the end or until one raises or breaks off."""
        model = self._owning(name)
        try:
            self._walk_each(
                self.journal.run(name), keys, stop or NEVER, moves=moves, told=lambda key: self._body(name, key)
            )
        except Planned:
            pass
        _follow(model.each(keys, stop or NEVER, moves=moves))

    @rule(name=RUNS, keys=KEYS, size=st.integers(1, 3), stop=STOPS)
    def batches(self, name: str, keys: list[str], size: int, stop: Stop | None) -> None:
        """Loop over batches of items."""
        model = self._owning(name)
        try:
            self._walk_batches(self.journal.run(name), keys, size, stop or NEVER, lambda key: self._body(name, key))
        except Planned:
            pass
        _follow(model.batches(keys, size, stop or NEVER))

    @rule(
        name=RUNS, keys=KEYS, value=VALUES, failing=st.dictionaries(st.sampled_from("abc"), st.integers(1, 2), max_size=2),
        workers=st.integers(1, 2),
    )  # fmt: skip
    def map(self, name: str, keys: list[str], value: Any, failing: dict[str, int], workers: int) -> None:
        """Map a function that fails for some items, once or always, in this thread or in two others."""
        model, left = self._owning(name), dict(failing)
        before = dict(model.fates)

        def work(key: str) -> Any:
            self._body(name, key)
            if left.get(key, 0):
                left[key] -= 1
                raise Planned(key)
            return value

        found = [
            (outcome.key, outcome.value, outcome.error is not None, outcome.resumed)
            for outcome in self.journal.run(name).map(
                work, keys, workers=workers, attempts=ATTEMPTS, crashes=CRASHES, progress=False
            )
        ]
        _follow(model.map(keys, value, failing))
        wanted = [
            (key, None if dead else model.values[key], dead, key in before)
            for key in dict.fromkeys(keys)
            for dead in [model.fates[key] == "dead"]
        ]
        assert found == wanted
        if workers > 1:  # they end as they like: what they ended in is its order
            for fate in ("done", "dead"):
                for key in [key for key in self.store.keys(name, fate) if key not in before and key in model.fates]:
                    model.fates[key] = model.fates.pop(key)

    @rule(name=RUNS, step=st.sampled_from(["s", "t"]), arguments=st.lists(st.integers(0, 1), max_size=1), value=VALUES,
          fails=st.booleans())  # fmt: skip
    def step(self, name: str, step: str, arguments: list[int], value: Any, fails: bool) -> None:
        """Make a step, or have its recorded result replayed."""
        key, run = step_key(step, arguments), self.journal.run(name)

        def work(*_: int) -> Any:
            if fails:
                raise Planned(key)
            return value

        if name in self.models and key in self.models[name].steps:
            assert run.step(step, work, *arguments) == self.models[name].steps[key]
            return
        model = self._owning(name)
        try:
            assert run.step(step, work, *arguments) == value
            model.steps[key] = value
        except Planned:
            assert fails

    @rule(name=RUNS, value=VALUES.filter(lambda value: value is not None))
    def move_cursor(self, name: str, value: Any) -> None:
        """Move the cursor outside an item."""
        cursor = self.journal.run(name).cursor(CURSOR, start="start")
        known = self.models.get(name, RunModel()).position
        assert cursor.value == ("start" if known is None else known)
        model = self._owning(name)
        cursor.advance(value)
        model.position = value
        assert cursor.value == value

    @rule(name=RUNS, keys=st.none() | KEYS)
    def retry_dead(self, name: str, keys: list[str] | None) -> None:
        """Let dead letters be tried again."""
        model = self._owning(name)
        assert self.journal.run(name).retry(keys) == model.supersede("retried", keys, "dead")

    @rule(name=RUNS, keys=st.none() | KEYS)
    def forget(self, name: str, keys: list[str] | None) -> None:
        """Take conclusions back."""
        model = self._owning(name)
        assert self.journal.run(name).forget(keys) == model.supersede("forgotten", keys, "done", "dead")

    # -- what happens to a journal -------------------------------------------------------------------------------

    @rule(years=st.integers(-30, 30), seconds=st.floats(-10, 10))
    def set_clock(self, years: int, seconds: float) -> None:
        """Let the wall clock jump, back or forth."""
        self._offset = years * _YEARS + seconds

    def _reopen(self, durability: Durability | None = None) -> None:
        self.durability = durability or self.durability
        self.owned.clear()
        self.journal = Journal(self.open_store(self.path, self.durability))

    @precondition(lambda self: self.promises("P1"))
    @rule(durability=st.sampled_from(["power", "process"]))
    def reopen(self, durability: Durability) -> None:
        """Close, and open with the same or another durability."""
        self.journal.close()
        self._reopen(durability)

    @precondition(lambda self: self.promises("P1"))
    @rule(name=RUNS, keys=KEYS.filter(bool), size=st.integers(0, 2), at=st.integers(0, 4), moves=st.booleans())
    def die_in_item(self, name: str, keys: list[str], size: int, at: int, moves: bool) -> None:
        """Be killed with an item or a batch in hand."""
        self._be_killed(name, keys, size, Stop("die", at), None, moves=moves)

    @precondition(lambda self: self.promises("P1"))
    @rule(name=RUNS, keys=KEYS, size=st.integers(0, 2), boundary=st.integers(0, 60), moves=st.booleans())
    def die_at_boundary(self, name: str, keys: list[str], size: int, boundary: int, moves: bool) -> None:
        """Be killed right before or behind any call that changes what is on disk."""
        self._be_killed(name, keys, size, NEVER, boundary, moves=moves)

    def _be_killed(
        self, name: str, keys: list[str], size: int, stop: Stop, boundary: int | None, *, moves: bool
    ) -> None:
        """Let a forked process loop over the keys and die; then one of the states it can have left must be there."""
        self.journal.close()
        self.owned.clear()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._loop_and_die(write, name, keys, size, stop, boundary, moves=moves)
        os.close(write)
        told = _read_all(read, pid)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (0, -signal.SIGKILL)
        possible = list(self._states(name, keys, size, stop, moves=moves))
        possible = [models for bodies, models in possible if bodies in (told, told + 1)]
        store = self.open_store(self.path, self.durability)
        differences = [difference(store, models) for models in possible]
        store.close()
        assert None in differences, f"{self.path}, killed in body {told}: {differences}"
        self.models = possible[differences.index(None)]
        self._reopen()

    def _loop_and_die(
        self, write: int, name: str, keys: list[str], size: int, stop: Stop, boundary: int | None, *, moves: bool
    ) -> NoReturn:
        def told(_: str) -> None:
            raw_write(write, b".")

        try:
            Switch(boundary).arm()
            run = Journal(self.open_store(self.path, self.durability)).run(name)
            if size:
                self._walk_batches(run, keys, size, stop, told)
            else:
                self._walk_each(run, keys, stop, moves=moves, told=told)
            os._exit(0)  # the loop has ended before its death came; nothing is closed, as by a kill
        except BaseException:  # noqa: BLE001  # a child must not go on as its parent would
            traceback.print_exc()
        finally:
            os._exit(1)

    def _states(
        self, name: str, keys: list[str], size: int, stop: Stop, *, moves: bool
    ) -> Iterator[tuple[int, dict[str, RunModel]]]:
        """Yield what may be durable at each moment of a loop, with the number of bodies begun by then."""
        bodies = 0
        yield bodies, copy.deepcopy(self.models)
        models = copy.deepcopy(self.models)
        model = models.setdefault(name, RunModel())
        model.own()
        yield bodies, copy.deepcopy(models)
        for what in model.batches(keys, size, stop) if size else model.each(keys, stop, moves=moves):
            bodies += what == BODY
            yield bodies, copy.deepcopy(models)
        yield bodies, models

    @precondition(lambda self: self.promises("P7") and self.owned and not self.store.shared)
    @rule(data=st.data())
    def come_second(self, data: st.DataObject) -> None:
        """Be refused a run that this process owns, be told so, and read it all the same."""
        name = data.draw(st.sampled_from(sorted(self.owned)))
        second = self.open_store(self.path, self.durability)
        try:
            second.own(name)
        except JournalBusy as error:
            assert f"process {os.getpid()}" in str(error)
        else:
            raise AssertionError(f"{self.path}: two owners of {name}")
        self._agree(second)
        second.close()

    @rule(name=RUNS)
    def fork(self, name: str) -> None:
        """Let a forked child be refused what it inherited."""
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self.journal.run(name).step("in a child", lambda: 1)
            except ForkedHandle:
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    @precondition(lambda self: self.models)
    @rule(ending=st.sampled_from([0, 1]), go_on=st.booleans())
    def copy(self, ending: int, go_on: bool) -> None:
        """Copy the journal while it is open; the copy holds the same, and the work may go on there."""
        target = self._new_place(ending)
        self.journal.copy(target)
        self._look_at(target)
        if go_on:
            self.journal.close()
            self.path = target
            self._reopen()

    @precondition(lambda self: self.models and self.promises("P1"))
    @rule(ending=st.sampled_from([0, 1]), key=st.sampled_from("abc"))
    def move(self, ending: int, key: str) -> None:
        """Move the journal: it goes on at the new place, and the old one refuses."""
        self.journal.close()
        self.owned.clear()
        source, self.path = self.path, self._new_place(ending)
        move(source, self.path)
        for name in self.models:
            self._owning(name)
        self.owned.clear()
        old = Journal(self.open_store(source, self.durability))
        try:
            list(old.run(next(iter(self.models))).each([key], progress=False))
        except JournalMoved as error:
            assert self.path in str(error)
        else:
            raise AssertionError(f"{source} was moved and goes on")
        finally:
            old.close()
        self._reopen()

    def _new_place(self, ending: int) -> str:
        self.number += 1
        return str(self.folder / f"copy-{self.number}{self.copies[ending % len(self.copies)]}")

    def _look_at(self, path: str) -> None:
        store = make_store(path, "power")
        self._agree(store)
        store.close()

    @precondition(lambda self: self.models and Path(self.path).exists())
    @rule(seed=st.integers(0, 2**32))
    def damage_a_copy(self, seed: int) -> None:
        """Damage a copy of the files: it is refused, or answers alike."""
        sample = load(self.path)
        case = damaged(sample, seed, seed)
        judge = Judge(
            self.folder / "damaged", sample.place, sample.files, lambda path: self.open_store(str(path), "power")
        )
        verdict = judge.judge(case.files, case.earlier, sealed=case.sealed)
        assert verdict.verdict not in BAD, f"{case.kind}: {verdict}"


def _follow(steps: Steps) -> None:
    for _ in steps:
        pass


def _read_all(fd: int, pid: int) -> int:
    """Return how many bytes a child told until it died. Raise TimeoutError for one that hangs."""
    count = 0
    while select.select([fd], [], [], _PATIENCE)[0]:
        data = os.read(fd, 4096)
        if not data:
            os.close(fd)
            return count
        count += len(data)
    os.kill(pid, signal.SIGKILL)
    raise TimeoutError(f"a forked process has told nothing for {_PATIENCE} s")
