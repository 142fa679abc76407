"""Loops over a share of the keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import UsageError
from leftoff.journal.shard import Shard
from tests.contract.stores import everywhere

ITEMS = [f"item-{number}" for number in range(60)]
MINE = [item for item in ITEMS if Shard(1, 3).has(item)]


def in_each(run: Any, items: Any, **options: Any) -> list[str]:
    return list(run.each(items, progress=False, **options))


def in_batches(run: Any, items: Any, **options: Any) -> list[str]:
    return [item for batch in run.batches(items, 7, progress=False, **options) for item in batch]


def in_map(run: Any, items: Any, **options: Any) -> list[str]:
    return [outcome.item for outcome in run.map(str.upper, items, progress=False, **options)]


def in_threads(run: Any, items: Any, **options: Any) -> list[str]:
    return [outcome.item for outcome in run.map(str.upper, items, workers=3, progress=False, **options)]


every_loop = pytest.mark.parametrize("loop", [in_each, in_batches, in_map, in_threads])


@every_loop
@pytest.mark.parametrize("make", [list, iter])
@everywhere
def test_a_loop_works_on_its_share_alone_and_accounts_for_it(place: str, loop: Any, make: Any) -> None:
    """The keys of other shares are neither worked on nor missing, whether the input is a list or comes by and by."""
    with leftoff.open(place, durability="process") as journal:
        run = journal.run("r")
        assert loop(run, make(ITEMS), shard=(1, 3)) == MINE
        report = run.report()
        assert (report.done, report.dead) == (len(MINE), 0)
        assert run.report_of_pass is not None
        assert (run.report_of_pass.total, run.report_of_pass.missing) == (len(MINE), 0)


@every_loop
def test_the_shares_of_several_processes_make_the_whole(tmp_path: Path, loop: Any) -> None:
    """Three handles at once work on all items, each once; whoever comes later with another division finds them done."""
    place = f"{tmp_path}/progress/"
    journals = [leftoff.open(place, durability="process") for _ in range(3)]
    shares = [loop(journal.run("r"), ITEMS, shard=(number, 3)) for number, journal in enumerate(journals)]
    assert sorted(item for share in shares for item in share) == sorted(ITEMS)
    for journal in journals:
        journal.close()
    for number in range(2):
        with leftoff.open(place) as journal:
            again = loop(journal.run("r"), [*ITEMS, "new"], shard=(number, 2))
            fresh = ["new"] if Shard(number, 2).has("new") else []
            assert [item for item in again if loop in (in_each, in_batches) or item == "new"] == fresh


def test_an_input_that_comes_asynchronously_is_shared_out_too(tmp_path: Path) -> None:
    """Of what arrives, a loop takes its share."""

    async def arriving() -> AsyncIterator[str]:
        for item in ITEMS:
            yield item

    async def main() -> list[str]:
        with leftoff.open(f"{tmp_path}/progress/") as journal:
            return [item async for item in journal.run("r").aeach(arriving(), shard=(1, 3), progress=False)]

    assert asyncio.run(main()) == MINE


def test_the_key_decides_where_an_item_belongs(tmp_path: Path) -> None:
    """With ``key=`` it is the key that is shared out, not the item."""
    rows = [{"id": item, "text": "x"} for item in ITEMS]
    with leftoff.open(f"{tmp_path}/progress/") as journal:
        done = [row["id"] for row in journal.run("r").each(rows, key="id", shard=(1, 3), progress=False)]
    assert done == MINE


@pytest.mark.parametrize("shard", [(3, 3), (-1, 2), (0, 0), (1.0, 2), (True, 2), "ab", 5, (1, 2, 3), [0]])
def test_a_shard_that_is_none_is_refused_before_anything_is_made(tmp_path: Path, shard: Any) -> None:
    """A wrong shard is told with what to write, and nothing is created."""
    with leftoff.open(f"{tmp_path}/progress/") as journal, pytest.raises(UsageError, match=r"write \(number, total\)"):
        next(iter(journal.run("r").each(ITEMS, shard=shard)))
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_on_the_same_keys_is_refused(tmp_path: Path) -> None:
    """Without a shard of its own a second loop is told whose keys they are, and how to share them."""
    with leftoff.open(f"{tmp_path}/progress/") as one, leftoff.open(f"{tmp_path}/progress/") as two:
        for _ in one.run("r").each(ITEMS, progress=False):
            with pytest.raises(leftoff.JournalBusy, match=r"shard=\(0, 2\) here"):
                next(iter(two.run("r").each(ITEMS, progress=False)))
            break


def test_one_handle_may_take_another_share(tmp_path: Path) -> None:
    """A process that has finished its share can go on with the next one."""
    with leftoff.open(f"{tmp_path}/progress/") as journal:
        run = journal.run("r")
        done = [list(run.each(ITEMS, shard=(number, 3), progress=False)) for number in range(3)]
        assert sorted(item for share in done for item in share) == sorted(ITEMS)
        assert sorted(run.keys("done")) == sorted(ITEMS)
        report = run.report()
        assert (report.total, report.done, report.missing) == (len(ITEMS), len(ITEMS), 0)


def test_the_total_is_not_known_before_all_shares_were_walked(tmp_path: Path) -> None:
    """As long as a shard has not walked its input, what is missing of the whole is unknown, and said so."""
    with leftoff.open(f"{tmp_path}/progress/") as journal:
        run = journal.run("r")
        for number in range(3):
            assert run.report().missing is None
            list(run.each(ITEMS, shard=(number, 3), progress=False))
        assert run.report().missing == 0
