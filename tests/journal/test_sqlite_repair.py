"""Which damage of an SQLite journal is repaired, what of it is believed, and what is refused with nothing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal.entry import Draft, Tries
from leftoff.journal.rows import entry_sum
from leftoff.journal.sqlite import SqliteStore
from leftoff.journal.sqlite_repair import plan_sqlite, repair_sqlite
from leftoff.journal.sqlite_verify import examine_sqlite
from leftoff.journal.store import Repair
from tests.journal.sqlite_files import make, make_killed, raw

FRAME = 24 + 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make(tmp_path / "a.db")
    return tmp_path / "a.db"


def plan(path: Path, *, plausible: bool = False) -> Any:
    return plan_sqlite(path, "a.db", plausible=plausible)


def repair(path: Path, *, plausible: bool = False) -> Any:
    return repair_sqlite(path, "a.db", plausible=plausible)


def everything(path: Path) -> list[Any]:
    tables = [name for (name,) in raw(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [(name, raw(path, f"SELECT * FROM {name}")) for name in tables]


def refused(path: Path, match: str) -> None:
    """See that neither a plan nor a repair is made, and that nothing is changed."""
    before = everything(path)
    for call in (plan, repair):
        with pytest.raises(JournalDamaged, match=match):
            call(path)
    assert everything(path) == before


def fates(path: Path) -> tuple[list[str], list[str]]:
    """Return what is done and what is dead in a journal that is sound again."""
    assert examine_sqlite(path, "a.db").damage == []
    store = SqliteStore(path)
    found = list(store.keys("loop", "done")), list(store.keys("loop", "dead"))
    store.close()
    return found


DONE, DEAD = ["k1", "k2", "k3", "k5"], ["k0", "k4"]


# -- what is not repaired --------------------------------------------------------------------------------------------


def test_damaged_pages_are_left_to_sqlites_own_recovery(path, tmp_path):
    """Rows of the user's may be gone with them: nothing is changed or kept aside, and the way out is told."""
    raw(path, "CREATE TABLE theirs (body)", "INSERT INTO theirs VALUES (zeroblob(100000))")
    path.write_bytes(path.read_bytes()[:-4096] + b"\xff" * 4096)
    before = path.read_bytes()
    for call in (plan, repair):
        with pytest.raises(JournalDamaged, match="SQLite's own pages are damaged") as caught:
            call(path)
    told = str(caught.value)
    command = f"sqlite3 {path} .recover | sqlite3 new.db"
    assert "invalid page number" in told
    assert "your tables perhaps too; nothing was changed" in told
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.damaged-*"))
    assert told.endswith(f"Make a new file with: {command}, look through your tables in it, and repair that")


@pytest.mark.parametrize(
    ("statement", "odd"),
    [
        ("CREATE TRIGGER spy AFTER INSERT ON leftoff_entry BEGIN DELETE FROM paper; END", "spy"),
        ("ALTER TABLE leftoff_journal RENAME COLUMN created TO made", "leftoff_journal"),
        ("DROP TABLE leftoff_journal", "leftoff_journal"),
    ],
)
def test_a_schema_that_is_not_ours_is_not_repaired(path, statement, odd):
    """A repair would run code of somebody else's, or guess what a table was; what is odd is named."""
    raw(path, statement)
    refused(path, rf"a\.db: the schema is not what leftoff created \({odd}\), and that is not repaired; nothing was")


def test_what_is_damaged_after_a_repair_as_well_is_not_repaired(path):
    """An entry that somebody put before the first one, with a sum that fits, has no place in the chain."""
    salt = crc32(raw(path, "SELECT id FROM leftoff_journal")[0][0].encode())
    forged = entry_sum(salt, -1, 1, 1, 0, "step", 0, "forged")
    raw(path, f"INSERT INTO leftoff_entry VALUES (-1, 1, 1, 0, 'step', 'forged', NULL, 0, {salt}, {forged})")
    before = everything(path)
    with pytest.raises(JournalDamaged, match=r"^entry 1: it does not .*, also after the repair; nothing was changed$"):
        repair(path)
    assert everything(path) == before


# -- the header ------------------------------------------------------------------------------------------------------


def journal_id(path: Path) -> str:
    (found,) = raw(path, "SELECT id FROM leftoff_journal")
    return str(found[0])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leftoff_journal SET created = 'once'",  # the first entry tells that the id is right
        "INSERT INTO leftoff_journal VALUES (1, 'behind the right one', '', 0)",
        "INSERT INTO leftoff_journal (rowid, format, id, created, sum) VALUES (0, 1, 'before the right one', '', 0)",
    ],
)
def test_a_header_that_something_else_proves_is_kept(path, statement):
    """The journal's id stays where a header's sum or the first entry fits it; all entries do, too."""
    before = journal_id(path)
    raw(path, statement)
    done = repair(path)
    assert (journal_id(path), done.undone, done.renewed) == (before, [], [])
    assert fates(path) == (DONE, DEAD)


def test_a_run_that_lost_its_first_entry_gets_a_new_one(path):
    """The header proves itself then, so the id stays; the tokens of the run's items are told to be new."""
    before = journal_id(path)
    raw(path, "DELETE FROM leftoff_entry WHERE seq = 1")
    assert repair(path).renewed == ["loop"]
    assert journal_id(path) == before
    assert fates(path) == (DONE, DEAD)


@pytest.mark.parametrize("statement", ["UPDATE leftoff_journal SET id = '0'", "DELETE FROM leftoff_journal"])
def test_an_id_that_is_lost_takes_the_names_of_the_runs_with_it(path, statement):
    """Every row's sum begins with the id, so the names are believed only when asked; no conclusion is lost."""
    old = journal_id(path)
    raw(path, statement)
    refused(path, r"a\.db: the row of run 1 is damaged, and its name reads as 'loop', .* repair with --plausible")
    planned = plan(path, plausible=True)
    assert repair(path, plausible=True) == planned._replace(aside="a.db.damaged-1")
    assert journal_id(path) not in (old, "0")
    assert len(journal_id(path)) == 16
    assert fates(path) == (DONE, DEAD)


# -- the runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["epoch", "seq", "sum", "done", "dead", "superseded"])
def test_a_runs_row_is_computed_anew_from_its_entries(path, column):
    """A number that changed is that of the entries again, and proves the name beside it."""
    told = raw(path, "SELECT name, done, dead FROM leftoff_run")
    raw(path, f"UPDATE leftoff_run SET {column} = {column} + 1")
    done = repair(path)
    assert [found.where for found in done.damage] == ["run loop"]
    assert (done.undone, done.renewed) == ([], [])
    assert raw(path, "SELECT name, done, dead FROM leftoff_run") == told
    assert fates(path) == (DONE, DEAD)


def test_a_runs_name_that_nothing_else_tells_is_believed_when_asked(path):
    """A run under a wrong name would be begun anew; so the name that reads there is shown, and waits for a yes."""
    raw(path, "UPDATE leftoff_run SET name = 'loot'")
    refused(
        path,
        r"a\.db: the row of run 1 is damaged, and its name reads as 'loot', which nothing else tells; to believe it"
        r" repair with --plausible\. Nothing was changed$",
    )
    repair(path, plausible=True)
    store = SqliteStore(path)
    assert (store.runs(), store.counts("loot")) == (["loot"], (4, 2))
    store.close()


# -- what cannot be told ---------------------------------------------------------------------------------------------


def test_a_row_that_cannot_be_read_costs_the_open_items_their_crash(path):
    """It may have told of any item, so what was in hand counts as given back; what had failed keeps its tries."""
    raw(path, "UPDATE leftoff_entry SET key = CAST(x'ff' AS TEXT) WHERE kind = 'started' AND key = 'k2'")
    done = repair(path)
    assert (done.kept, done.undone) == (15, [])
    store = SqliteStore(path)
    assert {key: (tries.errors, tries.begun) for key, tries in store.open_items("loop").items()} == {
        "in hand": (1, False)
    }
    store.close()
    assert fates(path) == (DONE, DEAD)


def test_commits_lost_with_the_log_are_done_again(tmp_path):
    """What SQLite leaves out of a damaged log stays in the original; what was in hand before it is no crash."""
    path = tmp_path / "a.db"
    make_killed(path)
    log = Path(f"{path}-wal")
    data = bytearray(log.read_bytes())
    commits = [at for at in range(32, len(data), FRAME) if data[at + 4 : at + 8] != b"\0\0\0\0"]
    data[commits[-3] + 100] ^= 1  # of k2's conclusion
    log.write_bytes(data)
    done = repair(path)
    assert Path(f"{path}.damaged-1-wal").read_bytes() == data
    assert [found.where.endswith("of a.db-wal") for found in done.damage] == [True]
    assert fates(path) == (["k0", "k1"], [])
    store = SqliteStore(path)
    assert store.open_items("loop") == {}
    store.close()


# -- what is told, and what is there afterwards ----------------------------------------------------------------------

NOTHING = Repair([], 0, 0, [], [], None)


def test_a_sound_journal_is_left_alone(path):
    """Neither a plan nor a repair finds anything to keep aside, to count or to change."""
    before = path.read_bytes()
    assert (plan(path), repair(path)) == (NOTHING, NOTHING)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.damaged-*"))


def two_runs(path: Path) -> None:
    """Let a second run be worked on behind the first, with an item in hand and one that failed."""
    store = SqliteStore(path)
    owner = store.own("second")
    owner.commit([Draft("started", "x"), Draft("done", "x", '"v"'), Draft("started", "y", '{"errors":2}')])
    owner.commit([Draft("forgotten", "x"), Draft("started", "z")])
    store.close()


def test_a_lost_conclusion_is_told_and_everything_else_is_kept(path):
    """The item that it was about is undone; every other entry stays as it is, and new ones follow all of them."""
    two_runs(path)
    before = {row[0]: row[1:8] for row in raw(path, "SELECT * FROM leftoff_entry")}
    header = raw(path, "SELECT format, id, created FROM leftoff_journal")
    raw(path, "UPDATE leftoff_entry SET value = '{\"n\":7}' WHERE kind = 'done' AND key = 'k1'")
    (lost,) = [seq for seq, row in before.items() if row[3:5] == ("done", "k1")]
    found = examine_sqlite(path, "a.db").damage
    done = repair(path)
    assert done.undone == [("loop", "k1")]
    assert done._replace(undone=[]) == Repair(found, len(before) - 1, 0, [], [], "a.db.damaged-1")
    assert raw(path, "SELECT format, id, created FROM leftoff_journal") == header
    after = {row[0]: row[1:8] for row in raw(path, "SELECT * FROM leftoff_entry")}
    del before[lost]
    assert {seq: after.pop(seq) for seq in before} == before
    newest = max(before)
    assert list(after) == list(range(newest + 1, newest + 7))
    assert [(row[0], row[1], row[3], row[4]) for row in after.values()] == [
        (1, 2, "owner", ""), (1, 2, "repaired", ""), (1, 2, "open", ""),
        (2, 2, "owner", ""), (2, 2, "repaired", ""), (2, 2, "open", ""),
    ]  # fmt: skip
    assert {row[5] for row in after.values() if row[3] == "repaired"} == {'{"aside":"a.db.damaged-1"}'}
    rows = "SELECT run, name, epoch, seq, mark, done, dead, superseded FROM leftoff_run ORDER BY run"
    assert raw(path, rows) == [
        (1, "loop", 2, newest + 3, newest + 3, 3, 2, 0), (2, "second", 2, newest + 6, newest + 6, 0, 0, 1)
    ]  # fmt: skip
    assert fates(path) == (["k2", "k3", "k5"], DEAD)
    assert plan(path) == NOTHING


def test_a_run_whose_chain_is_whole_loses_no_crash(path):
    """Where only a number in a run's row changed, what was in hand is still in hand, with its tries."""
    two_runs(path)
    raw(path, "UPDATE leftoff_run SET done = done + 1")
    assert repair(path).undone == []
    store = SqliteStore(path)
    assert store.open_items("loop") == {"in hand": Tries(1, 0, True)}
    assert store.open_items("second") == {"y": Tries(2, 0, True), "z": Tries(0, 0, True)}
    store.close()


@pytest.mark.parametrize("which", ["= 5", "= (SELECT max(seq) FROM leftoff_entry WHERE run = 1)"])
def test_an_entry_that_is_gone_costs_only_its_own_run(path, which):
    """Behind the gap what had been in hand there counts as given back; the other run goes on as it was."""
    two_runs(path)
    raw(path, f"DELETE FROM leftoff_entry WHERE seq {which}")
    done = repair(path)
    assert done.aside == "a.db.damaged-1"
    assert (done.undone, done.renewed) == ([], [])
    store = SqliteStore(path)
    assert store.open_items("second") == {"y": Tries(2, 0, True), "z": Tries(0, 0, True)}
    newest = [raw(path, f"SELECT max(seq) FROM leftoff_entry WHERE run = {run} AND kind = 'owner'") for run in (1, 2)]
    assert newest[0][0][0] < newest[1][0][0]
    store.close()


def test_a_first_entry_that_is_gone_counts_as_a_gap(path):
    """What had been in hand before the first entry that is left cannot be told; what follows it can."""
    raw(path, "DELETE FROM leftoff_entry WHERE seq <= 2")
    done = repair(path)
    assert (done.kept, done.renewed) == (14, ["loop"])
    store = SqliteStore(path)
    assert store.open_items("loop") == {"in hand": Tries(1, 0, True)}
    (header,) = [entry for entry in store.entries() if entry.kind == "created"]
    assert header.value["program"] is None
    store.close()


def test_numbers_that_were_given_once_are_not_given_again(path):
    """The head that a run's row tells of counts, though the entry itself is gone."""
    two_runs(path)
    head = raw(path, "SELECT max(seq) FROM leftoff_entry")[0][0]
    raw(path, f"DELETE FROM leftoff_entry WHERE seq > {head - 2}")
    repair(path)
    assert raw(path, f"SELECT min(seq) FROM leftoff_entry WHERE seq > {head - 2}") == [(head + 1,)]
    assert fates(path) == (DONE, DEAD)


def test_a_header_that_is_gone_is_made_anew(path):
    """Its id is a new one, and when the journal was made is not made up."""
    raw(path, "DELETE FROM leftoff_journal")
    repair(path, plausible=True)
    ((version, journal_id, created, _),) = raw(path, "SELECT * FROM leftoff_journal")
    assert (version, len(journal_id), created) == (1, 16, "")
    assert fates(path) == (DONE, DEAD)


def test_a_schema_that_is_odd_in_two_places_is_told_with_both(path):
    """An index that is gone is made again; a table that is gone, or one that is somebody's, is not repaired."""
    raw(path, "DROP INDEX leftoff_fate")
    assert repair(path).aside == "a.db.damaged-1"
    assert fates(path) == (DONE, DEAD)
    raw(path, "CREATE INDEX mine ON leftoff_run (epoch)", "DROP TABLE leftoff_journal")
    refused(path, r"\(mine, leftoff_journal\), and that is not repaired; nothing was changed\.")
