"""What the owners of a run have in common where entries are rows: numbers, the chain of sums, and the open items."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, Protocol

from leftoff.journal.entry import CONCLUSIONS, SUPERSEDING, Draft, Tries, fold_open, open_mark
from leftoff.journal.memory import tally
from leftoff.journal.rows import Rows, RunRow, entry_sum, value_sum_of
from leftoff.journal.store import Durability, Mark

FATE_KINDS: Final = (*CONCLUSIONS, *SUPERSEDING)
_FATES: Final = frozenset(FATE_KINDS)
_FIRST_TRY: Final = Tries(begun=True)


class Place(Protocol):
    """Be what an owner needs of its store."""

    durability: Durability

    def rows(self) -> Rows:
        """Return what reads the journal through a connection that the user's factories do not reach."""

    def let_go(self, owner: ChainOwner) -> None:
        """Take in that an owner has given its run up."""


class ChainOwner:
    """Know where a run stands, and what its next entries are."""

    run: str
    epoch: int
    open_items: dict[str, Tries]
    _place: Place
    _row: RunRow
    _since_mark: int

    def marks(self, keys: Sequence[str]) -> list[Mark]:
        """Return the fates of many keys, in order."""
        return self._place.rows().marks(self._row.run, keys)

    def concluded(self) -> Iterator[tuple[str, Mark]]:
        """Iterate what is done or dead, in journal order; nothing where a conclusion was superseded."""
        return iter(()) if self._row.superseded else chain.from_iterable(self._place.rows().conclusions(self._row))

    def tally(self, met: Iterable[int] | bytearray) -> tuple[int, int]:
        """Return how many of the conclusions whose bit is set are done, and dead.

        Where as many were met as the indexes hold, those are all, and nothing has to be read.
        """
        bits = bytes(met)
        if not any(bits):
            return 0, 0
        if not self._row.superseded:
            done, dead = self._place.rows().count_conclusions(self._row)
            if done + dead == int.from_bytes(bits, "little").bit_count():
                return done, dead
        return tally(self._place.rows().marks_of(self._row), bits)

    def _lines(self, drafts: Sequence[Draft], seqs: Iterable[int]) -> tuple[list[tuple[Any, ...]], list[Mark], int]:
        """Build the rows, each one's sum continued from the one before.

        Return them, the marks and the newest `open`.
        """
        total, run, epoch = self._row.sum, self._row.run, self.epoch
        at = int(time.time() * 1000)
        lines: list[tuple[Any, ...]] = []
        marks: list[Mark] = []
        mark = self._row.mark
        for seq, (kind, key, value) in zip(seqs, drafts, strict=True):
            value_sum = 0 if value is None else value_sum_of(value)
            prev = total
            total = entry_sum(prev, seq, run, epoch, at, kind, value_sum, key)
            lines.append((seq, run, epoch, at, kind, key, value, value_sum, prev, total))
            if kind == "done":
                marks.append(seq)
            elif kind == "dead":
                marks.append(-seq)
            elif kind == "open":
                mark = seq
        return lines, marks, mark

    def _account(self, drafts: Sequence[Draft]) -> tuple[int, int, int]:
        """Return by how much the run's numbers of done, dead and superseded conclusions change.

        Only for a key whose item is not open must the journal be asked: it may be concluded already.
        """
        open_items = self.open_items
        changes = [(kind, key) for kind, key, _ in drafts if kind in _FATES]
        if len(changes) == 1 and changes[0][0] == "done" and changes[0][1] in open_items:
            return 1, 0, 0
        asked = [key for kind, key in changes if kind in SUPERSEDING or key not in open_items]
        fates: dict[str, Mark] = dict(zip(asked, self.marks(asked), strict=True)) if asked else {}
        done = dead = superseded = 0
        for kind, key in changes:
            before = fates.get(key, 0)
            after = {"done": 1, "dead": -1}.get(kind, 0)
            done += (after > 0) - (before > 0)
            dead += (after < 0) - (before < 0)
            superseded += before != 0 or after == 0
            fates[key] = after
        return done, dead, superseded

    def _fold(self, drafts: Sequence[Draft]) -> None:
        for kind, key, value in drafts:
            self._since_mark += 1
            if kind == "started" and value is None:
                self.open_items[key] = _FIRST_TRY
            elif kind == "done":
                self.open_items.pop(key, None)
            elif kind == "open":
                self._since_mark = 0
            else:
                fold_open(self.open_items, kind, key, json.loads(value) if value else None)

    def _mark_after(self, drafts: Sequence[Draft]) -> Draft:
        """Draft the `open` entry that holds once ``drafts`` are committed with it."""
        table = dict(self.open_items)
        for kind, key, value in drafts:
            fold_open(table, kind, key, json.loads(value) if value else None)
        return open_mark(table)
