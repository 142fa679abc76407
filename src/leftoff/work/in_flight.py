"""A map with several items in flight: workers compute, the owner's thread commits whatever is waiting, in one commit.

The owner's round:

    conclude  what the workers brought
    fill      items that may start take the free places; known ones become resumed outcomes; a suspect waits to be alone
    commit    both, together: a worker never begins before its last outcome is durable
    send      what was started, to the workers
    deliver   outcomes, in input order or as they came
    wait      for a worker, the input, a backoff or a rate slot, whichever comes first

An item's arrows, each with the method that takes it:

    new ─fill─► started ─conclude─► done | dead | failed ─fill, after its backoff─► started
    started ─conclude, its worker died─► failed: a suspect, started again alone, before anything new
    started ─conclude─► released        (a task that was cancelled; what ends the loop)
    started ─give_back─► released       (second Ctrl-C; a journal that cannot be written)
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from leftoff.errors import JournalError, Stopped
from leftoff.journal.entry import Draft
from leftoff.work import retry
from leftoff.work.attempt import Brought
from leftoff.work.each import FIRST
from leftoff.work.executors import broken
from leftoff.work.feed import Feed
from leftoff.work.flight import Flight, interleave, name_of
from leftoff.work.how import How
from leftoff.work.lookup import lookup
from leftoff.work.outcome import Outcome, buried, known
from leftoff.work.passes import Pass, crashed, failed, released
from leftoff.work.pool import Event, Pool
from leftoff.work.signals import SLICE, shielded
from leftoff.work.values import Failure, round_trip

if TYPE_CHECKING:
    from leftoff.work.run import Run

_LOOK_AHEAD: Final = 8  # outcomes per worker that may wait for an earlier one, or for the caller


class InFlight:
    """Run a map with several items in flight. Everything here happens in the owner's thread."""

    def __init__(
        self,
        run: Run,
        walk: Pass,
        how: How,
        pool: Pool,
        make_feed: Callable[[Any, Callable[[Event], object]], Feed] = Feed,
    ) -> None:
        """Begin with a pool's workers idle; nothing is asked of the input yet."""
        self.run, self.walk, self.how = run, walk, how
        self.pool, self.workers, self.timeout = pool, pool.workers, pool.attempts.timeout
        pool.idle = self._ask_early
        self.feed = make_feed(walk.items, pool.put)
        self.mark_of = lookup(walk.owner)
        self.working: dict[str, Flight] = {}  # with the workers
        self.waiting: dict[str, Flight] = {}  # failed, or its worker died; keeps its place until its backoff is over
        self.next: Flight | None = None  # may not start yet: no rate slot, or not alone
        self.arrived: deque[Any] = deque()
        self.finished: list[Event] = []  # what became of attempts, to be concluded
        self.concluding: set[str] = set()  # what this round commits: the store does not know it yet
        self.ready: dict[int, Outcome[Any, Any]] = {}
        self.numbers = self.delivered = 0
        self.fatal: BaseException | None = None
        self.draining = False
        self.broken = False  # the workers died, and there will be no others
        # One kill, as of a power failure, says nothing of the items: hours of work would go on one by one for it.
        self.alone_from = min(2, max(1, walk.options.crashes - 1))  # crashes
        self.slot_in = 0.0  # seconds until the next rate slot, as of the last question

    def outcomes(self) -> Iterator[Outcome[Any, Any]]:
        """Yield the outcomes. Whatever ends the loop, what is in flight is finished and committed, or given back."""
        guard = self.walk.guard
        try:
            while True:
                self._round()
                if guard.asked is not None and not self.working:
                    guard.check()
                if guard.urgent:
                    guard.check()
                before = self.delivered
                yield from self._deliver()
                if self._is_over():
                    break
                self._wait(0.0 if self.delivered != before else self._patience())
            self.pool.stop(now=False)
        except (Stopped, KeyboardInterrupt, JournalError) as error:
            if self.broken:  # whoever is in flight has died, and its event is on the way
                self._drain()
                raise
            self.pool.stop(now=True)
            if not isinstance(error, JournalError):
                self._give_back()
            raise
        except BaseException:
            self._drain()
            raise
        finally:
            self.feed.stop()

    # -- fill ----------------------------------------------------------------------------------------------------

    def _fill(self, starts: dict[str, Flight]) -> None:
        """Add what may start now. What the input raises comes out here, behind all that it brought before."""
        now = time.monotonic()
        for flight in [flight for flight in self.waiting.values() if flight.due <= now]:
            if self._may_enter(flight, starts) and self._may_go():
                starts[flight.key] = self.waiting.pop(flight.key)
        if any(flight.alone for flight in self.waiting.values()):
            return  # suspects wait until they can be alone
        while (others := len(self.working) + len(self.waiting) + len(starts)) < self.workers:
            self.next = new = self.next or self._new(starts, self.workers - others)
            if new is None or not self._may_enter(new, starts) or not self._may_go():
                break
            starts[new.key] = new
            self.next = None

    def _new(self, starts: dict[str, Flight], places: int) -> Flight | None:
        """Take items in until one is new; None where the input brings none now, or enough outcomes wait already.

        places: how many are free. So many items are asked for; where a rate decides when one may start, one.
        """
        while len(self.ready) < _LOOK_AHEAD * self.workers:
            if not self.arrived:
                self.arrived.extend(self.feed.ask(places if self.walk.limiter is None else 1))
            if not self.arrived:
                return None
            item = self.arrived.popleft()
            walk = self.walk
            walk.pulled += 1
            key = walk.key_of(item)
            if key in self.working or key in self.waiting or key in starts or key in self.concluding:
                walk.mark_duplicate(key)
            elif mark := self.mark_of(key):
                for outcome in known(self.run, walk, self.how, key, item, mark):
                    self._put(outcome)
            else:
                tries = walk.owner.open_items.get(key, FIRST)
                if self.concluding and walk.is_spent(tries):
                    # A dead letter is a commit of its own; rows that this round has written must wait for theirs.
                    self.arrived.appendleft(item)
                    walk.pulled -= 1
                    return None
                if tries is FIRST or walk.may_start(key, tries):
                    self.numbers += 1
                    return Flight(key, item, self.numbers - 1, tries, alone=tries.crashes >= self.alone_from)
                self._put(buried(self.run, walk, key, item))
        return None

    def _ask_early(self) -> None:
        """Ask for what follows an item that a worker, whose thread this is, has just finished.

        So it has come when the owner commits the one's `done`, and its `started` is in the same commit.
        """
        stopping = self.draining or self.fatal is not None or self.walk.guard.asked is not None
        if not stopping and self.walk.limiter is None and len(self.ready) < _LOOK_AHEAD * self.workers:
            self.feed.ask_one_more()

    def _put(self, outcome: Outcome[Any, Any]) -> None:
        self.ready[self.numbers] = outcome
        self.numbers += 1

    def _may_enter(self, flight: Flight, starts: dict[str, Flight]) -> bool:
        """Return whether an item may start beside what is being worked on: a suspect never, nobody beside one."""
        house = self.working or starts
        if not house:
            return True
        # A suspect is alone, so looking at one item of the house tells whether it is closed.
        return not flight.alone and not next(iter(house.values())).alone

    def _may_go(self) -> bool:
        """Return whether the budget allows another attempt, and a rate slot was to be had now; take it."""
        if not self.walk.may_spend():
            return False
        self.slot_in = 0.0 if self.walk.limiter is None else self.walk.limiter.claim()
        return not self.slot_in

    # -- conclude, commit and send -------------------------------------------------------------------------------

    @shielded
    def _round(self) -> None:
        """Conclude what the workers brought, fill the places that this frees, and commit both."""
        guard, finished = self.walk.guard, self.finished
        self.finished = []
        if finished and self.how.write is not None:
            self.walk.owner.begin()
        drafts = [self._conclude(event) for event in finished]
        self.concluding = {draft.key for draft in drafts}
        starts: dict[str, Flight] = {}
        guard.look()
        if guard.asked is None and self.fatal is None and not self.draining:
            try:
                self._fill(starts)
            except BaseException as error:  # noqa: BLE001  # whatever the input or its keys raise: first commit what is finished and what came before
                self.fatal = error
        guard.hand = name_of(self.working or starts, len(self.working) + len(starts) + len(drafts))
        if drafts or starts or self.walk.beside:
            begun = [Draft("started", flight.key, flight.tries.to_json()) for flight in starts.values()]
            self.walk.conclude(interleave(drafts, begun))
        self.concluding.clear()
        self.working.update(starts)
        for flight in starts.values():
            flight.begun = time.monotonic()
            if self.timeout is not None:
                flight.end, flight.late = flight.begun + self.timeout + self.pool.grace, False
            self.pool.submit(flight.key, flight.item, 1 + flight.tries.errors + flight.tries.crashes)
        guard.hand = name_of(self.working, len(self.working))
        if self.fatal is not None and not self.draining:
            raise self.fatal
        if (now := time.time()) >= self.walk.progress.due:
            self.walk.show(now)

    def _conclude(self, event: Event) -> Draft:
        """Turn what became of an attempt into the item's next entry."""
        flight = self.working.pop(event.key)
        if (deadline := self.walk.guard.deadline) is not None:
            deadline.took(time.monotonic() - flight.begun)
        if event.what == "died":
            return self._died(flight, event.error, ended_by_us=event.value)
        if event.what == "cancelled":
            self._note_cut_off(flight)
            return released(flight.key, flight.tries)
        brought: Brought = event.value
        if brought.done:
            value = round_trip(brought.value, brought.text, self.how.result_type)
            outcome: Outcome[Any, Any] = Outcome(flight.key, flight.item, value, version=self.walk.version)
            error = self._write(outcome)
            if error is None:
                self.ready[flight.number] = outcome
                return Draft("done", flight.key, brought.text)
            brought = self.pool.attempts.judge(error)
        return self._not_done(flight, brought)

    def _not_done(self, flight: Flight, brought: Brought) -> Draft:
        """Take in a fault of the item, or what ends the loop, once what is beside it is committed."""
        fault = brought.fault
        if fault is None:
            self.fatal = self.fatal or brought.fatal
            return released(flight.key, flight.tries)
        flight.tries = flight.tries.after_error()
        draft = failed(flight.key, flight.tries, fault, self.walk.options.attempts)
        return self._set_back(flight, draft, fault.failure, fault.pause(flight.tries.errors))

    def _died(self, flight: Flight, error: BaseException | None, *, ended_by_us: bool) -> Draft:
        """Take in that the worker which had an item in hand died: if nobody ended it, the item is a suspect."""
        if not self.pool.renew():
            self.broken, self.fatal = True, self.fatal or broken(error)
        self._note_cut_off(flight)
        if flight.late:
            return self._not_done(flight, self.pool.attempts.late())
        if ended_by_us:  # for the sake of another's timeout
            self.waiting[flight.key] = flight
            return released(flight.key, flight.tries)
        if self.walk.guard.asked is not None:  # the signal went to the workers, too
            return released(flight.key, flight.tries)
        flight.tries, flight.alone = flight.tries.after_crash(), True
        failure = Failure("ProcessEnded", f"the worker that had it in hand died: {error}")
        draft = crashed(flight.key, flight.tries, failure, self.walk.options.crashes)
        return self._set_back(flight, draft, failure, retry.delay(flight.tries.crashes))

    def _note_cut_off(self, flight: Flight) -> None:
        self.walk.beside += self.walk.budget.cut_off({flight.key: flight.tries})

    def _set_back(self, flight: Flight, draft: Draft, failure: Failure, pause: float) -> Draft:
        """Let an item wait for its next try, or be a dead letter; return its entry."""
        if draft.kind == "dead":
            self.ready[flight.number] = Outcome(flight.key, flight.item, None, failure, version=self.walk.version)
        else:
            flight.due = time.monotonic() + pause
            self.waiting[flight.key] = flight
        return draft

    def _write(self, outcome: Outcome[Any, Any]) -> Exception | None:
        """Let the user write an outcome's rows; if that raises, none of them stay and the error is the item's."""
        if self.how.write is None:
            return None
        connection, run = self.walk.owner.connection, self.run
        connection.execute("SAVEPOINT outcome")
        run.in_hand = {outcome.key: FIRST}  # so that a cursor that is moved here moves with the item
        try:
            self.how.write(connection, outcome)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the user's code raises
            connection.execute("ROLLBACK TO outcome")
            connection.execute("RELEASE outcome")
            run.drafts.clear()
            return error
        finally:
            run.in_hand = None
        connection.execute("RELEASE outcome")
        self.walk.beside += run.take_drafts()
        return None

    # -- deliver and wait ----------------------------------------------------------------------------------------

    def _deliver(self) -> Iterator[Outcome[Any, Any]]:
        if self.how.ordered:
            while (outcome := self.ready.pop(self.delivered, None)) is not None:
                self.delivered += 1
                yield outcome
        else:
            while self.ready:
                self.delivered += 1
                yield self.ready.pop(next(iter(self.ready)))

    def _is_over(self) -> bool:
        left = self.working or self.waiting or self.next or self.arrived or self.ready or self.feed.error
        return self.feed.ended and not left

    def _patience(self) -> float | None:
        """Return for how long nothing but an event can change anything; None for as long as it takes."""
        waiting = [flight for flight in self.waiting.values() if self._may_enter(flight, {})]
        now = time.monotonic()
        times = [max(0.0, flight.due - now) for flight in waiting]
        if self.timeout is not None:
            times += [max(0.0, flight.end - now) for flight in self.working.values()]
        guard = self.walk.guard
        if guard.deadline is not None and guard.asked is None:
            times.append(guard.deadline.left)
        if self.slot_in:
            times.append(self.slot_in)
        return min(times, default=None)

    def _wait(self, timeout: float | None) -> None:
        self._take(self.pool.wait(timeout))

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if event.what in ("finished", "died", "cancelled"):
                self.finished.append(event)
            elif event.what == "charged":
                self.walk.beside.append(self.walk.budget.charge(event.key, *event.value))
            else:
                self.arrived.extend(self.feed.take(event))
        if self.timeout is not None:
            self._interrupt_late(time.monotonic(), {event.key for event in self.finished})

    def _interrupt_late(self, now: float, finished: set[str]) -> None:
        """Interrupt the attempts that take too long; say once which of them go on all the same."""
        for key, flight in self.working.items():
            if flight.end > now or key in finished:
                continue
            if flight.late:
                self.walk.say(
                    f"{key} takes longer than timeout={self.timeout:g} s, in a call that cannot be interrupted from"
                    " here; it is waited for (a process of a ProcessPoolExecutor would be ended)"
                )
                flight.end = math.inf
            else:
                flight.late, flight.end = True, now + SLICE
                self.pool.interrupt(key)

    # -- endings -------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Finish and commit what is in flight, start nothing."""
        self.draining = True
        while self.working or self.finished:
            self._round()
            if self.working:
                self._wait(None)
        self.pool.stop(now=False)

    def _give_back(self) -> None:
        """Give back what is in flight, without waiting for it."""
        if self.working:
            self.walk.owner.abandon()
            tries = {key: flight.tries for key, flight in self.working.items()}
            notes = [*self.walk.take_beside(), *self.walk.budget.cut_off(tries)]
            self.walk.owner.commit([*notes, *(released(key, each) for key, each in tries.items())])
