"""What is in hand right now: the item a loop is working on in this thread."""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from typing import NamedTuple

from leftoff.errors import UsageError


class Current(NamedTuple):
    """Be the item in hand: its key, the number of this try from 1, and its token, the same at every try.

    The token is for services that take an idempotency key: an item that was cut off half-way asks again with the same.
    """

    key: str
    attempt: int
    token: str


class Hand:
    """Hold what one loop has in hand in one thread or task; ``key`` is None between items."""

    __slots__ = ("attempt", "key", "outer", "run_id")

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.key: str | None = None
        self.attempt = 1
        self.outer: Hand | None = None


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


def current() -> Current:
    """Return the key, attempt and token of the item in hand in this thread or task.

    Raises UsageError where no loop of leftoff has an item in hand.
    """
    hand = _hand.get()
    while hand is not None and hand.key is None:
        hand = hand.outer
    if hand is None or hand.key is None:
        raise UsageError(
            "no item is in hand here; call leftoff.current() inside the body of a loop or the function of a map"
        )
    token = hashlib.sha256(f"{hand.run_id}\0{hand.key}".encode()).hexdigest()[:32]
    return Current(hand.key, hand.attempt, token)
