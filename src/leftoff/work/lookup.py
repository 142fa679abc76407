"""Is this item done? Asked with the expected key first, so that a resumed input costs no index."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
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


def lookup_pages(owner: Owner) -> Callable[[list[str]], list[Mark]]:
    """Return what finds the fates of a page of keys, quickest in the order in which the pages met them.

    It is `lookup` for who has many keys at hand: what comes in another order costs a question a page.
    """
    expected = owner.concluded()

    def marks(keys: list[str]) -> list[Mark]:
        nonlocal expected
        read = list(islice(expected, len(keys)))
        rest = keys[len(read) :]
        if [key for key, _ in read] == keys[: len(read)]:
            return [mark for _, mark in read] + (owner.marks(rest) if rest else [])
        expected = iter(())
        return owner.marks(keys)

    return marks
