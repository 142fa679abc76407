"""What became of an item of a map."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from leftoff.journal.entry import Entry, Tries
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

    ``resumed`` says that an earlier run did it; ``version`` by which meaning of the function it was made, as an id,
    None where that is not known.
    """

    key: str
    item: T
    value: R | None = None
    error: Failure | None = None
    resumed: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter(Outcome[Any, Any]):
    """Be an item set aside, and its last error: ``errors`` tries raised, the process ended under ``crashes``, the
    last ``at`` this time.
    """

    run: str
    errors: int
    crashes: int
    at: datetime
    error: Failure

    @classmethod
    def of(cls, entry: Entry, version: str | None) -> DeadLetter:
        """Read a dead letter's entry."""
        tries = Tries.from_value((entry.value or {}).get("tries"), begun=False)
        return cls(
            key=entry.key,
            item=None,
            error=failure_in(entry),
            resumed=True,
            version=version,
            run=entry.run,
            errors=tries.errors,
            crashes=tries.crashes,
            at=entry.at,
        )


def failure_in(entry: Entry) -> Failure:
    """Return the error that a `dead` entry tells of."""
    return Failure(**((entry.value or {}).get("error") or {"type": "unknown", "message": ""}))


def known(run: Run, walk: Pass, how: How, key: str, item: Any, mark: Mark) -> list[Outcome[Any, Any]]:
    """Return the outcome of an item that is concluded already, unless this pass has met it before."""
    if not walk.meet_known(key, mark):
        return []
    entry = _conclusion(run, key)
    version = walk.versions.of(entry.epoch)
    if mark < 0:
        return [Outcome(key, item, None, failure_in(entry), True, version)]
    return [Outcome(key, item, decode(entry.value, how.result_type), None, True, version)]


def buried(run: Run, walk: Pass, key: str, item: Any) -> Outcome[Any, Any]:
    """Return the outcome of an item that has just become a dead letter without another try."""
    return Outcome(key, item, None, failure_in(_conclusion(run, key)), version=walk.version)


def _conclusion(run: Run, key: str) -> Entry:
    entry = run.store.conclusions(run.name, [key])[0]
    assert entry is not None  # noqa: S101  # its mark was seen
    return entry
