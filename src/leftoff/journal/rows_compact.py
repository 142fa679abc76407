"""Leave out the rows that no longer matter, inside one transaction of whoever owns every run.

1. The journal was checked whole in this transaction: a new chain must not vouch for a damaged row.
2. Rows that are kept change in ``prev`` and ``sum`` alone: the chain of each run is continued over what was left out.
3. Each run then ends with `compacted`, which names what was replaced, and with `open`; no epoch rises.
"""

# ruff: noqa: S608  # only constants are joined into SQL; keys and values are parameters
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from leftoff.journal.entry import CONCLUSIONS, NAMED, Draft, open_mark
from leftoff.journal.rows import IS_FATE, IS_NAMED, Rows, RunRow, entry_sum, value_sum_of
from leftoff.journal.store import compacted

Many = Callable[[str, Sequence[tuple[Any, ...]]], object]
"""Run one statement for each of many parameters."""

_NAMED: Final = "({})".format(", ".join(f"'{kind}'" for kind in NAMED))
_KEPT: Final = "({})".format(", ".join(f"'{kind}'" for kind in (*NAMED, *CONCLUSIONS)))


def compact_rows(rows: Rows, journal_id: str, many: Many, take_numbers: Callable[[int], list[int]]) -> tuple[int, int]:
    """Compact every run of the journal; return how many entries there were and are."""
    entries = rows.dialect.entries
    before = rows.length()
    heads = rows.runs()
    waiting = {head.run: rows.open_items(head)[0] for head in heads}
    many(f"DELETE FROM {entries} WHERE run = ? AND seq = ?", list(_superseded(rows, heads)))
    many(f"DELETE FROM {entries} WHERE run = ? AND kind NOT IN {_KEPT}", [(head.run,) for head in heads])
    for head in heads:
        total = rechain(rows, head, many)
        drafts = [compacted(journal_id, head.seq, head.sum), open_mark(waiting[head.run])]
        write_drafts(rows, head._replace(superseded=0), total, drafts, take_numbers(2), many)
    return before, rows.length()


def _superseded(rows: Rows, heads: Sequence[RunRow]) -> Iterator[tuple[int, int]]:
    """Yield (run, seq) of the conclusions and named entries that a newer one of their key supersedes."""
    dialect = rows.dialect
    for head in heads:
        if head.superseded:
            yield from rows.fetch(
                f"SELECT e.run, e.seq FROM {dialect.entries} AS e{dialect.by_fate} WHERE e.run = ? AND"
                f" {IS_FATE.format('e.')} AND EXISTS (SELECT 1 FROM {dialect.entries} AS later{dialect.by_fate} WHERE"
                f" later.run = e.run AND {dialect.same_key} AND {IS_FATE.format('later.')} AND later.seq > e.seq)",
                (head.run,),
            )
        newest: dict[tuple[str, str], int] = {}
        sql = (
            f"SELECT kind, key, seq FROM {dialect.entries}{dialect.by_named}"
            f" WHERE run = ? AND {IS_NAMED} AND kind IN {_NAMED} ORDER BY seq"
        )
        for kind, key, seq in rows.fetch(sql, (head.run,)):
            if (kind, key) in newest:
                yield head.run, newest[kind, key]
            newest[kind, key] = seq


def rechain(rows: Rows, head: RunRow, many: Many) -> int:
    """Continue the chain of a run over what was left out; return the sum of its last entry."""
    dialect = rows.dialect
    sql = (
        f"SELECT seq, epoch, at, kind, key, value_sum, prev FROM {dialect.entries}{dialect.by_seq}"
        f" WHERE run = ? AND seq > ? ORDER BY seq LIMIT {dialect.page}"
    )
    total, after = rows.salt, 0
    while page := rows.fetch(sql, (head.run, after)):
        changes = []
        for seq, epoch, at, kind, key, value_sum, prev in page:
            before, total = total, entry_sum(total, seq, head.run, epoch, at, kind, value_sum, key)
            if before != prev:
                changes.append((before, total, head.run, seq))
        many(f"UPDATE {dialect.entries} SET prev = ?, sum = ? WHERE run = ? AND seq = ?", changes)
        after = page[-1][0]
    return total


def write_drafts(
    rows: Rows, head: RunRow, total: int, drafts: Sequence[Draft], numbers: Sequence[int], many: Many
) -> None:
    """Append entries, an `open` last, to a run whose newest sum is ``total``, and move its head there."""
    at, lines = int(time.time() * 1000), []
    for seq, (kind, key, value) in zip(numbers, drafts, strict=True):
        value_sum, prev = value_sum_of(value), total
        total = entry_sum(prev, seq, head.run, head.epoch, at, kind, value_sum, key)
        lines.append((seq, head.run, head.epoch, at, kind, key, value, value_sum, prev, total))
    many(f"INSERT INTO {rows.dialect.entries} VALUES ({', '.join('?' * 10)})", lines)
    moved = head._replace(seq=numbers[-1], sum=total, mark=numbers[-1])
    many(
        f"UPDATE {rows.dialect.runs} SET name = ?, epoch = ?, seq = ?, sum = ?, mark = ?, done = ?, dead = ?,"
        " superseded = ?, row_sum = ? WHERE run = ?",
        [(*moved[1:], moved.row_sum(rows.salt), head.run)],
    )
