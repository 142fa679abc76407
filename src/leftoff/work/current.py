"""What is in hand right now: the item a loop is working on in this thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from math import isfinite
from typing import Any, NamedTuple

from leftoff.errors import UsageError


class Current(NamedTuple):
    """Be the item in hand: its key, the number of this try from 1, and its token, the same at every try.

    The token is for services that take an idempotency key: an item that was cut off half-way asks again with the same.
    """

    key: str
    attempt: int
    token: str

    def charge(self, **amounts: float) -> None:
        """Charge what this attempt has spent, such as ``charge(usd=0.03, tokens=1200)``, to the run.

        Charge at once when something was paid for, whatever becomes of the item: failed attempts cost, too. Where the
        loop has a ``budget=`` it stops once a limit of it is reached. Raises UsageError for what is no amount.
        """
        check_amounts(amounts, "charge")
        hand = _in_hand()
        hand.charge(self.key, self.attempt, amounts)


class Inside:
    """Be what was begun inside one attempt at an item: loops by their call sites, and runs that were taken over."""

    def __init__(self, key: str | None, attempt: int) -> None:
        self.key, self.attempt = key, attempt
        self.entered: dict[Any, Any] = {}
        self.owned: list[Callable[[], None]] = []


Charge = Callable[[str, int, Mapping[str, float]], object]
"""What becomes of a charge of an item's attempt: called with its key, its number and the amounts."""


class Hand:
    """Hold what one loop has in hand in one thread or task; ``key`` is None between items."""

    __slots__ = ("_inside", "attempt", "charge", "key", "outer", "run", "run_id")

    def __init__(self, run: str, run_id: str, charge: Charge) -> None:
        self.run = run
        self.run_id = run_id
        self._inside = Inside(None, 0)
        self.charge = charge
        self.key: str | None = None
        self.attempt = 1
        self.outer: Hand | None = None

    def inside(self) -> Inside:
        """Return what was begun inside this attempt at the item in hand; what an earlier one began is given up."""
        if (self._inside.key, self._inside.attempt) != (self.key, self.attempt):
            for give_up in self._inside.owned:
                give_up()
            self._inside = Inside(self.key, self.attempt)
        return self._inside


_hand: ContextVar[Hand | None] = ContextVar("leftoff.hand", default=None)  # each thread and each task has its own


def hold(hand: Hand) -> None:
    """Make a loop's hand that of this thread or task, until `let_go`."""
    hand.outer = _hand.get()
    _hand.set(hand)


def let_go(hand: Hand) -> None:
    """Give this thread or task back to the loop around; a loop may end before those begun inside it."""
    hand.key = None
    inner = _hand.get()
    if inner is hand:
        _hand.set(hand.outer)
        return
    while inner is not None and inner.outer is not hand:
        inner = inner.outer
    if inner is not None:
        inner.outer = hand.outer


def outer_item() -> Hand | None:
    """Return the hand that has an item of a loop around in this thread or task, None outside of all items."""
    hand = _hand.get()
    while hand is not None and hand.key is None:
        hand = hand.outer
    return hand


def began_inside() -> Inside | None:
    """Return what is begun inside the item around, None outside of all items; what an earlier one began is given up."""
    outer = outer_item()
    return None if outer is None else outer.inside()


def current() -> Current:
    """Return the key, attempt and token of the item in hand in this thread or task.

    Raises UsageError where no loop of leftoff has an item in hand.
    """
    hand = _in_hand()
    return Current(hand.key or "", hand.attempt, token_of(hand.run_id, hand.key or ""))


def _in_hand() -> Hand:
    hand = outer_item()
    if hand is None:
        raise UsageError(
            "no item is in hand here; call leftoff.current() inside the body of a loop or the function of a map"
        )
    return hand


def token_of(run_id: str, key: str) -> str:
    """Return the token of an item of a run."""
    return hashlib.sha256(f"{run_id}\0{key}".encode()).hexdigest()[:32]


def check_amounts(amounts: Any, what: str) -> None:
    """Raise UsageError unless these are finite numbers, none below 0, each with a name."""
    if not isinstance(amounts, Mapping) or not amounts or not all(isinstance(name, str) for name in amounts):
        raise UsageError(f'{what}: give amounts by name, such as {{"usd": 20}}')
    for name, amount in amounts.items():
        if isinstance(amount, bool) or not hasattr(amount, "__float__") or not isfinite(amount) or amount < 0:
            raise UsageError(f"{what}: {name}={amount!r} must be a finite number, not below 0")
