"""What a journal must hold, kept in plain dictionaries and lists: the model that `machine` holds a journal against.

Each loop is a generator that yields behind everything that may have been durable by itself: ``COMMIT``, or ``BODY``
where the user's code has an item in hand. So a loop can be followed to wherever a process was killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from leftoff.journal.entry import Tries
from leftoff.journal.store import Store, values_of
from leftoff.work.values import decode

ATTEMPTS: Final = 2
CRASHES: Final = 2
COMMIT: Final = "commit"
BODY: Final = "body"
CURSOR: Final = "position"
Steps = Iterator[str]


class Planned(Exception):  # not an error of anything: what the user's code raises when it is told to
    """Be what an item raises on purpose."""


@dataclass
class Stop:
    """Say how a loop ends in its body number ``at``, from 0: by ``break``, by an exception, or by a kill."""

    how: str
    at: int


@dataclass
class RunModel:
    """Be what one run must hold."""

    epoch: int = 0
    said: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    """What its entries say about each key, oldest first."""
    fates: dict[str, str] = field(default_factory=dict)
    """``done`` or ``dead`` for each concluded key, in the order of conclusions."""
    values: dict[str, Any] = field(default_factory=dict)
    tries: dict[str, Tries] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)
    position: Any = None
    account: dict[str, int] = field(default_factory=dict)
    """The numbers of its last complete pass."""

    def _say(self, kind: str, key: str, value: Any = None) -> None:
        self.said.setdefault(key, []).append((kind, value))

    # -- entries -------------------------------------------------------------------------------------------------

    def own(self) -> None:
        """Take the run over: what was in hand when its process ended has crashed once more."""
        self.epoch += 1
        for key, tries in self.tries.items():
            if tries.begun:
                self.tries[key] = Tries(tries.errors, tries.crashes + 1)

    def start(self, key: str) -> None:
        """Begin a try."""
        tries = self.tries.get(key, Tries())
        self._say("started", key, _pairs(tries) or None)
        self.tries[key] = tries._replace(begun=True)

    def conclude(self, fate: str, key: str, value: Any = None) -> None:
        """Let an item be done or dead."""
        self._say(fate, key, value)
        self.fates.pop(key, None)
        self.tries.pop(key, None)
        self.fates[key], self.values[key] = fate, value

    def fail(self, key: str, message: str) -> None:
        """Let the item in hand raise."""
        tries = self.tries[key]
        tries = Tries(tries.errors + 1, tries.crashes)
        value = {"tries": _pairs(tries, zeros=True), "error": {"type": "Planned", "message": message}}
        if tries.errors >= ATTEMPTS:
            self.conclude("dead", key, value)
        else:
            self._say("failed", key, value)
            self.tries[key] = tries

    def release(self, key: str) -> None:
        """Let the item in hand be given back."""
        tries = self.tries.pop(key)._replace(begun=False)
        self._say("released", key, {"tries": _pairs(tries, zeros=True)})
        if tries != Tries():
            self.tries[key] = tries

    def supersede(self, kind: str, keys: Iterable[str] | None, *fates: str) -> int:
        """Take conclusions back; return how many."""
        chosen = [key for key in (self.fates if keys is None else dict.fromkeys(keys)) if self.fates.get(key) in fates]
        for key in chosen:
            self._say(kind, key)
            del self.fates[key], self.values[key]
        return len(chosen)

    def keys(self, fate: str) -> list[str]:
        """Return the keys of one fate, in the order in which they met it."""
        return [key for key, met in self.fates.items() if met == fate]

    # -- loops ---------------------------------------------------------------------------------------------------

    def _bury_if_spent(self, key: str) -> bool:
        tries = self.tries.get(key, Tries())
        if tries.crashes >= CRASHES:
            error = {"type": "ProcessEnded"}
        elif tries.errors >= ATTEMPTS:
            error = {"type": "AttemptsSpent"}
        else:
            return False
        self.conclude("dead", key, {"tries": _pairs(tries, zeros=True), "error": error})
        return True

    def _end_in(self, keys: Sequence[str], stop: Stop) -> None:
        for key in keys:
            if stop.how == "raise":
                self.fail(key, keys[0])
            elif stop.how == "break":
                self.release(key)

    def _end_pass(self, keys: Sequence[str], known: int) -> None:
        distinct = dict.fromkeys(keys)
        done = sum(self.fates[key] == "done" for key in distinct)
        self.account = {
            "total": len(distinct), "done": done, "dead": len(distinct) - done, "missing": 0,
            "duplicates": len(keys) - len(distinct), "resumed": known,
            "known_done": len(self.keys("done")), "known_dead": len(self.keys("dead")),
        }  # fmt: skip

    def each(self, keys: Sequence[str], stop: Stop, *, moves: bool) -> Steps:
        """Walk the keys one by one; with ``moves``, each item moves the cursor to its key."""
        known = sum(key in self.fates for key in set(keys))
        waiting: str | None = None
        bodies = 0
        for key in keys:
            if key in self.fates or key == waiting or not self._bury_if_spent(key):
                if waiting is not None:
                    self.conclude("done", waiting)
                    waiting = None
                if key in self.fates:
                    yield COMMIT
                    continue
                self.start(key)
                yield BODY
                if bodies == stop.at:
                    self._end_in([key], stop)
                    return
                bodies += 1
                waiting = key
                if moves:
                    self.conclude("done", key)
                    self.position, waiting = key, None
            yield COMMIT
        if waiting is not None:
            self.conclude("done", waiting)
            yield COMMIT
        self._end_pass(keys, known)

    def batches(self, keys: Sequence[str], size: int, stop: Stop) -> Steps:
        """Walk the keys in batches; what was tried before comes alone."""
        known = sum(key in self.fates for key in set(keys))
        bodies = 0
        for batch in self._gather(keys, size):
            if not batch:
                yield COMMIT
                continue
            for key in batch:
                self.start(key)
            yield BODY
            if bodies == stop.at:
                self._end_in(batch, stop)
                return
            bodies += 1
            for key in batch:
                self.conclude("done", key)
            yield COMMIT
        self._end_pass(keys, known)

    def _gather(self, keys: Sequence[str], size: int) -> Iterator[list[str]]:
        """Yield the batches, and an empty one where an item was buried."""
        batch: list[str] = []
        for key in keys:
            if key in batch or key in self.fates:
                continue
            if key not in self.tries:
                batch.append(key)
            elif self._bury_if_spent(key):
                yield []
            else:
                if batch:
                    yield batch
                    batch = []
                yield [key]
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def map(self, keys: Sequence[str], value: Any, failing: dict[str, int]) -> Steps:
        """Work on the keys one by one, each until it is done or dead; ``failing`` says how often one raises."""
        known = sum(key in self.fates for key in set(keys))
        left = dict(failing)
        for key in keys:
            while key not in self.fates and not self._bury_if_spent(key):
                self.start(key)
                yield BODY
                if left.get(key, 0):
                    left[key] -= 1
                    self.fail(key, key)
                else:
                    self.conclude("done", key, value)
                yield COMMIT
            yield COMMIT
        self._end_pass(keys, known)


def _pairs(tries: Tries, *, zeros: bool = False) -> dict[str, int]:
    pairs = {"errors": tries.errors, "crashes": tries.crashes}
    return pairs if zeros else {name: count for name, count in pairs.items() if count}


# -- holding a store against it ----------------------------------------------------------------------------------


def difference(store: Store, models: dict[str, RunModel]) -> str | None:
    """Return in what the store differs from the models of its runs, None where in nothing."""
    if store.runs() != list(models):
        return f"runs: {store.runs()} instead of {list(models)}"
    for name, model in models.items():
        for what, found, wanted in _compared(store, name, model):
            if found != wanted:
                return f"{what} of run {name}: {found!r} instead of {wanted!r}"
    damage = list(store.verify())
    return f"verify: {damage}" if damage else None


def _compared(store: Store, name: str, model: RunModel) -> Iterator[tuple[str, Any, Any]]:
    for fate in ("done", "dead"):
        yield f"keys {fate}", list(store.keys(name, fate)), model.keys(fate)
    yield "counts", store.counts(name), (len(model.keys("done")), len(model.keys("dead")))
    keys = [*model.fates, "nowhere"]
    yield "values", [_plain(value) for value in values_of(store, name, keys)], [*map(model.values.get, keys)]
    waiting = {key: tries.errors for key, tries in store.open_items(name).items()}
    yield "open items", waiting, {key: tries.errors for key, tries in model.tries.items()}
    position = store.latest(name, "cursor", CURSOR)
    yield "cursor", None if position is None else decode(position.value), model.position
    for key, value in model.steps.items():
        step = store.latest(name, "step", key)
        yield f"step {key}", None if step is None else decode(step.value), value
    account = store.latest(name, "pass")
    numbers = {} if account is None else {word: account.value[word] for word in model.account}
    yield "accounts", numbers, model.account
    yield from _compared_entries(store, name, model)


def _compared_entries(store: Store, name: str, model: RunModel) -> Iterator[tuple[str, Any, Any]]:
    said: dict[str, list[tuple[str, Any]]] = {}
    owners, seqs, epochs, last = [], [0], [0], None
    for entry in store.entries(name):
        last = entry
        if entry.kind in ("started", "done", "dead", "failed", "released", "forgotten", "retried"):
            said.setdefault(entry.key, []).append((entry.kind, _plain(entry.value)))
        elif entry.kind == "owner":
            owners.append(entry.epoch)
        seqs.append(entry.seq)
        epochs.append(entry.epoch)
    yield "entries", said, model.said
    yield "owners", owners, list(range(1, model.epoch + 1))
    yield "order of seq", seqs, sorted(set(seqs))
    yield "order of epochs", epochs, sorted(epochs)
    newest = store.newest(name)
    yield "newest", newest and replace(newest, seq=0), last and replace(last, seq=0)  # seq: each writer has its own


def _plain(value: Any) -> Any:
    """Leave out of an entry's value what depends on where the program stands."""
    if isinstance(value, dict) and "error" in value and "tries" in value:
        error = {word: value["error"][word] for word in ("type", "message")}
        if error["type"] in ("ProcessEnded", "AttemptsSpent"):
            del error["message"]
        return {**value, "error": error}
    return decode(value)


def step_key(name: str, arguments: Sequence[Any]) -> str:
    """Return the key under which a step is recorded (docs/format.md)."""
    return f"{name} {json.dumps(list(arguments), separators=(',', ':'))}" if arguments else name
