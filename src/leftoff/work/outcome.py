"""What became of an item of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from leftoff.journal.store import Mark
from leftoff.work.how import How
from leftoff.work.passes import Pass
from leftoff.work.values import Failure, decode

if TYPE_CHECKING:
    from leftoff.work.run import Run

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T, R]):
    """Be what became of one item: its value, or the error that made it a dead letter.

    ``resumed`` says that an earlier run did it.
    """

    key: str
    item: T
    value: R | None = None
    error: Failure | None = None
    resumed: bool = False

    @classmethod
    def of_dead(cls, key: str, value: Any, item: Any = None) -> Outcome[T, R]:
        """Read a dead letter's entry."""
        parts = (value or {}).get("error") or {"type": "unknown", "message": ""}
        return cls(key, item, None, Failure(**parts), True)


def known(run: Run, walk: Pass, how: How, key: str, item: Any, mark: Mark) -> list[Outcome[Any, Any]]:
    """Return the outcome of an item that is concluded already, unless this pass has met it before."""
    if not walk.meet_known(key, mark):
        return []
    value = run.store.values(run.name, [key])[0]
    if mark < 0:
        return [Outcome.of_dead(key, value, item)]
    return [Outcome(key, item, decode(value, how.result_type), None, True)]


def buried(run: Run, key: str, item: Any) -> Outcome[Any, Any]:
    """Return the outcome of an item that has just become a dead letter without another try."""
    outcome: Outcome[Any, Any] = Outcome.of_dead(key, run.store.values(run.name, [key])[0])
    return Outcome(key, item, None, outcome.error)
