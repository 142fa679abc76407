"""A function over items, with its results kept: one by one here, several at a time in `in_flight.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from leftoff.errors import JournalError, UnusableValue, UsageError
from leftoff.journal.entry import Draft, Tries
from leftoff.work.attempt import Fault, RetryOn, call_within, fault_of, has_alarm
from leftoff.work.each import FIRST, Loop
from leftoff.work.executors import ExecutorOrFactory
from leftoff.work.in_flight import InFlight
from leftoff.work.lookup import lookup
from leftoff.work.options import Options
from leftoff.work.outcome import How, Outcome, buried, known
from leftoff.work.passes import Pass, failed
from leftoff.work.values import encode, round_trip

if TYPE_CHECKING:
    from leftoff.work.run import Run

T = TypeVar("T")
R = TypeVar("R")


def map_items(
    run: Run,
    function: Callable[[T], R],
    items: Iterable[T],
    options: Options,
    *,
    workers: int | None,
    executor: ExecutorOrFactory | None,
    ordered: bool,
    write: Callable[[Any, Outcome[T, R]], object] | None,
    result_type: type[R] | None,
    timeout: float | None,
) -> Loop[Outcome[T, R]]:
    """Return the loop over the outcomes."""
    if workers is not None and workers < 1:
        raise UsageError(f"workers={workers}: at least one is needed")
    if timeout is not None and not timeout > 0:
        raise UsageError(f"timeout={timeout}: give the seconds that an item may take")
    if not callable(function):
        raise UsageError(f"map({function!r}): the first argument is the function, the second the items")
    how = How(function, write, result_type, timeout)
    return Loop(run, _map(run, how, items, options, workers, executor, ordered))


def _map(
    run: Run,
    how: How,
    items: Iterable[T],
    options: Options,
    workers: int | None,
    executor: ExecutorOrFactory | None,
    ordered: bool,
) -> Generator[Outcome[T, Any], None, None]:
    with run.walk(items, options) as walk:
        if how.write is not None and walk.owner.connection is None:
            raise UsageError(f"map(write=…) needs a journal with tables, such as papers.db; {run.store.url} has none")
        if executor is None and workers in (None, 1) and (how.timeout is None or has_alarm()):
            yield from _one_by_one(run, walk, how, walk.items)
        else:
            yield from InFlight(run, walk, how, walk.items, workers, executor, ordered).outcomes()
        run.report_of_pass = walk.end()


def _one_by_one(run: Run, walk: Pass, how: How, items: Iterable[T]) -> Generator[Outcome[T, Any], None, None]:
    mark_of = lookup(walk.owner)
    for item in items:
        walk.guard.check()
        walk.pulled += 1
        key = walk.key_of(item)
        if mark := mark_of(key):
            yield from known(run, walk, how, key, item, mark)
            continue
        tries = walk.owner.open_items.get(key, FIRST)
        if tries is not FIRST and not walk.may_start(key, tries):
            yield buried(run, key, item)
            continue
        yield _work(run, walk, how, key, item, tries)
        if (now := time.time()) >= walk.progress.due:
            walk.show(now)


def _work(run: Run, walk: Pass, how: How, key: str, item: Any, tries: Tries) -> Outcome[Any, Any]:
    """Try one item until it is done or dead."""
    owner, guard = walk.owner, walk.guard
    while True:
        if walk.limiter is not None:
            walk.limiter.wait(guard.sleep)
        guard.hand = key
        owner.commit([Draft("started", key, tries.to_json())])
        owner.begin()
        run.in_hand = {key: tries}
        walk.hand.key, walk.hand.attempt = key, 1 + tries.errors + tries.crashes
        try:
            if guard.urgent:
                guard.check()
            value = how.function(item) if how.timeout is None else call_within(how.timeout, how.function, item)
            text = encode(value, key)
            outcome: Outcome[Any, Any] = Outcome(key, item, round_trip(value, text, how.result_type))
            if how.write is not None:
                how.write(owner.connection, outcome)
            draft, pause = Draft("done", key, text), 0.0
        except (UnusableValue, JournalError):
            owner.abandon()
            run.settle(None)
            raise
        except Exception as error:  # noqa: BLE001  # whatever the user's code raises
            owner.abandon()
            fault = _judged(run, error, walk.options.retry_on)
            tries = tries.after_error()
            draft, pause = failed(key, tries, fault, walk.options.attempts), fault.pause(tries.errors)
            outcome = Outcome(key, item, None, fault.failure)
        except BaseException:
            owner.abandon()
            run.settle(None)
            raise
        finally:
            walk.hand.key = None
        run.in_hand = None
        walk.conclude([*run.take_drafts(), draft] if draft.kind == "done" else [draft])
        guard.hand = None
        if draft.kind != "failed":
            return outcome
        guard.sleep(pause)


def _judged(run: Run, error: Exception, retry_on: RetryOn) -> Fault:
    """Judge an error. Where ``retry_on`` itself fails no item is to blame, and the one in hand is given back."""
    try:
        return fault_of(error, retry_on)
    except BaseException:
        run.settle(None)
        raise
