"""Is this item done? Asked with the expected key first, so that a resumed input costs no index."""

from __future__ import annotations

from leftoff.journal.store import Mark, Owner


class Lookup:
    """Find the fates of keys in the order in which an input brings them.

    What is done is read in journal order. Where the next item is just the next of these, that is the answer, and
    exact: the texts were compared. Otherwise the store's index is asked. The input is never read ahead for it.
    """

    def __init__(self, owner: Owner) -> None:
        """Begin at the oldest conclusion."""
        self._expected = owner.concluded()
        self._next = next(self._expected, None)
        self._ask = owner.mark
        if self._next is None:
            self.mark = owner.mark  # type: ignore[method-assign]  # nothing to expect: one call less an item

    def mark(self, key: str) -> Mark:
        """Return the fate of a key."""
        expected = self._next
        if expected is not None and expected[0] == key:
            self._next = next(self._expected, None)
            return expected[1]
        return self._ask(key)
