"""A Hypothesis state machine of the whole journal: does it hold what plain dictionaries would, whatever happens to it?

    class MyMachine(JournalMachine):
        place = "mine.jsonl"

        def open_store(self, path, durability):
            return MyStore(path, durability)

    TestMyStore = MyMachine.TestCase        # pytest and unittest run it

It loops over items that succeed, raise, and end their process; makes steps, moves cursors, retries and forgets; is
killed inside an item and at the boundary of any system call; is reopened with another durability, forked, copied,
moved, damaged in a copy, owned twice, while the clock jumps. After each of these everything that the store tells of
each run is held against the model (`machine_model`), by the handle in use and by a fresh one.

What a store does not promise (`Store.promises`) is left out: without P1 it is not killed or reopened, without P7 not
owned twice. A store that is no file is not damaged.
"""

from __future__ import annotations

import copy
import os
import select
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from leftoff.errors import ForkedHandle, JournalBusy, JournalMoved
from leftoff.journal.store import Durability
from leftoff.testing.damage import BAD, damaged, load
from leftoff.testing.damage_judge import Judge
from leftoff.testing.kills_server import raw_write
from leftoff.testing.kills_switch import Switch
from leftoff.testing.machine_model import BODY, RunModel, Stop, difference
from leftoff.testing.machine_work import KEYS, NEVER, RUNS, WorkMachine
from leftoff.work.copy import move
from leftoff.work.journal import SQLITE_SUFFIXES, Journal, is_server, make_store

_YEARS = 365 * 86400.0
_PATIENCE = 60.0  # seconds until a forked child that tells nothing is given up


class JournalMachine(WorkMachine):
    """Hold a journal against dictionaries. Subclass it with another `place` or `open_store` for another store."""

    # -- what happens to a journal -------------------------------------------------------------------------------

    @rule(years=st.integers(-30, 30), seconds=st.floats(-10, 10))
    def set_clock(self, years: int, seconds: float) -> None:
        """Let the wall clock jump, back or forth."""
        self._offset = years * _YEARS + seconds

    def _reopen(self, durability: Durability | None = None) -> None:
        self.durability = durability or self.durability
        self.owned.clear()
        self.journal = Journal(self.open_at(self.path, self.durability))

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
        states = self._states(name, keys, size, stop, moves=moves)
        possible = [models for bodies, models in states if bodies in (told, told + 1)]
        store = self.open_at(self.path, self.durability)
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
            run = Journal(self.open_at(self.path, self.durability)).run(name)
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
        second = self.open_at(self.path, self.durability)
        try:
            second.own(name)
        except JournalBusy as error:
            told = str(error)
        else:
            told = f"there are two owners of {name}"
        assert f"process {os.getpid()}" in told
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
    @rule(ending=st.integers(0, 2), go_on=st.booleans())
    def copy(self, ending: int, go_on: bool) -> None:
        """Copy the journal while it is open; the copy holds the same, and the work may go on there."""
        target = self._new_place(ending)
        self.journal.copy(target)
        self._look_at(target)
        if go_on:
            self.journal.close()
            self.path = target
            self._reopen()

    @precondition(lambda self: self.models and self.promises("P1") and self._name_tells_its_kind())
    @rule(ending=st.integers(0, 2), key=st.sampled_from("abc"))
    def move(self, ending: int, key: str) -> None:
        """Move the journal: it goes on at the new place, and the old one refuses."""
        self.journal.close()
        self.owned.clear()
        source, self.path = self.path, self._new_place(ending)
        move(source, self.path)
        for name in self.models:
            self._owning(name)
        self.owned.clear()
        old = Journal(self.open_at(source, self.durability))
        try:
            list(old.run(next(iter(self.models))).each([key], progress=False))
            told = "it goes on"
        except JournalMoved as error:
            told = str(error)
        finally:
            old.close()
        assert self.path in told, f"{source} was moved: {told}"
        self._reopen()

    def _name_tells_its_kind(self) -> bool:
        """Return whether `move`, which is given a place and no store, finds the store there by its name."""
        return is_server(self.path) or self.path.endswith(("/", ".jsonl", *SQLITE_SUFFIXES))

    def _new_place(self, ending: int) -> str:
        self.number += 1
        return f"{self.folder}/copy-{self.number}{self.copies[ending % len(self.copies)]}"

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
            self.folder / "damaged", sample.place, sample.files, lambda path: self.open_at(str(path), "power")
        )
        verdict = judge.judge(case.files, case.earlier, sealed=case.sealed)
        assert verdict.verdict not in BAD, f"{case.kind}: {verdict}"


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
