"""A share of a run's keys, so that several writers can divide the work without asking each other."""

from __future__ import annotations

from hashlib import blake2b
from math import gcd
from typing import Any, Final, NamedTuple

from leftoff.errors import UsageError


class Shard(NamedTuple):
    """Be share ``number``, from 0 on, of ``total`` shares of all keys.

    A key belongs to the share ``int.from_bytes(BLAKE2b-64 of its UTF-8, "big") % total``: where it stands in the input
    does not matter.
    """

    number: int
    total: int

    def has(self, key: str) -> bool:
        """Return whether a key belongs to this share."""
        digest = blake2b(key.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.total == self.number

    def overlaps(self, other: Shard) -> bool:
        """Return whether some key can belong to both shares (Chinese remainder theorem)."""
        return (self.number - other.number) % gcd(self.total, other.total) == 0

    def __str__(self) -> str:
        return f"shard {self.number} of {self.total}" if self.total > 1 else "all keys"


WHOLE: Final = Shard(0, 1)


def make_shard(given: Any) -> Shard:
    """Return the share that a user or an entry names by ``(number, total)``, all keys for None. Raise UsageError."""
    if given is None:
        return WHOLE
    try:
        number, total = given
    except (TypeError, ValueError):
        number = total = None
    if type(number) is not int or type(total) is not int or not 0 <= number < total:
        raise UsageError(f"shard={given!r}: write (number, total) with 0 <= number < total: (0, 4) to (3, 4)")
    return Shard(number, total)
