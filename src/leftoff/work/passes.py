"""One walk over an input: which items are known, what was met, and the accounts at its end.

1. A key is met once: its conclusion's bit is set then, and a bit that is set already is a duplicate.
2. The accounts join those bits with what the store holds; nothing that was counted on the way is believed for them.
3. The bits cost one bit per conclusion the journal holds (10,000,000: 1.25 MB).
"""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Callable, Mapping, Sequence, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from leftoff.errors import DuplicateKey, IncompleteRun, JournalError
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.shard import WHOLE, make_shard
from leftoff.journal.store import Mark, Owner, Store
from leftoff.work.attempt import Fault, fault_of
from leftoff.work.budget import Amounts, Budget, name_uncertain
from leftoff.work.current import Hand
from leftoff.work.deadline import make_deadline, seconds_of
from leftoff.work.fates import LOGGER, Fates
from leftoff.work.keys import is_at_hand, key_function
from leftoff.work.options import Options
from leftoff.work.progress import Progress
from leftoff.work.rate import Limiter, parse_rate
from leftoff.work.report import Report
from leftoff.work.signals import StopGuard
from leftoff.work.values import Failure, encode
from leftoff.work.versions import versions_of

if TYPE_CHECKING:
    from leftoff.work.change import Change

_NAMED_DEAD: Final = 5  # so many dead letters are named, the others counted


class Pass:
    """Walk one input of one run."""

    def __init__(self, store: Store, owner: Owner, items: Any, options: Options, guard: StopGuard, run_id: str) -> None:
        """Begin a walk of the owner's run, whose id is ``run_id``, with the guard of the loop."""
        self.owner = owner
        self.options = options
        self.guard = guard
        self.hand = Hand(owner.run, run_id, self.charge)
        self.thread = threading.get_ident()
        self.name = name = owner.run
        self.key_of = key_function(options.key)
        self.pending_rows: Callable[[], object] = owner.pending
        """Whether rows wait for the commit of an item, of this loop or of one around it."""
        self.pulled = self.duplicates = self.resumed = self.repeated = self.dead = self.done = 0
        self._store = store
        self._met = bytearray(1024)
        self._skip = options.duplicates == "skip" or (options.duplicates is None and options.key is None)
        self._dead_letters: list[str] = []
        self.beside: list[Draft] = []
        self.items = self._share(items)
        total = len(self.items) if isinstance(self.items, Sized) else None
        self.progress = Progress(name, total, enabled=options.progress)
        self.limiter = None if options.rate is None else Limiter(f"run {name}", parse_rate(options.rate))
        self.fates = Fates(name, options.on_fate)
        self.budget = Budget(store, name, run_id, options.budget, _share_name(options))
        guard.deadline = make_deadline(options.stop_after)
        guard.grace = None if options.grace is None else seconds_of(options.grace, "grace")
        self.versions = versions_of(store, name)
        self.version: str | None = None
        """By which version of the function this pass makes its results."""
        self._announce_dead()
        self._note_crashed()

    def _share(self, items: Any) -> Any:
        """Return the items of this loop's shard; where the input is at hand, they are too."""
        shard = make_shard(self.options.shard)
        if shard == WHOLE:
            return items
        if hasattr(items, "__aiter__"):
            return (item async for item in items if shard.has(self.key_of(item)))
        mine = (item for item in items if shard.has(self.key_of(item)))
        return list(mine) if is_at_hand(items) else mine

    def _announce_dead(self) -> None:
        dead = self._store.counts(self.owner.run)[1]
        if dead:
            keys = self._store.keys(self.owner.run, "dead")
            self.say(
                f"{dead} dead {_plural(dead, 'letter')} from before: {_names(list(islice(keys, _NAMED_DEAD)), dead)}"
            )

    def _note_crashed(self) -> None:
        """Record, and say, which attempts ended with their process and may have been paid for."""
        if drafts := self.budget.crashed(self.owner.open_items):
            self.owner.commit(drafts)
            self.say(name_uncertain(drafts))

    def say(self, text: str) -> None:
        """Tell the user one line."""
        self.progress.note(f"{self.name}: {text}")

    def mark_duplicate(self, key: str) -> None:
        """Count a key met twice in this pass, or refuse it."""
        if not self._skip:
            raise DuplicateKey(
                f"the key {key} was met twice in one pass of {self.name}; let key=… tell the items apart, or pass"
                " duplicates='skip'"
            )
        self.duplicates += 1

    def meet(self, mark: Mark) -> None:
        """Set the bit of a conclusion."""
        place = mark if mark > 0 else -mark
        byte, bit = place >> 3, 1 << (place & 7)
        met = self._met
        if byte >= len(met):
            met.extend(bytes(max(len(met), byte + 1 - len(met))))
        met[byte] |= bit

    def meet_known(self, key: str, mark: Mark) -> bool:
        """Take in an item that is concluded already; return whether this pass meets it for the first time."""
        place = mark if mark > 0 else -mark
        byte, bit = place >> 3, 1 << (place & 7)
        try:  # `meet` again, for speed: of a resumed input every item comes by here
            known = self._met[byte]
            if known & bit:
                self.mark_duplicate(key)
                return False
            self._met[byte] = known | bit
        except IndexError:
            self.meet(mark)
        self.resumed += 1
        if mark < 0:
            self._name_dead(key)
        return True

    def meet_page(self, keys: Sequence[str], marks: Sequence[Mark]) -> list[str]:
        """Take in those of these items that are concluded; return the keys of the others, which the loop has to get."""
        met, left, resumed = self._met, [], 0
        highest = max(map(abs, marks), default=0) >> 3
        met.extend(bytes(max(0, highest + 1 - len(met))))
        for key, mark in zip(keys, marks, strict=True):
            byte, bit = mark >> 3, 1 << (mark & 7)
            if mark > 0 and not met[byte] & bit:  # `meet_known`, for speed
                met[byte] |= bit
                resumed += 1
            elif mark:
                self.pulled += 1
                self.meet_known(key, mark)
            else:
                left.append(key)
        self.pulled += resumed
        self.resumed += resumed
        return left

    def _name_dead(self, key: str) -> None:
        if len(self._dead_letters) < _NAMED_DEAD:
            self._dead_letters.append(key)

    def is_spent(self, tries: Tries) -> bool:
        """Return whether an item has no try left."""
        return tries.crashes >= self.options.crashes or tries.errors >= self.options.attempts

    def may_start(self, key: str, tries: Tries) -> bool:
        """Return whether an item that was tried before has a try left; if not, make it a dead letter."""
        if tries.crashes >= self.options.crashes:
            what = f"the process ended {tries.crashes} times while this item was being worked on"
            self.conclude([dead_letter(key, tries, Failure("ProcessEnded", what))])
            return False
        if tries.errors >= self.options.attempts:
            what = f"it had raised {tries.errors} times before; its errors are in the journal"
            self.conclude([dead_letter(key, tries, Failure("AttemptsSpent", what))])
            return False
        self.repeated += 1
        return True

    def conclude(self, drafts: Sequence[Draft]) -> list[Mark]:
        """Commit drafts and meet the conclusions among them."""
        attempts = self.fates.attempts(drafts, self.owner.open_items)
        marks = self.owner.commit([*self.take_beside(), *drafts] if self.beside else drafts)
        for mark in marks:
            self.meet(mark)
        for draft in drafts:
            if draft.kind == "done":
                self.done += 1
            elif draft.kind == "dead":
                self.dead += 1
                self._name_dead(draft.key)
        self.fates.tell(drafts, attempts)
        return marks

    def may_spend(self) -> bool:
        """Return whether the budget allows another attempt; where it does not, the loop stops at its boundary."""
        if self.budget.is_spent():
            self.guard.ask(self.budget.reason, "run it again with a greater one to go on")
        return not self.budget.is_spent()

    def charge(self, key: str, attempt: int, amounts: Amounts) -> None:
        """Charge what an attempt of this loop has spent: at once, if it is made here and has written no rows yet."""
        self.beside.append(self.budget.charge(key, attempt, amounts))
        if threading.get_ident() == self.thread and not self.pending_rows():
            self.owner.commit(self.take_beside())
            self.owner.begin()

    def settled(self, items: Mapping[str, Tries], error: BaseException | None) -> list[Draft]:
        """Draft what becomes of items in hand when this ends the loop: an Exception is an error of theirs."""
        if isinstance(error, Exception) and not isinstance(error, JournalError):  # which would be nobody's
            fault = fault_of(error, self.options.retry_on)
            if len(items) > 1:
                fault = fault._replace(again=True)  # a batch: which of them it was is seen when they come one by one
            attempts = self.options.attempts
            return [failed(key, tries.after_error(), fault, attempts) for key, tries in items.items()]
        cut_off = self.budget.cut_off(items) if _tears(error) else []
        return [*cut_off, *(released(key, tries) for key, tries in items.items())]

    def take_beside(self) -> list[Draft]:
        """Return what the next commit is to say beside its items."""
        beside, self.beside = self.beside, []
        return beside

    def take_up(self, change: Change) -> None:
        """Make results by this version from now on."""
        self.version = change.version
        self.beside += change.drafts
        if change.news is not None:
            self.say(change.news)

    def finish(self, key: str, others: Sequence[Draft] = ()) -> None:
        """Commit one item's `done`, with the others that belong to it."""
        self.conclude((*others, Draft("done", key)))

    def show(self, now: float) -> None:
        """Show the progress made until ``now``, a ``time.time()``."""
        self.progress.show(now, self.done, self.resumed, self.dead)

    def accounts(self, *, ended: bool) -> Report:
        """Compute the accounts so far from the store; ``missing`` is known once the input has ended."""
        done, dead = self.owner.tally(self._met)
        total = self.pulled - self.duplicates
        missing = total - done - dead if ended else None
        waiting = len(self.owner.open_items)
        return Report(self.owner.run, total, done, dead, missing, self.duplicates, self.resumed, self.repeated, waiting)

    def end(self) -> Report:
        """Account for the whole input. Raise `IncompleteRun` where an item is neither done nor dead."""
        report = self.accounts(ended=True)
        known_done, known_dead = self._store.counts(self.owner.run)
        numbers = {
            "total": report.total, "done": report.done, "dead": report.dead, "missing": report.missing,
            "duplicates": report.duplicates, "resumed": report.resumed, "repeated": report.repeated,
            "known_done": known_done, "known_dead": known_dead,
        }  # fmt: skip
        self.owner.commit(
            [*self.take_beside(), Draft("pass", _share_name(self.options), json.dumps(numbers, separators=(",", ":")))]
        )
        LOGGER.info("%s", report, extra={"run": self.owner.run})
        self._farewell(report)
        if report.missing:
            raise IncompleteRun(
                f"{self.name}: {report.missing} of {report.total} items are neither done nor dead though the loop"
                " has ended;"
                f" look with: {self._command('status')}"
            )
        return report

    def _farewell(self, report: Report) -> None:
        if report.total and report.resumed == report.total:
            self.say(f"all {report.total} items were done before; to start over: {self._command('forget')} --all")
        if report.dead:
            names = _names(self._dead_letters, report.dead)
            self.say(f"{report.dead} dead {_plural(report.dead, 'letter')}: {names}; {self._command('retry')}")

    def _command(self, verb: str) -> str:
        return shlex.join(["leftoff", verb, self._store.url, "--run", self.owner.run])

    def close(self) -> None:
        """Take the bar down, and let go of the input: nobody else may hold it."""
        self.items, self._met = (), bytearray()
        self.progress.close(self.done, self.resumed, self.dead)


def failed(key: str, tries: Tries, fault: Fault, attempts: int) -> Draft:
    """Draft what follows from an error, counted in ``tries`` already: another try to come, or a dead letter."""
    kind = "failed" if fault.again and tries.errors < attempts else "dead"
    return Draft(kind, key, _settled(tries, fault.failure))


def crashed(key: str, tries: Tries, failure: Failure, crashes: int) -> Draft:
    """Draft what follows from the death of a worker, counted in ``tries`` already."""
    return Draft("failed" if tries.crashes < crashes else "dead", key, _settled(tries, failure))


def dead_letter(key: str, tries: Tries, failure: Failure) -> Draft:
    """Draft a dead letter."""
    return Draft("dead", key, _settled(tries, failure))


def released(key: str, tries: Tries) -> Draft:
    """Draft the giving back of an item by a graceful stop, which counts against nothing."""
    return Draft("released", key, _settled(tries, None))


def _settled(tries: Tries, failure: Failure | None) -> str:
    value: dict[str, Any] = {"tries": {"errors": tries.errors, "crashes": tries.crashes}}
    if failure is not None:
        value["error"] = {"type": failure.type, "message": failure.message, "traceback": failure.traceback}
    return encode(value, "") or "{}"


def _tears(error: BaseException | None) -> bool:
    """Return whether a loop that this ended was torn off in the middle of an item, as by a signal or a cancellation."""
    return isinstance(error, KeyboardInterrupt) or not isinstance(
        error, (Exception, GeneratorExit, SystemExit, type(None))
    )


def _share_name(options: Options) -> str:
    shard = make_shard(options.shard)
    return "" if shard == WHOLE else str(shard)


def _names(keys: Sequence[str], count: int) -> str:
    more = f" and {count - len(keys)} more" if count > len(keys) else ""
    return ", ".join(key if key.isprintable() else repr(key) for key in keys) + more


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def uncaught() -> BaseException | None:
    """Return the last exception that nobody caught, as the interpreter remembers it."""
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
