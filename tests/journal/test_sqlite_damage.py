"""P8 on SQLite: what is read is what was written, or an error that says where not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from leftoff.errors import JournalDamaged, LeftoffError
from leftoff.journal.entry import Draft
from leftoff.journal.sqlite import SqliteStore
from tests.journal.sqlite_files import copy, make, make_killed, observe, raw

FRAME = 24 + 4096


def _flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)


def _harm(source: Path, bits: list[int], side: str, target: Path) -> tuple[list[int], list[int]]:
    """Flip each of the bits in a copy; return those that were refused and those that changed an answer."""
    expected, data = observe_copy(source, target), Path(f"{source}{side}").read_bytes()
    refused, wrong = [], []
    for bit in bits:
        copy(source, target)
        Path(f"{target}{side}").write_bytes(_flip(data, bit))
        try:
            if observe(target) != expected:
                wrong.append(bit)
        except LeftoffError:
            refused.append(bit)
    return refused, wrong


def observe_copy(source: Path, target: Path) -> object:
    copy(source, target)
    return observe(target)


def _check_flips(folder: Path, bits: list[int]) -> None:
    source, target = folder / "a.db", folder / "b.db"
    refused, wrong = _harm(source, bits, "", target)
    assert wrong == []
    assert refused


def test_a_flipped_bit_is_refused_or_changes_no_answer(tmp_path: Path) -> None:
    """Of 2,000 bits of a small closed journal, each flip is refused or leaves every answer as it was."""
    make(tmp_path / "a.db")
    seed = random.randrange(1 << 32)
    print("seed", seed)
    size = (tmp_path / "a.db").stat().st_size * 8
    _check_flips(tmp_path, random.Random(seed).sample(range(size), 2000))


@pytest.mark.prove
def test_every_flipped_bit_is_refused_or_changes_no_answer(tmp_path: Path) -> None:
    """Each single bit of a small closed journal may flip: it is refused or leaves every answer as it was."""
    make(tmp_path / "a.db")
    _check_flips(tmp_path, list(range((tmp_path / "a.db").stat().st_size * 8)))


def _log_flips(folder: Path, bits: list[int]) -> None:
    """Flip bits of a killed owner's log: all but its last transaction must be found."""
    source, target = folder / "a.db", folder / "b.db"
    seen = observe_copy(source, target)
    refused, wrong = _harm(source, bits, "-wal", target)
    data = Path(f"{source}-wal").read_bytes()
    starts = range(32, len(data), FRAME)
    commits = [start for start in starts if data[start + 4 : start + 8] != b"\0\0\0\0"]
    last = commits[-2] + FRAME  # where the last transaction begins
    assert [bit for bit in wrong if bit >> 3 < last] == []
    assert refused
    assert seen


def test_a_flipped_bit_in_the_log_of_a_killed_owner_is_found(tmp_path: Path) -> None:
    """SQLite would drop every commit from a flipped bit on.

    All of 300 flips before the last transaction are refused or harmless.
    """
    make_killed(tmp_path / "a.db")
    seed = random.randrange(1 << 32)
    print("seed", seed)
    size = Path(f"{tmp_path}/a.db-wal").stat().st_size * 8
    heads = [8 * (start + byte) + bit for start in range(32, size // 8, FRAME) for byte in range(24) for bit in (0, 5)]
    chosen = random.Random(seed)
    _log_flips(tmp_path, [*range(0, 256, 3), *chosen.sample(heads, 150), *chosen.sample(range(size), 150)])


@pytest.mark.parametrize("bulk", [10, 2_000_000])
def test_a_schema_that_vanished_is_no_empty_database(tmp_path: Path, bulk: int) -> None:
    """A file whose first page forgot its tables is not taken for one that has none yet, and filled anew."""
    path = tmp_path / "a.db"
    make(path)
    raw(path, "CREATE TABLE bulk (body)", f"INSERT INTO bulk VALUES (zeroblob({bulk}))")
    data = path.read_bytes()
    path.write_bytes(data[:103] + b"\0\0" + data[105:])
    assert raw(path, "SELECT count(*) FROM sqlite_master") == [(0,)]
    with pytest.raises(JournalDamaged, match=r"a\.db: the schema is empty, and \d+ pages belong to no table"):
        SqliteStore(path)


def _make_broken(path: Path, bulk: int) -> None:
    """Make a database of the user's, without a journal, whose last page is destroyed."""
    raw(path, "CREATE TABLE paper (body)", f"INSERT INTO paper VALUES (zeroblob({bulk}))")
    path.write_bytes(path.read_bytes()[:-4096] + b"\xff" * 4096)


def test_a_small_database_with_a_broken_page_does_not_become_a_journal(tmp_path: Path) -> None:
    """A database of the user's is checked before a first run is kept in it, and left as it is."""
    path = tmp_path / "a.db"
    _make_broken(path, 100_000)
    before = path.read_bytes()
    with pytest.raises(JournalDamaged, match=r"(?s)a\.db: .*invalid page number \S+; nothing was changed\. Restore"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_large_database_is_not_read_whole_before_it_becomes_a_journal(tmp_path: Path) -> None:
    """Of a file too large for it the pages of the user's tables are not looked at; `verify` names the broken one."""
    path = tmp_path / "a.db"
    _make_broken(path, 2_000_000)
    store = SqliteStore(path)
    assert store.runs() == []
    assert ["invalid page number" in damage.what for damage in store.verify()] == [True]
    store.own("loop").commit([Draft("done", "k")])
    assert list(store.keys("loop", "done")) == ["k"]
    store.close()


def test_a_database_that_was_emptied_beside_its_log_is_no_new_one(tmp_path: Path) -> None:
    """An empty file is an interrupted creation only without a log beside it: SQLite would delete that."""
    make_killed(tmp_path / "a.db")
    (tmp_path / "a.db").write_bytes(b"")
    with pytest.raises(JournalDamaged, match=r"the file is empty, and a\.db-wal is not"):
        SqliteStore(tmp_path / "a.db")
    assert (tmp_path / "a.db-wal").stat().st_size > 0


@pytest.mark.parametrize("size", [1, 512, FRAME])
def test_bytes_put_into_a_log_or_taken_out_of_it_are_found(tmp_path: Path, size: int) -> None:
    """Frames that are no longer where SQLite looks for them are not taken for the rest of an earlier log."""
    make_killed(tmp_path / "a.db")
    log = Path(f"{tmp_path}/a.db-wal")
    data = log.read_bytes()
    at = 32 + 3 * FRAME + 1000
    for damaged in (data[:at] + data[at + size :], data[:at] + bytes(size) + data[at:]):
        copy(tmp_path / "a.db", tmp_path / "b.db")
        Path(f"{tmp_path}/b.db-wal").write_bytes(damaged)
        with pytest.raises(JournalDamaged, match=r"b\.db-wal is not what was written"):
            SqliteStore(tmp_path / "b.db")


@pytest.mark.parametrize("size", [32, 512, 4096])
def test_a_log_that_lost_its_header_is_found(tmp_path: Path, size: int) -> None:
    """SQLite takes a log without its header for an empty one; what it held would be gone without a word."""
    make_killed(tmp_path / "a.db")
    log = Path(f"{tmp_path}/a.db-wal")
    log.write_bytes(random.Random(size).randbytes(size) + log.read_bytes()[size:])
    with pytest.raises(JournalDamaged, match=r"a\.db-wal is not what was written"):
        SqliteStore(tmp_path / "a.db")


def test_a_commit_frame_that_is_gone_does_not_make_one_transaction_of_two(tmp_path: Path) -> None:
    """Two transactions that look like one, as the end of the first was destroyed, are not taken for a torn last one."""
    make_killed(tmp_path / "a.db")
    log = Path(f"{tmp_path}/a.db-wal")
    data = log.read_bytes()
    commits = [at for at in range(32, len(data), FRAME) if data[at + 4 : at + 8] != b"\0\0\0\0"]
    log.write_bytes(data[: commits[-2]] + bytes(512) + data[commits[-2] + 512 :])
    with pytest.raises(JournalDamaged, match=r"a\.db-wal is not what was written"):
        SqliteStore(tmp_path / "a.db")


def test_a_torn_last_transaction_is_left_out_quietly(tmp_path: Path) -> None:
    """A log that ends inside its last transaction loses that transaction alone, and work goes on behind it."""
    make_killed(tmp_path / "a.db")
    log = Path(f"{tmp_path}/a.db-wal")
    for cut in (1, FRAME - 1, FRAME, FRAME + 1):
        copy(tmp_path / "a.db", tmp_path / "b.db")
        Path(f"{tmp_path}/b.db-wal").write_bytes(log.read_bytes()[:-cut])
        store = SqliteStore(tmp_path / "b.db")
        assert list(store.keys("loop", "done")) == ["k0", "k1", "k2"]
        owner = store.own("loop")
        owner.commit([Draft("done", "k3")])
        assert list(store.keys("loop", "done")) == ["k0", "k1", "k2", "k3"]
        store.close()


def test_a_hole_in_the_last_transaction_is_emptied_before_new_frames_cover_it(tmp_path: Path) -> None:
    """A tail that SQLite left out does not lie behind the next owner's frames, where it looked like lost commits."""
    make_killed(tmp_path / "a.db")
    log = Path(f"{tmp_path}/a.db-wal")
    data = log.read_bytes()
    starts = list(range(32, len(data), FRAME))
    commits = [start for start in starts if data[start + 4 : start + 8] != b"\0\0\0\0"]
    hole = commits[-2] + FRAME + 24
    log.write_bytes(data[:hole] + bytes(512) + data[hole + 512 :])
    store = SqliteStore(tmp_path / "a.db")
    store.own("loop")
    assert log.stat().st_size <= 32 + 8 * FRAME
    store.close()
    assert list(SqliteStore(tmp_path / "a.db").verify()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM leftoff_entry WHERE seq = (SELECT max(seq) FROM leftoff_entry)",
        "DELETE FROM leftoff_entry WHERE seq = 5",
        "UPDATE leftoff_entry SET key = 'k9' WHERE kind = 'done' AND key = 'k1'",
        "UPDATE leftoff_entry SET value = '{\"n\":7}' WHERE key = 'k1' AND kind = 'done'",
        "UPDATE leftoff_entry SET kind = 'done' WHERE kind = 'dead'",
        "UPDATE leftoff_entry SET at = at + 1 WHERE seq = 3",
        "UPDATE leftoff_run SET done = done + 1",
        "UPDATE leftoff_run SET name = 'other'",
        "UPDATE leftoff_journal SET id = '0000000000000000'",
        "DELETE FROM leftoff_journal",
        "DROP INDEX leftoff_fate",
        "DROP TABLE leftoff_run",
        "CREATE TRIGGER spy AFTER INSERT ON leftoff_entry BEGIN DELETE FROM paper; END",
        "CREATE INDEX more ON leftoff_entry (at)",
    ],
)
def test_a_change_by_somebody_else_is_refused(tmp_path: Path, statement: str) -> None:
    """Whatever another program changes in our tables or their schema, a small journal is refused when it is opened."""
    make(tmp_path / "a.db")
    raw(tmp_path / "a.db", statement)
    with pytest.raises(JournalDamaged, match=r"a\.db"):
        SqliteStore(tmp_path / "a.db")


def test_rows_of_another_journal_are_refused(tmp_path: Path) -> None:
    """All entries and runs of another journal, brought in whole, do not fit: each chain begins at its journal's id."""
    make(tmp_path / "a.db")
    make(tmp_path / "b.db")
    moved = [f"DELETE FROM leftoff_{t}; INSERT INTO leftoff_{t} SELECT * FROM b.leftoff_{t}" for t in ("entry", "run")]
    raw(tmp_path / "a.db", f"ATTACH '{tmp_path}/b.db' AS b", *"; ".join(moved).split("; "))
    with pytest.raises(JournalDamaged, match=r"a\.db"):
        SqliteStore(tmp_path / "a.db")


def test_a_large_journal_is_checked_where_it_is_read(tmp_path: Path) -> None:
    """In a file too large to be checked whole, a changed row is refused when met, and `verify` names it unasked."""
    make(tmp_path / "a.db")
    raw(tmp_path / "a.db", "CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")
    store = SqliteStore(tmp_path / "a.db")
    owner = store.own("loop")
    raw(tmp_path / "a.db", "UPDATE leftoff_entry SET key = 'k99' WHERE kind = 'done' AND key = 'k1'")
    assert owner.mark("k2") > 0
    with pytest.raises(JournalDamaged, match="k99"):
        owner.mark("k99")
    with pytest.raises(JournalDamaged, match="k99"):
        owner.marks(["k2", "k99"])
    with pytest.raises(JournalDamaged, match="k99"):
        list(owner.concluded())
    with pytest.raises(JournalDamaged, match="k99"):
        list(store.entries())
    assert ["k99" in damage.what for damage in store.verify()] == [True]
    store.close()


def test_a_large_journal_whose_tail_vanished_is_refused(tmp_path: Path) -> None:
    """The newest entry is compared with the run's head at every opening, however large the file is."""
    make(tmp_path / "a.db")
    raw(tmp_path / "a.db", "CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")
    raw(tmp_path / "a.db", "DELETE FROM leftoff_entry WHERE seq > 10")
    with pytest.raises(JournalDamaged, match="newest entry"):
        SqliteStore(tmp_path / "a.db")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leftoff_run SET done = done + 1 WHERE name = 'loop'",
        "DELETE FROM leftoff_entry WHERE seq = (SELECT seq FROM leftoff_run WHERE name = 'loop')",
    ],
)
def test_a_large_journal_whose_older_run_was_changed_is_refused(tmp_path: Path, statement: str) -> None:
    """Each run's numbers and newest entry are checked at every opening, not those of the newest run alone."""
    make(tmp_path / "a.db")
    raw(tmp_path / "a.db", "CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")
    store = SqliteStore(tmp_path / "a.db")
    store.own("newer").commit([Draft("done", "k")])
    store.close()
    raw(tmp_path / "a.db", statement)
    with pytest.raises(JournalDamaged, match="loop"):
        SqliteStore(tmp_path / "a.db")


def test_verify_finds_a_row_that_an_index_leaves_out(tmp_path: Path) -> None:
    """An index without one of its rows would make a done item be done again; `verify` finds it."""
    path = tmp_path / "a.db"
    make(path)
    raw(path, "CREATE TABLE bulk (body)", "INSERT INTO bulk VALUES (zeroblob(2000000))")
    sql = raw(path, "SELECT sql FROM sqlite_master WHERE name = 'leftoff_fate'")[0][0]
    narrow = sql.replace("kind = 'done' OR ", "")
    rewrite = "UPDATE sqlite_master SET sql = '{}' WHERE name = 'leftoff_fate'"
    raw(path, "PRAGMA writable_schema=ON", rewrite.format(narrow.replace("'", "''")))
    raw(path, "REINDEX leftoff_fate", "PRAGMA writable_schema=ON", rewrite.format(sql.replace("'", "''")))
    assert list(SqliteStore(path).verify())
