"""A function over items, with its results kept: one by one here, several at a time in `in_flight.py`."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from leftoff.errors import JournalError, UnusableValue
from leftoff.journal.entry import Draft, Tries
from leftoff.work.attempt import Attempts, Fault, has_alarm
from leftoff.work.each import FIRST
from leftoff.work.executors import InExecutor
from leftoff.work.how import How
from leftoff.work.in_flight import InFlight
from leftoff.work.lookup import lookup
from leftoff.work.options import Options
from leftoff.work.outcome import Outcome, buried, known
from leftoff.work.passes import Pass, failed
from leftoff.work.pool import Threads
from leftoff.work.values import encode, round_trip

if TYPE_CHECKING:
    from leftoff.work.run import Run

T = TypeVar("T")
R = TypeVar("R")


def map_items(run: Run, items: Iterable[T], options: Options, how: How) -> Generator[Outcome[T, Any], None, None]:
    """Yield the outcomes."""
    with run.walk(items, options, how.function) as walk:
        how.check(walk.owner.connection, run.store.url)
        attempts = Attempts(how.function, run.name, run.run_id, options.retry_on, how.timeout)
        if how.executor is not None:
            yield from InFlight(run, walk, how, InExecutor(attempts, how.executor, how.workers)).outcomes()
        elif how.workers not in (None, 1) or (how.timeout is not None and not has_alarm()):
            yield from InFlight(run, walk, how, Threads(attempts, how.workers or 1)).outcomes()
        else:
            yield from _one_by_one(run, walk, how, attempts)
        run.report_of_pass = walk.end()


def _one_by_one(run: Run, walk: Pass, how: How, attempts: Attempts) -> Generator[Outcome[Any, Any], None, None]:
    mark_of = lookup(walk.owner)
    for item in walk.items:
        walk.guard.look()
        walk.guard.check()
        walk.pulled += 1
        key = walk.key_of(item)
        if mark := mark_of(key):
            yield from known(run, walk, how, key, item, mark)
            continue
        tries = walk.owner.open_items.get(key, FIRST)
        if tries is not FIRST and not walk.may_start(key, tries):
            yield buried(run, walk, key, item)
            continue
        yield _work(run, walk, how, attempts, key, item, tries)
        if (now := time.time()) >= walk.progress.due:
            walk.show(now)


def _work(run: Run, walk: Pass, how: How, attempts: Attempts, key: str, item: Any, tries: Tries) -> Outcome[Any, Any]:
    """Try one item until it is done or dead."""
    owner, guard = walk.owner, walk.guard
    while True:
        if not walk.may_spend():
            guard.check()
        if walk.limiter is not None:
            walk.limiter.wait(guard.sleep)
        guard.hand = key
        owner.commit([Draft("started", key, tries.to_json())])
        owner.begin()
        run.in_hand = {key: tries}
        walk.hand.key, walk.hand.attempt = key, 1 + tries.errors + tries.crashes
        begun = time.monotonic()
        try:
            if guard.urgent:
                guard.check()
            value = attempts.call(item)
            text = encode(value, key)
            outcome: Outcome[Any, Any] = Outcome(
                key, item, round_trip(value, text, how.result_type), version=walk.version
            )
            if how.write is not None:
                how.write(owner.connection, outcome)
            draft, pause = Draft("done", key, text), 0.0
        except (UnusableValue, JournalError):
            owner.abandon()
            run.settle(None)
            raise
        except Exception as error:  # noqa: BLE001  # whatever the user's code raises
            owner.abandon()
            run.drafts.clear()
            fault = _judged(run, attempts, error)
            tries = tries.after_error()
            draft, pause = failed(key, tries, fault, walk.options.attempts), fault.pause(tries.errors)
            outcome = Outcome(key, item, None, fault.failure, version=walk.version)
        except BaseException as ended:
            owner.abandon()
            run.settle(ended)
            raise
        finally:
            walk.hand.key = None
        if guard.deadline is not None:
            guard.deadline.took(time.monotonic() - begun)
        run.in_hand = None
        walk.conclude([*run.take_drafts(), draft] if draft.kind == "done" else [draft])
        guard.hand = None
        if draft.kind != "failed":
            return outcome
        guard.sleep(pause)


def _judged(run: Run, attempts: Attempts, error: Exception) -> Fault:
    """Judge an error. Where that fails no item is to blame, and the one in hand is given back."""
    brought = attempts.judge(error)
    if brought.fault is None:
        run.settle(None)
        raise brought.fatal or error
    return brought.fault
