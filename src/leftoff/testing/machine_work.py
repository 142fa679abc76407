"""The half of the state machine that works: loops, steps and cursors, and that the journal holds what they did."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from leftoff.errors import MissingExtra
from leftoff.journal.store import Durability, Store
from leftoff.testing.kills_switch import die
from leftoff.testing.machine_model import (
    ATTEMPTS,
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
from leftoff.work.current import current
from leftoff.work.journal import Journal, make_store
from leftoff.work.run import Run

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
except ModuleNotFoundError as error:
    raise MissingExtra("leftoff.testing.machine needs hypothesis: pip install 'leftoff[testing]'") from error

RUNS = st.sampled_from(["one", "two ü"])
KEYS = st.lists(st.sampled_from(["a", "b", "c", 'é\n"\\', "$x"]), max_size=6)
VALUES: st.SearchStrategy[Any] = st.sampled_from([None, 0, "ü", b"\x00\xff", {"$x": [1.5]}, [[], {}], {"error": None}])
FAILING = st.dictionaries(st.sampled_from("abc"), st.integers(1, 2), max_size=2)
STOPS = st.one_of(st.none(), st.builds(Stop, st.sampled_from(["break", "raise"]), st.integers(0, 4)))
NEVER = Stop("never", -1)
_MEMORY = Path("/dev/shm")


class WorkMachine(RuleBasedStateMachine):
    """Work with a journal as programs do, and hold it against the model after each step."""

    place: ClassVar[str] = "journal.jsonl"
    """A file's name, relative to a folder of each example's own, or a URL."""
    copies: ClassVar[tuple[str, ...]] = (".jsonl", ".db", "/")
    """The endings of the places that the journal is copied and moved to."""

    def open_store(self, path: str, durability: Durability) -> Store:
        """Open the store at `place`: its path in the example's folder, or its URL."""
        return make_store(path, durability)

    def open_at(self, path: str, durability: Durability) -> Store:
        """Open the store at `place`, or a copy of it, which is of another kind."""
        return (self.open_store if Path(path).name == Path(self.place).name else make_store)(path, durability)

    def clean(self) -> None:
        """Make the place empty, before each example; files lie in a new folder anyway."""

    def __init__(self) -> None:
        """Begin with an empty journal, and a clock that can be moved."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="leftoff-machine-", dir=_MEMORY if _MEMORY.is_dir() else None))
        in_folder = self.place != "memory:" and "://" not in self.place
        self.path = f"{self.folder}/{self.place}" if in_folder else self.place
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
        self.journal = Journal(self.open_at(self.path, self.durability))
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
            fresh = self.open_at(self.path, self.durability)
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
        with suppress(Planned):
            self._walk_each(
                self.journal.run(name), keys, stop or NEVER, moves=moves, told=lambda key: self._body(name, key)
            )
        _follow(model.each(keys, stop or NEVER, moves=moves))

    @rule(name=RUNS, keys=KEYS, size=st.integers(1, 3), stop=STOPS)
    def batches(self, name: str, keys: list[str], size: int, stop: Stop | None) -> None:
        """Loop over batches of items."""
        model = self._owning(name)
        with suppress(Planned):
            self._walk_batches(self.journal.run(name), keys, size, stop or NEVER, lambda key: self._body(name, key))
        _follow(model.batches(keys, size, stop or NEVER))

    @rule(
        name=RUNS, keys=KEYS, value=VALUES, failing=FAILING,
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


def _follow(steps: Steps) -> None:
    for _ in steps:
        pass
