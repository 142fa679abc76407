"""A journal that lives as long as its process."""

from __future__ import annotations

import pytest

from leftoff.errors import JournalClosed
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.memory import MemoryStore, tally
from leftoff.journal.store import values_of


def test_a_memory_journal_that_was_closed_owns_nothing() -> None:
    """It promises nothing for later, and refuses later use all the same."""
    store = MemoryStore()
    store.own("r")
    store.close()
    with pytest.raises(JournalClosed) as refused:
        store.own("r")
    assert str(refused.value) == "memory: was closed; open it again"


def test_each_owner_says_who_it_is_behind_the_runs_header() -> None:
    """The first writes the run's header; each has the next number, and the durability that was asked for."""
    store = MemoryStore()
    store.own("other", "other.py")
    owners = [store.own("r", program) for program in ("first.py", "second.py")]
    assert [owner.epoch for owner in owners] == [1, 2]
    entries = list(store.entries("r"))
    assert [(e.seq, e.kind, e.key, e.epoch) for e in entries] == [
        (3, "created", "", 1),
        (4, "owner", "", 1),
        (5, "owner", "", 2),
    ]
    assert entries[0].value["program"] == "first.py"
    assert [entry.value["durability"] for entry in entries[1:]] == ["process", "process"]
    assert store.latest("r", "owner") == store.newest("r") == entries[-1]
    assert store.latest("r", "cursor") is None
    assert store.newest("nobody") is None
    assert [entry.seq for entry in store.entries()] == [1, 2, 3, 4, 5]
    assert store.runs() == ["other", "r"]
    assert store.torn() == 0
    assert not owners[0].pending()


def test_marks_values_and_numbers_follow_the_entries() -> None:
    """A conclusion has the place of its entry, negative where it is dead; what was taken back has none."""
    store = MemoryStore()
    owner = store.own("r")
    marks = owner.commit(
        [Draft("started", "a"), Draft("done", "a", "[1]"), Draft("dead", "b", "2"), Draft("done", "c")]
    )
    assert marks == [4, -5, 6]
    assert owner.marks(["a", "b", "c", "never"]) == [4, -5, 6, 0]
    assert owner.mark("never") == 0
    assert values_of(store, "r", ["never", "b", "a", "c"]) == [None, 2, [1], None]
    assert store.counts("r") == (2, 1)
    assert (list(store.keys("r", "done")), list(store.keys("r", "dead"))) == (["a", "c"], ["b"])
    owner.commit([Draft("forgotten", "a"), Draft("retried", "b"), Draft("retried", "never")])
    assert owner.marks(["a", "b", "c"]) == [0, 0, 6]
    assert store.counts("r") == (1, 0)
    owner.commit([Draft("failed", "b", '{"tries":{"errors":2}}'), Draft("done", "a")])
    assert store.open_items("r") == {"b": Tries(2)}
    assert list(store.keys("r", "done")) == ["c", "a"]
    assert [entry.seq for entry in store.entries(after=8)] == [9, 10, 11]


@pytest.mark.parametrize(
    ("marks", "bits", "counted"),
    [
        ([], b"", (0, 0)),
        ([1, -2, 3, -4, 5], b"\xff", (3, 2)),
        ([1], b"\x02", (1, 0)),
        ([-1], b"\x02", (0, 1)),
        ([1, 7], b"\x81", (1, 0)),
        ([8, -9, 15, -16], b"\x00\x03", (1, 1)),
        ([8, -8, 9, 100], b"\xff", (0, 0)),
        ([16, -31, 32], b"\x00\x00\x01\x80", (1, 1)),
    ],
)
def test_conclusions_are_counted_whose_bit_is_set(marks: list[int], bits: bytes, counted: tuple[int, int]) -> None:
    """Bit n of byte n // 8 belongs to place n; what lies behind the last byte was not met."""
    assert tally(marks, bits) == counted


def test_what_an_owner_left_in_hand_is_a_suspect_for_the_next() -> None:
    """It counts as one crash, once, as in every other store; what only failed has its errors, and no crash."""
    store = MemoryStore()
    store.own("r").commit(
        [Draft("started", "begun"), Draft("started", "failed"), Draft("failed", "failed", '{"tries":{"errors":2}}')]
    )
    for _ in range(2):
        assert store.own("r").open_items == {"begun": Tries(crashes=1), "failed": Tries(errors=2)}
