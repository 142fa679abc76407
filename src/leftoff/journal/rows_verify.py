"""Check all rows of a journal without writing: each by itself, the chain of each run, its head and its numbers.

1. A row tells the sum of the run's entry before it, so one damaged row hides nothing: the next is checked by itself.
2. A page is checked by calls into C alone; only a page with something wrong in it is looked at row by row.
3. What cannot even be read is read one by one, so that it costs itself alone.
"""

# ruff: noqa: S608  # only constants are joined into SQL; keys and values are parameters
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final
from zlib import crc32

from leftoff.errors import JournalDamaged
from leftoff.journal.entry import CONCLUSIONS
from leftoff.journal.rows import Rows, RunRow, entry_sum, value_sum_of
from leftoff.journal.store import Damage

_LONG: Final = 1 << 16  # characters; a longer value is read by itself, so that a page stays small
_COLUMNS: Final = (
    f"seq, run, epoch, at, kind, key, CASE WHEN length(value) <= {_LONG} THEN value END, value_sum, prev, sum"
)
_ODD: Final = (TypeError, ValueError, OverflowError, AttributeError)  # what a damaged column's type raises


def check_journal(rows: Rows, *, by_run: bool) -> Iterator[Damage]:
    """Yield every damaged row of a journal; ``by_run``: read run by run, where the database keeps the rows so."""
    check = Check(rows)
    yield from check.run_rows()
    clauses = [(f"run = {run} AND ", ()) for run in check.heads] if by_run else [("", ())]
    for clause, _ in clauses:
        for page in check.pages(clause):
            yield from check.page(page)
        yield from check.unread()
    yield from check.ends()


class Check:
    """Follow the chain of every run through the pages of a journal."""

    def __init__(self, rows: Rows) -> None:
        """Know nothing yet."""
        self._rows = rows
        self.heads: dict[Any, RunRow | None] = {}  # None: the run's row is not what was written
        self.names: dict[Any, str] = {}
        self.chain: dict[Any, tuple[int | None, int]] = {}  # the sum and seq of each run's newest entry so far
        self._hurt: set[Any] = set()  # runs whose next entry may stand behind a damaged one
        self._kinds: Counter[tuple[Any, str]] = Counter()
        self._unread: list[Damage] = []
        self.unreadable: list[int] = []
        self.sound = True

    def run_rows(self) -> Iterator[Damage]:
        """Read the rows of the runs; yield those that are damaged."""
        with self._rows.translated():
            found = self._rows.fetch(
                "SELECT run, name, epoch, seq, sum, mark, done, dead, superseded, row_sum FROM"
                f" {self._rows.dialect.runs} ORDER BY run",
                (),
            )
        for *fields, row_sum in found:
            head = RunRow(*fields)
            self.names[head.run] = str(head.name)
            self.chain[head.run] = (self._rows.salt, 0)
            fits = head.row_sum(self._rows.salt) == row_sum
            self.heads[head.run] = head if fits else None
            if not fits:
                self.sound = False
                yield Damage(
                    f"run {head.name}",
                    "its row is not what was written",
                    f"the name of run {head.run}, and how far its entries go; each entry is checked by itself",
                    "its entries, unless another place names one",
                )

    def pages(self, clause: str) -> Iterator[list[tuple[Any, ...]]]:
        """Iterate pages of rows; rows that cannot be read are left to `unread`."""
        dialect = self._rows.dialect
        sql = f"SELECT {_COLUMNS} FROM {dialect.entries}{dialect.by_seq} WHERE {clause}seq > ? ORDER BY seq LIMIT ?"
        next_seq = f"SELECT min(seq) FROM {dialect.entries}{dialect.by_seq} WHERE {clause}seq > ?"
        after, limit = -(1 << 62), dialect.page
        while True:
            try:
                with self._rows.translated():
                    page = self._rows.fetch(sql, (after, limit))
            except JournalDamaged as error:
                if limit > 1:
                    limit = 1
                    continue
                with self._rows.translated():
                    following = self._rows.fetch(next_seq, (after,))[0][0]
                if following is None or following <= after:
                    raise  # not one row is in the way, but the table
                after = following
                self.unreadable.append(after)
                self._unread.append(_cannot_be_read(after, error))
                self._hurt |= set(self.heads)
                continue
            if not page:
                return
            yield page
            if page[-1][0] <= after:
                raise self._rows.damaged(f"the entries behind seq {after} are not in order")
            after = page[-1][0]
            limit = min(limit * 2, dialect.page)

    def unread(self) -> Iterator[Damage]:
        """Yield the rows that could not be read."""
        found, self._unread = self._unread, []
        self.sound &= not found
        yield from found

    def page(self, page: Sequence[tuple[Any, ...]]) -> Iterator[Damage]:
        """Check one page, whole; row by row if something is wrong."""
        _, runs, _, _, kinds, _, values, value_sums, prevs, sums = zip(*page, strict=True)
        try:
            found = [
                crc32(f"{seq}|{run}|{epoch}|{at}|{kind}|{value_sum}|{key}".encode(), prev)
                for seq, run, epoch, at, kind, key, _, value_sum, prev, _ in page
            ]
            fits = tuple(found) == sums and self._values_fit(values, value_sums)
        except _ODD:
            fits = False
        run, last = runs[0], page[-1]
        one_chain = runs.count(run) == len(runs) and prevs[1:] == sums[:-1] and self._stands_at(run, prevs[0])
        if one_chain:
            for kind in CONCLUSIONS:
                self._kinds[run, kind] += kinds.count(kind)
        else:
            self._kinds.update(zip(runs, kinds, strict=True))
        if fits and one_chain:
            self.chain[run] = (last[-1], last[0])
            self._hurt.discard(run)
        else:
            yield from self._row_by_row(page, fits=fits)

    def _stands_at(self, run: Any, prev: int) -> bool:
        return self.chain.get(run, (None, 0))[0] == prev

    def _values_fit(self, values: Sequence[Any], value_sums: Sequence[Any]) -> bool:
        if values.count(None) == len(values) == value_sums.count(0):
            return True
        return [value_sum_of(value) for value in values] == list(value_sums)

    def _row_by_row(self, page: Sequence[tuple[Any, ...]], *, fits: bool) -> Iterator[Damage]:
        for row in page:
            run, entry, value = row[1], fits or entry_fits(row), True
            if not fits and entry:
                value = self.value_fits(row)
            stands = self._stands_at(run, row[-2])
            if not (entry and value and stands):
                yield from self._damage(row, entry=entry, value=value)
            if entry or stands:  # else nothing tells that it is of this run
                self.chain[run] = (row[-1], row[0])
                self._hurt.discard(run)

    def value_fits(self, row: tuple[Any, ...]) -> bool:
        """Check a row's value; one that was too long for its page is read now."""
        seq, run, *_, value, value_sum, _, _ = row
        if value is None and value_sum:
            sql = f"SELECT value FROM {self._rows.dialect.entries} WHERE run = ? AND seq = ?"
            try:
                with self._rows.translated():
                    value = self._rows.fetch(sql, (run, seq))[0][0]
            except JournalDamaged:
                return False
        try:
            return bool(value_sum_of(value) == value_sum)
        except _ODD:
            return False

    def _damage(self, row: tuple[Any, ...], *, entry: bool, value: bool) -> Iterator[Damage]:
        """Say what is wrong with one row."""
        seq, run, epoch, at, kind, key, _, value_sum, _, _ = row
        name = self.names.get(run, run)
        if not (entry and value):
            self.sound = False
            self._hurt |= set(self.heads)
            if entry:
                what = f"the value of entry {seq} ({kind} {key!r}) is not what was written"
                affects = f"the value of {key!r} in run {name}"
            else:
                text = f"{seq}|{run}|{epoch}|{at}|{kind}|{value_sum}|{key}"
                what = f"the entry {text!r} (seq|run|epoch|at|kind|value_sum|key) is not what was written"
                affects = f"entry {seq}; it reads as {kind} {key!r} of run {name}, which is not to be believed"
            yield Damage(f"entry {seq}", what, affects, "every other entry that is not named here")
        elif run not in self.chain:
            self.sound = False
            what = f"it belongs to run {run}, which does not exist"
            yield Damage(f"entry {seq}", what, f"the run that entry {seq} and others are of")
        elif run not in self._hurt:
            self.sound = False
            before = self.chain[run][1]
            gone = f"at least one entry of run {name} between {before} and {seq} is gone: what it said cannot be told"
            yield Damage(f"entry {seq}", f"it does not continue the chain of its run {name}", gone, "each entry itself")

    def ends(self) -> Iterator[Damage]:
        """Yield what is wrong where the chains end: heads and numbers."""
        for run, head in self.heads.items():
            if head is None:
                continue
            total, seq = self.chain[run]
            if (total, seq) != (head.sum, head.seq):
                if run not in self._hurt:
                    what = f"its chain ends at entry {seq}, its head is entry {head.seq}"
                    gone = f"the entries of run {head.name} behind {seq}: what they said cannot be told"
                    yield Damage(f"run {head.name}", what, gone, f"its entries up to {seq}")
            elif self.sound:
                yield from self._numbers(head)

    def _numbers(self, head: RunRow) -> Iterator[Damage]:
        if head.superseded:
            counted = self._rows.key_count(head, "done"), self._rows.key_count(head, "dead")
        else:
            counted = self._kinds[head.run, "done"], self._kinds[head.run, "dead"]
        if counted != (head.done, head.dead):
            what = (
                f"its row tells of {head.done} done and {head.dead} dead, its entries of {counted[0]} and {counted[1]}"
            )
            yield Damage(f"run {head.name}", what, "what is counted, and no entry", "each entry")


def _cannot_be_read(seq: int, error: JournalDamaged) -> Damage:
    return Damage(f"entry {seq}", f"it cannot be read ({error})", f"entry {seq}, of any run; which key cannot be told")


def entry_fits(row: tuple[Any, ...]) -> bool:
    """Return whether a row's sum is that of its columns, the value apart."""
    seq, run, epoch, at, kind, key, _, value_sum, prev, total = row
    try:
        return bool(entry_sum(prev, seq, run, epoch, at, kind, value_sum, key) == total)
    except _ODD:
        return False
