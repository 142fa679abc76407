"""The plain loop, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import leftoff
from leftoff.errors import DuplicateKey, RunInUse, UsageError
from tests.contract.stores import Lives, everywhere, on_files


@everywhere
@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 10, [3]), (3, 1, [1, 1, 1]), (0, 3, [])]
)
def test_items_come_in_lists_of_the_size_asked_for(place, count, size, sizes):
    """Every item is in one list, in order; the last list may be shorter; all are done at the end."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        lists = list(run.batches(range(count), size))
        assert [len(batch) for batch in lists] == sizes
        assert [item for batch in lists for item in batch] == list(range(count))
        assert (run.report().total, run.report().missing) == (count, 0)
        assert list(run.batches(range(count + 1), size)) == [[count]]


@everywhere
def test_a_batch_is_one_start_and_one_done(place):
    """While a batch is in hand all its items are begun and none is done; then all are."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        for batch in run.batches(range(6), 3):
            assert set(run.keys("done")).isdisjoint(map(str, batch))
            assert {key for key, tries in run.own().open_items.items() if tries.begun} == set(map(str, batch))
        assert len(list(run.keys("done"))) == 6


@everywhere
def test_a_batch_is_done_before_a_slow_input_is_asked_again(place):
    """What was worked on does not wait for the next batch to be gathered."""
    with Lives(place).open() as journal:
        run = journal.run("r")

        def source() -> Iterator[int]:
            for n in range(6):
                assert len(list(run.keys("done"))) == n // 2 * 2
                yield n

        for _ in run.batches(source(), 2):
            pass


@everywhere
def test_a_batch_that_raised_is_retried_item_by_item(place):
    """The batch's error counts for each of its items; next time each comes alone and harms no neighbour."""
    lives = Lives(place)
    with pytest.raises(ZeroDivisionError), lives.open() as journal:
        for batch in journal.run("r").batches(range(6), 3):
            if 4 in batch:
                1 / 0  # noqa: B018
    with pytest.raises(ZeroDivisionError), lives.open() as journal:
        for batch in journal.run("r").batches(range(8), 3, attempts=2):
            assert batch in ([3], [4])
            if 4 in batch:
                1 / 0  # noqa: B018
    with lives.open() as journal:
        run = journal.run("r")
        assert list(run.batches(range(8), 3, attempts=2)) == [[5], [6, 7]]
        assert [letter.key for letter in run.dead()] == ["4"]
        assert run.report().missing == 0


@everywhere
def test_a_batch_left_by_break_is_given_back_whole(place):
    """None of it is done, none has an error, and it comes as a batch again."""
    lives = Lives(place)
    with lives.open() as journal:
        for batch in journal.run("r").batches(range(6), 3):
            if 3 in batch:
                break
    with lives.open() as journal:
        assert journal.run("r").report().open == 0
        assert list(journal.run("r").batches(range(6), 3)) == [[3, 4, 5]]


@everywhere
def test_repeats_do_not_fill_a_batch(place):
    """[a, a, b] is one batch of two and one duplicate, fresh and resumed; under key= an error at the second."""
    lives = Lives(place)
    for expected in ([["a", "b"]], []):
        with lives.open() as journal:
            run = journal.run("r")
            assert list(run.batches(["a", "a", "b"], 2)) == expected
            assert (run.report().total, run.report().duplicates) == (2, 1)
        with lives.open() as journal, pytest.raises(DuplicateKey):
            list(journal.run("keyed").batches(["a", "a", "b"], 2, key=str))


@everywhere
def test_a_newer_loop_takes_the_run_over(place):
    """An older loop of batches on the same run is told when it asks again."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        older = run.batches(range(4), 2)
        assert next(older) == [0, 1]
        list(run.each(range(2)))
        with pytest.raises(RunInUse):
            next(older)


@everywhere
def test_current_is_the_batchs_first_item(place):
    """A batch has the key and token of its first item."""
    with Lives(place).open() as journal:
        for batch in journal.run("r").batches(range(4), 2):
            assert leftoff.current().key == str(batch[0])


def test_a_batch_holds_at_least_one():
    """A size below one is refused by name."""
    with pytest.raises(UsageError, match=r"size=0"), leftoff.open("run.jsonl") as journal:
        list(journal.run("r").batches(["a"], 0))


@everywhere
def test_an_item_that_failed_before_comes_alone_behind_those_gathered(place):
    """Nobody shares its batch, nobody waits for it, and one that has no try left is passed over."""
    lives = Lives(place)
    for item in ("c", "f"):
        with pytest.raises(ZeroDivisionError), lives.open() as journal:
            for _ in journal.run("r").each([item]):
                1 / 0  # noqa: B018
    with lives.open() as journal:
        assert list(journal.run("r").batches("abcd", 3, attempts=2)) == [["a", "b"], ["c"], ["d"]]
        run = journal.run("r")
        assert list(run.batches("fg", 3, attempts=1)) == [["g"]]
        assert [letter.key for letter in run.dead()] == ["f"]


@on_files
def test_batches_need_no_open_journal(place):
    """`leftoff.batches` opens the place, and gives it back."""
    assert list(leftoff.batches("abc", place, size=2, run="r", durability="process")) == [["a", "b"], ["c"]]
    assert list(leftoff.batches("abcd", place, size=2, run="r", durability="process")) == [["d"]]


@everywhere
def test_a_page_is_a_batch_and_done_before_the_next_is_asked_for(place):
    """What an API gives page by page is durable page by page; a page with nothing new in it is passed over."""
    lives = Lives(place)
    with lives.open() as journal:
        run = journal.run("r")
        list(run.batches(["b", "e", "f"], 3))

        def source() -> Iterator[list[str]]:
            for page, before in ((["a", "b", "c"], 0), (["e", "f"], 2), ([], 2), (["d"], 2)):
                assert len(list(run.keys("done"))) == 3 + before
                yield page

        assert list(run.pages(source())) == [["a", "c"], ["d"]]
        assert (run.report().total, run.report().missing, run.report().resumed) == (6, 0, 3)


@everywhere
def test_a_page_that_raised_is_retried_item_by_item_within_its_page(place):
    """Its items come alone, those behind them in a batch of their own, and still before the next page."""
    lives = Lives(place)
    with pytest.raises(ZeroDivisionError), lives.open() as journal:
        for _ in journal.run("r").pages([[0, 1]]):
            raise ZeroDivisionError
    with lives.open() as journal:
        asked: list[int] = []

        def source() -> Iterator[range]:
            for first in (0, 3):
                asked.append(first)
                yield range(first, first + 3)

        met = [(batch, len(asked)) for batch in journal.run("r").pages(source())]
        assert met == [([0], 1), ([1], 1), ([2], 1), ([3, 4, 5], 2)]


@everywhere
def test_a_key_that_is_forgotten_between_pages_comes_again(place):
    """Whoever finds in a page that an item changed forgets its mark, and the item is worked on once more."""
    with Lives(place).open() as journal:
        run = journal.run("r")
        list(run.batches("abcd", 4))

        def source() -> Iterator[str]:
            yield "a"
            run.forget(["b"])
            yield "b"
            run.forget(["d"])
            yield "cd"

        assert list(run.pages(source())) == [["b"], ["d"]]


def test_pages_are_shared_by_nobody():
    """A shard is of items, and a page comes whole."""
    with leftoff.open("memory:") as journal, pytest.raises(UsageError, match="pages come whole"):
        list(journal.run("r").pages([["a"]], shard=(0, 2)))
