"""What runs once, and positions in a source: recorded beside the items of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from leftoff.errors import UsageError
from leftoff.journal.entry import Draft
from leftoff.work.keys import check_key
from leftoff.work.values import decode, encode, round_trip

if TYPE_CHECKING:
    from leftoff.work.run import Run

R = TypeVar("R")


def step(run: Run, name: str, function: Callable[..., R], arguments: tuple[Any, ...]) -> R:
    """Call the function once for this name and these arguments, and record what it returns."""
    key = check_key(name)
    if arguments:
        key = check_key(f"{name} {encode(list(arguments), name)}")
    recorded = run.store.latest(run.name, "step", key)
    if recorded is not None:
        return decode(recorded.value)  # type: ignore[no-any-return]
    run.refuse_pending(f"step {name}")  # before the run is owned: that is a commit too
    owner = run.own()
    owner.begin()
    try:
        value = function(*arguments)
        text = encode(value, f"step {name}")
        owner.commit([Draft("step", key, text)])
    except BaseException:
        owner.abandon()
        raise
    finally:
        if run.in_item:
            owner.begin()  # what the item writes from here on is its own again
    return round_trip(value, text)  # type: ignore[no-any-return]


class Cursor:
    """Be a durable position in a source."""

    def __init__(self, run: Run, name: str, start: Any) -> None:
        """Open the position called ``name``; ``start`` holds until it is first moved."""
        self.name = check_key(name)
        self._run = run
        self._start = start

    @property
    def value(self) -> Any:
        """The position, any JSON: the last one recorded, or ``start``; inside an item that moved it, the new one."""
        waiting = self._run.drafts.get(self.name)
        if waiting is not None:
            return decode(json.loads(waiting.value or "null"))
        recorded = self._run.store.latest(self._run.name, "cursor", self.name)
        return self._start if recorded is None else decode(recorded.value)

    def advance(self, value: Any) -> None:
        """Move to ``value``: with the item's `done` inside an item, durable at once outside one."""
        text = encode(value, f"cursor {self.name}")
        if text is None:
            raise UsageError(f"cursor {self.name}: None is no position")
        draft = Draft("cursor", self.name, text)
        if self._run.in_item:
            self._run.drafts[self.name] = draft
        else:
            self._run.refuse_pending(f"a move of cursor {self.name}")
            self._run.own().commit([draft])
