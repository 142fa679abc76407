"""Is this item done? Asked with the expected key first, so that a resumed input costs no index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from leftoff.journal.store import Mark, Owner

_NOTHING: Final = ("", 0)  # behind the newest conclusion: no key is empty


def lookup(owner: Owner) -> Callable[[str], Mark]:
    """Return what finds the fates of keys, quickest in the order in which they met them.

    What is done is read in journal order. Where the next item is just the next of these, that is the answer, and
    exact: the texts were compared. Otherwise the store's index is asked. The input is never read ahead for it.
    """
    ask = owner.mark
    expected = owner.concluded()
    next_key, next_mark = next(expected, _NOTHING)
    if not next_key:
        return ask  # nothing to expect: one call less an item

    def mark(key: str) -> Mark:
        nonlocal next_key, next_mark
        if key != next_key:
            return ask(key)
        found = next_mark
        next_key, next_mark = next(expected, _NOTHING)
        return found

    return mark
