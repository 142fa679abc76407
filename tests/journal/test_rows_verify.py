"""One damaged row of a database hides no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_verify import examine_sqlite
from leftoff.journal.store import Damage
from tests.journal.sqlite_files import forge_run, make, raw


def test_each_damaged_row_is_its_own_place(tmp_path: Path) -> None:
    """A key, a value and a row that is gone are three places, each with what it affects."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(
        path,
        "UPDATE leftoff_entry SET key = 'k9' WHERE kind = 'done' AND key = 'k1'",
        "UPDATE leftoff_entry SET value = '{\"n\":7}' WHERE kind = 'done' AND key = 'k3'",
        "DELETE FROM leftoff_entry WHERE kind = 'done' AND key = 'k7'",
    )
    ((at, value_sum),) = raw(path, "SELECT at, value_sum FROM leftoff_entry WHERE seq = 6")
    assert examine_sqlite(path, "a.db").damage == [
        Damage(
            "entry 6",
            f"the entry '6|1|1|{at}|done|{value_sum}|k9' (seq|run|epoch|at|kind|value_sum|key) is not what was written",
            "entry 6; it reads as done 'k9' of run loop, which is not to be believed",
            "every other entry that is not named here",
        ),
        Damage(
            "entry 10",
            "the value of entry 10 (done 'k3') is not what was written",
            "the value of 'k3' in run loop",
            "every other entry that is not named here",
        ),
        gap(17, 19),
    ]


def gap(before: int, seq: int) -> Damage:
    gone = f"at least one entry of run loop between {before} and {seq} is gone: what it said cannot be told"
    return Damage(f"entry {seq}", "it does not continue the chain of its run loop", gone, "each entry itself")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM leftoff_entry WHERE kind = 'done' AND key = 'k3'", gap(9, 11)),
        ("DELETE FROM leftoff_entry WHERE seq = 1", gap(0, 2)),
    ],
)
def test_an_entry_that_is_gone_is_one_place(tmp_path: Path, statement: str, expected: Damage) -> None:
    """What the run's numbers then tell too much is not a place of its own."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(path, statement)
    assert examine_sqlite(path, "a.db").damage == [expected]


def test_a_conclusion_that_reads_as_another_is_one_place(tmp_path: Path) -> None:
    """The run's numbers cannot agree with it, and are not told of besides."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(path, "UPDATE leftoff_entry SET kind = 'dead' WHERE seq = 10")
    assert [(one.where, one.affects) for one in examine_sqlite(path, "a.db").damage] == [
        ("entry 10", "entry 10; it reads as dead 'k3' of run loop, which is not to be believed")
    ]


def test_the_rows_of_runs_are_checked_each_by_itself(tmp_path: Path) -> None:
    """A run's row that was changed leaves its entries to be checked, and to be told of by the run's name."""
    path = tmp_path / "a.db"
    make(path, 2)
    raw(
        path,
        "UPDATE leftoff_run SET mark = mark + 1 WHERE name = 'loop'",
        "UPDATE leftoff_entry SET key = 'k9' WHERE seq = 6",
    )
    row, entry = examine_sqlite(path, "a.db").damage
    assert row == Damage(
        "run loop",
        "its row is not what was written",
        "the name of run 1, and how far its entries go; each entry is checked by itself",
        "its entries, unless another place names one",
    )
    assert entry.affects == "entry 6; it reads as done 'k9' of run loop, which is not to be believed"


def test_a_run_whose_newest_entries_are_gone_is_told_where_it_ends(tmp_path: Path) -> None:
    """The row of the run says how far its entries went; that of an older run, which was changed, does not hide it."""
    path = tmp_path / "a.db"
    make(path, 2)
    store = SqliteStore(path)
    store.own("other").commit([Draft("done", "x"), Draft("done", "y")])
    store.close()
    raw(
        path,
        "UPDATE leftoff_run SET mark = mark + 1 WHERE name = 'loop'",
        "DELETE FROM leftoff_entry WHERE seq = 12",
    )
    assert examine_sqlite(path, "a.db").damage[1:] == [
        Damage(
            "run other",
            "its chain ends at entry 11, its head is entry 12",
            "the entries of run other behind 11: what they said cannot be told",
            "its entries up to 11",
        )
    ]


@pytest.mark.parametrize("superseded", [False, True])
def test_numbers_that_the_entries_do_not_tell_are_a_place(tmp_path: Path, superseded: bool) -> None:
    """They are counted again, the newest of a key's conclusions where some were superseded, when all else is sound."""
    path = tmp_path / "a.db"
    make(path, 10)
    if superseded:
        store = SqliteStore(path)
        store.own("loop").commit([Draft("retried", "k0"), Draft("done", "k0"), Draft("forgotten", "k1")])
        store.close()
    assert examine_sqlite(path, "a.db").damage == []
    ((done, dead),) = raw(path, "SELECT done, dead FROM leftoff_run")
    assert (done, dead) == ((7, 2) if superseded else (7, 3))
    forge_run(path, done=99)
    assert examine_sqlite(path, "a.db").damage == [
        Damage(
            "run loop",
            f"its row tells of 99 done and {dead} dead, its entries of 7 and {dead}",
            "what is counted, and no entry",
            "each entry",
        )
    ]


@pytest.mark.parametrize(
    ("statement", "places"),
    [
        ("UPDATE leftoff_run SET mark = mark + 1 WHERE name = 'other'", ["run other"]),
        ("DELETE FROM leftoff_run WHERE name = 'other'", ["entry 9"]),
        ("DELETE FROM leftoff_entry WHERE seq = 5", ["entry 6"]),
        ("UPDATE leftoff_entry SET run = 7 WHERE seq = 5", ["entry 5"]),
        ("UPDATE leftoff_entry SET run = 2 WHERE seq = 5", ["entry 5"]),
        ("UPDATE leftoff_entry SET run = 2, seq = 99 WHERE seq = 5", ["entry 6", "entry 99"]),
        ("UPDATE leftoff_entry SET run = 1 WHERE seq = 9", ["entry 9"]),
        ("UPDATE leftoff_entry SET key = CAST(x'ff' AS TEXT) WHERE seq = 5", ["entry 5"]),
    ],
)
def test_numbers_are_held_against_no_run_where_something_else_is_wrong(
    tmp_path: Path, statement: str, places: list[str]
) -> None:
    """Neither they nor a chain without a row that reads as another run's is one more place."""
    path = tmp_path / "a.db"
    make(path, 2)
    store = SqliteStore(path)
    store.own("other").commit([Draft("done", "x")])
    store.close()
    forge_run(path, done=99)
    raw(path, statement)
    assert [one.where for one in examine_sqlite(path, "a.db").damage] == places


def test_a_row_whose_number_no_journal_gives_is_checked(tmp_path: Path) -> None:
    """A number below one hides no row."""
    path = tmp_path / "a.db"
    make(path, 3)
    raw(path, "UPDATE leftoff_entry SET seq = -5 WHERE seq = 5")
    assert [one.where for one in examine_sqlite(path, "a.db").damage] == ["entry -5", "entry 6"]


def test_rows_that_cannot_be_read_close_to_each_other_are_named_each(tmp_path: Path) -> None:
    """Wherever the second stands in the short page that is tried behind the first."""
    for apart in (1, 2, 3, 4, 5):
        path = tmp_path / f"{apart}.db"
        make(path, 10)
        raw(path, f"UPDATE leftoff_entry SET key = CAST(x'ff' AS TEXT) WHERE seq IN (7, {7 + apart})")
        assert sorted(one.where for one in examine_sqlite(path, "a.db").damage) == sorted(
            ["entry 7", f"entry {7 + apart}"]
        )


def test_a_value_that_came_or_went_in_a_page_without_any_is_found(tmp_path: Path) -> None:
    """Pages of two runs by turns, and of one that has no values, are sound; one value more or less there is damage."""
    path = tmp_path / "a.db"
    store = SqliteStore(path)
    owner, other = store.own("loop"), store.own("other")
    for number in range(40):
        owner.commit([Draft("done", f"a{number}", "1")])
        other.commit([Draft("dead" if number % 2 else "done", f"b{number}")])
    owner.commit([Draft("done", f"c{number}") for number in range(700)])
    owner.commit([Draft("done", "valued", "1"), *(Draft("done", f"d{number}") for number in range(700))])
    assert list(store.verify()) == []
    store.close()
    assert examine_sqlite(path, "a.db").damage == []
    raw(path, "UPDATE leftoff_entry SET value = '1' WHERE key = 'c500'")
    raw(path, "UPDATE leftoff_entry SET value = NULL WHERE key = 'valued'")
    assert [one.affects for one in examine_sqlite(path, "a.db").damage] == [
        "the value of 'c500' in run loop",
        "the value of 'valued' in run loop",
    ]


def test_a_row_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    """Bytes that are no text are one place; the rows around them are checked."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(path, "UPDATE leftoff_entry SET key = CAST(x'ff' AS TEXT) WHERE kind = 'started' AND key = 'k2'")
    raw(path, "UPDATE leftoff_entry SET key = 'k99' WHERE kind = 'started' AND key = 'k8'")
    found = examine_sqlite(path, "a.db").damage
    assert sorted(one.where for one in found) == ["entry 19", "entry 7"]


def test_a_long_value_is_checked_by_itself(tmp_path: Path) -> None:
    """A value too long for a page of rows is read alone: sound it is no place, changed it is one."""
    path = tmp_path / "a.db"
    make(path, 3)
    store = SqliteStore(path)
    store.own("loop").commit([Draft("done", "long", '"' + "x" * 200_000 + '"')])
    store.close()
    assert examine_sqlite(path, "a.db").damage == []
    raw(path, "UPDATE leftoff_entry SET value = replace(value, 'xxx', 'xyx') WHERE key = 'long'")
    assert [one.affects for one in examine_sqlite(path, "a.db").damage] == ["the value of 'long' in run loop"]


def test_a_long_value_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    """A long value of bytes that are no text is the one place; its entry, and those around it, are believed."""
    path = tmp_path / "a.db"
    make(path, 3)
    raw(path, "UPDATE leftoff_entry SET value = printf('%070000d', 1) || CAST(x'ff' AS TEXT) WHERE key = 'since'")
    assert [(one.where, one.affects) for one in examine_sqlite(path, "a.db").damage] == [
        ("entry 9", "the value of 'since' in run loop")
    ]


def test_columns_of_another_type_are_damage_and_no_crash(tmp_path: Path) -> None:
    """SQLite keeps any type in any column: a value turned to bytes, and a sum turned to text, are a place each."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(
        path,
        "UPDATE leftoff_entry SET value = CAST(value AS BLOB) WHERE kind = 'done' AND key = 'k3'",
        "UPDATE leftoff_entry SET prev = 'text' WHERE kind = 'done' AND key = 'k7'",
    )
    assert [(one.where, one.affects) for one in examine_sqlite(path, "a.db").damage] == [
        ("entry 10", "the value of 'k3' in run loop"),
        ("entry 18", "entry 18; it reads as done 'k7' of run loop, which is not to be believed"),
    ]


def test_a_damaged_entry_of_a_run_that_is_not_there_makes_none_up(tmp_path: Path) -> None:
    """That a run's row is gone is told at the first of its entries that can be believed."""
    path = tmp_path / "a.db"
    make(path, 2)
    store = SqliteStore(path)
    store.own("other").commit([Draft("done", "x")])
    store.close()
    raw(
        path,
        "DELETE FROM leftoff_run WHERE name = 'other'",
        "UPDATE leftoff_entry SET key = 'new' WHERE run = 2 AND kind = 'created'",
    )
    assert [(one.where, one.affects) for one in examine_sqlite(path, "a.db").damage] == [
        ("entry 9", "entry 9; it reads as created 'new' of run 2, which is not to be believed"),
        ("entry 10", "the run that entry 10 and others are of"),
    ]


def test_the_newest_entry_that_cannot_be_read_is_one_place(tmp_path: Path) -> None:
    """That the chain of its run ends before its head says nothing more."""
    path = tmp_path / "a.db"
    make(path, 10)
    raw(path, "UPDATE leftoff_entry SET key = CAST(x'ff' AS TEXT) WHERE kind = 'started' AND key = 'in hand'")
    (found,) = examine_sqlite(path, "a.db").damage
    assert (found.where, found.affects) == ("entry 24", "entry 24, of any run; which key cannot be told")


def put_last_row_at(path: Path, seq: int, key: bytes) -> None:
    """Change the seq and the key of a small journal's newest entry, where SQLite's page of the entries has them."""
    root = raw(path, "SELECT rootpage FROM sqlite_master WHERE name = 'leftoff_entry'")[0][0]
    data = bytearray(path.read_bytes())
    page = (root - 1) * int.from_bytes(data[16:18], "big")
    cells = int.from_bytes(data[page + 3 : page + 5], "big")
    pointer = page + 8 + 2 * (cells - 1)
    cell = page + int.from_bytes(data[pointer : pointer + 2], "big")
    assert data[page] == 13, "a page of rows alone"
    assert data[cell] < 128, "a length of one byte"
    data[cell + 1] = seq
    at = data.index(b"in hand", cell)
    data[at : at + 7] = key
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("key", "said"),
    [(b"in hand", "the entries behind seq 3 are not in order"), (b"\xffn hand", "Could not decode to UTF-8")],
)
def test_rows_that_are_not_in_order_end_the_check(tmp_path: Path, key: bytes, said: str) -> None:
    """Where a row stands behind one with a later number the rest cannot be read, and the check says so and ends."""
    path = tmp_path / "a.db"
    make(path, 3)
    put_last_row_at(path, 3, key)
    *_, end, pages = examine_sqlite(path, "a.db").damage
    assert (end.where, end.affects) == ("a.db", "what stands behind that place, of any run: it cannot be read")
    assert said in end.what
    assert pages.affects == "SQLite's own pages, so any table in the file, yours too"
