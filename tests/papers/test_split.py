"""Merged papers taken apart, kept apart, and brought together again."""

from __future__ import annotations

import itertools
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import leftoff
from leftoff.errors import JournalBusy, JournalMissing, NotAJournal, UsageError
from leftoff.papers import doi as dois
from leftoff.papers import split, store, tables
from leftoff.papers.record import Record
from leftoff.papers.store import bring_back, set_apart, store_record
from tests.papers.library import DAY, ask, dump, stored, work
from tests.papers.test_store import keys, paper, shown

DOI = "10.1002/14651858.cd002020"
KEY = dois.digest(DOI)
LATER = "2026-03-01T00:00:00Z"
PAPERS = "SELECT key, doi, doi_hash, pmid, pmcid, title FROM paper ORDER BY key DESC"


def three() -> list[Record]:
    """Return two records of PubMed and Crossref's with one DOI; such pairs of PMIDs are real, these texts are made."""
    return [
        paper(11034741, DOI, title="Older", pmc="PMC7"),
        paper(11406024, DOI, title="Newer", pmc="PMC7"),
        work(DOI, "Work", volume="3"),
    ]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database in which three records are one paper."""
    return stored(tmp_path / "papers.db", three())


@pytest.mark.parametrize("name", [DOI, f"https://doi.org/{DOI.upper()}", KEY])
def test_all_records_of_a_paper_are_taken_apart(db: Path, name: str) -> None:
    """Each becomes a paper of its own; Crossref's keeps the hash, the others have their PMIDs, and the DOI too."""
    papers = split(name, db)
    assert [(each["key"], each["doi"], each["pmids"], each["title"]) for each in papers] == [
        ("pmid:11034741", DOI, ["11034741"], "Older"),
        ("pmid:11406024", DOI, ["11406024"], "Newer"),
        (KEY, DOI, [], "Work"),
    ]
    assert ask(db, PAPERS) == [
        ("pmid:11406024", DOI, None, 11406024, "PMC7", "Newer"),
        ("pmid:11034741", DOI, None, 11034741, "PMC7", "Older"),
        (KEY, DOI, KEY, None, None, "Work"),
    ]
    assert ask(db, "SELECT count(*) FROM conflict") == [(0,)]
    assert len(ask(db, "SELECT 1 FROM identifier WHERE kind = 'doi' AND value = ?", DOI)) == 3


def test_of_two_pmids_the_higher_keeps_the_hash(tmp_path: Path) -> None:
    """Where Crossref has no record the paper of the DOI stays the newest PMID's."""
    db = stored(tmp_path / "papers.db", three()[:2])
    assert [(each["key"], each["pmids"]) for each in split(DOI, db)] == [
        ("pmid:11034741", ["11034741"]),
        (KEY, ["11406024"]),
    ]


def test_a_pmid_names_the_one_record_that_leaves(db: Path) -> None:
    """The others stay one paper, with the PMCID that both records had."""
    papers = split("11406024", db)
    assert [(each["key"], each["pmids"]) for each in papers] == [
        (KEY, ["11034741"]),
        ("pmid:11406024", ["11406024"]),
    ]
    assert ask(db, "SELECT pmcid, title, source FROM paper WHERE key = ?", KEY) == [
        ("PMC7", "Older", "pubmed; crossref")
    ]
    assert sorted(ask(db, "SELECT kind, value FROM identifier JOIN paper ON paper_id = id WHERE key = ?", KEY)) == [
        ("doi", DOI),
        ("pmcid", "PMC7"),
        ("pmid", "11034741"),
    ]


@pytest.mark.parametrize("names", [[DOI], [KEY], ["11034741"], ["11406024", "PMID: 11034741"]])
@pytest.mark.parametrize("back", [DOI, KEY, "one by one"])
def test_undone_it_is_as_if_it_had_never_been(db: Path, names: list[str], back: str) -> None:
    """All tables say what they said before, to the numbers of papers; only `merge` has a row more for a move."""
    before, history = dump(db), dump(db, ["merge"])["merge"]
    for name in names:
        split(name, db)
    moved = ask(db, "SELECT identifier, doi FROM apart ORDER BY identifier")
    assert dump(db) != before
    for name in [str(pmid) for pmid, _ in moved] if back == "one by one" else [back]:
        papers = split(name, db, undo=True)
    assert [each["key"] for each in papers] == [KEY]
    assert dump(db) == before
    more = ask(db, "SELECT identifier, old_key, new_key, reason FROM merge WHERE id > ? ORDER BY id", len(history))
    assert sorted(more) == sorted(
        row
        for pmid, _ in moved
        for row in [(pmid, KEY, f"pmid:{pmid}", "split"), (pmid, f"pmid:{pmid}", KEY, "unsplit")]
    )


def test_they_stay_apart_whatever_is_synced(db: Path) -> None:
    """The same text, a revision, a text without the DOI and a new record of the DOI bring nothing together again."""
    split(DOI, db)
    before = dump(db, ["identifier", "author", "shown"])
    stored(db, three(), LATER)
    assert dump(db, ["identifier", "author", "shown"]) == before
    stored(db, [paper(11034741, DOI, title="Revised", pmc="PMC7"), paper(11406024, None, title="Lost", pmc="PMC7")])
    assert ask(db, "SELECT key, doi, title FROM paper ORDER BY key DESC") == [
        ("pmid:11406024", DOI, "Lost"),
        ("pmid:11034741", DOI, "Revised"),
        (KEY, DOI, "Work"),
    ]
    stored(db, [paper(30000000, DOI, title="Third")])  # nobody said that this one is another paper
    assert ask(db, "SELECT title FROM paper WHERE key = ?", KEY) == [("Third",)]
    assert [each["pmids"] for each in split(DOI, db, undo=True)] == [["11034741", "11406024", "30000000"]]


def test_a_record_set_apart_that_gets_another_doi_goes_its_way(db: Path) -> None:
    """Where PubMed corrects the DOI the record joins the paper of that one; with the old DOI it is apart again."""
    right = dois.digest("10.1000/right")
    stored(db, [work("10.1000/right", "Right")])
    split("11406024", db)
    stored(db, [paper(11406024, "10.1000/right", title="Newer")])
    assert ask(db, "SELECT title, pmid FROM paper WHERE key = ?", right) == [("Newer", 11406024)]
    stored(db, [paper(11406024, DOI, title="Newer")])
    assert ask(db, "SELECT doi FROM paper WHERE key = 'pmid:11406024'") == [(DOI,)]
    stored(db, [paper(11406024, "10.1000/right", title="Newer")])
    split("11406024", db, undo=True)
    assert ask(db, "SELECT pmid FROM paper WHERE key = ?", right) == [(11406024,)]


def test_a_record_brought_back_to_no_paper_takes_the_doi(tmp_path: Path) -> None:
    """If what kept the hash has another DOI by now, the record that comes back has it for itself."""
    db = stored(tmp_path / "papers.db", three()[:2])
    split(DOI, db)
    stored(db, [paper(11406024, "10.1000/other", title="Newer")])
    assert [(each["key"], each["pmids"]) for each in split(DOI, db, undo=True)] == [(KEY, ["11034741"])]
    assert ask(db, "SELECT old_key, new_key FROM merge WHERE reason = 'unsplit'") == [("pmid:11034741", KEY)]


def test_what_is_apart_does_not_depend_on_the_order(every_record: list[Record]) -> None:
    """Records that come when others of their DOI are set apart already are where they were, had they come before."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    records = [*every_record[:10], *(paper(90_000_000 + n, f"10.1000/{n % 5}", str(n)) for n in range(30))]
    marked = [(90_000_000 + n, f"10.1000/{n % 5}") for n in range(12)]
    results = []
    for early in (True, False, False):
        connection = sqlite3.connect(":memory:")
        tables.create(connection)
        rng.shuffle(records)
        if early:
            connection.executemany("INSERT INTO apart VALUES ('pubmed', ?, ?, ?)", [(*mark, DAY) for mark in marked])
        for record in records:
            store_record(connection, record, DAY)
        for pmid, doi in [] if early else rng.sample(marked, len(marked)):
            set_apart(connection, "pubmed", pmid, doi, DAY)
        results.append(shown(connection))
        connection.close()
    assert results[0] == results[1] == results[2]


def test_any_walk_of_splits_and_revisions_ends_where_the_last_words_do() -> None:
    """After random revisions, splits and undos the papers are those of the last texts and the marks that are left."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    connection, fresh = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    tables.create(connection)
    tables.create(fresh)
    last: dict[int, Record] = {}
    for step in range(400):
        if rng.random() < 0.5 or not last:
            pmid = rng.randrange(1, 9)
            last[pmid] = paper(pmid, f"10.1000/{rng.randrange(3)}", title=f"{step}")
            store_record(connection, last[pmid], DAY)
            continue
        marks = connection.execute("SELECT source, identifier, doi FROM apart").fetchall()
        if marks and rng.random() < 0.5:
            bring_back(connection, *rng.choice(marks), DAY)
        else:
            shared = connection.execute(
                "SELECT raw.source, identifier, doi FROM raw JOIN paper ON paper.id = paper_id"
                " WHERE (SELECT count(*) FROM raw WHERE paper_id = paper.id) > 1"
            ).fetchall()
            if shared:
                set_apart(connection, *rng.choice(shared), DAY)
    fresh.executemany("INSERT INTO apart VALUES (?, ?, ?, ?)", connection.execute("SELECT * FROM apart").fetchall())
    for record in last.values():
        store_record(fresh, record, DAY)
    assert shown(connection) == shown(fresh)
    assert connection.execute("SELECT count(*) FROM apart").fetchone()[0] > 0 or len(keys(connection)) <= 3
    for table in ("identifier", "author", "mesh", "raw", "shown", "conflict"):
        lost = connection.execute(f"SELECT count(*) FROM {table} WHERE paper_id NOT IN (SELECT id FROM paper)")
        assert lost.fetchone() == (0,)
    connection.close()
    fresh.close()


@pytest.mark.parametrize(
    ("name", "undo", "said"),
    [
        ("11034740", False, "no record of PMID 11034740"),
        ("10.1000/none", False, "no paper 10.1000/none"),
        ("doi1:" + 64 * "0", False, "no paper doi1:0"),
        ("Cochrane", False, "is no DOI, no PMID, no PMCID and no key"),
        ("", False, "is no DOI, no PMID, no PMCID and no key"),
        ("\udcff", False, "is no DOI, no PMID, no PMCID and no key"),
        ("5", False, "5 has one record, PMID 5: there is nothing to take apart"),
        ("10.1000/alone", False, "has one record, Crossref's: there is nothing"),
        (DOI, True, "nothing of 10.1002/14651858.cd002020 was taken apart"),
        ("5", True, "nothing of 5 was taken apart"),
    ],
)
def test_a_wrong_name_changes_nothing(db: Path, name: str, undo: bool, said: str) -> None:
    """What cannot be split is said before anything is written, the owner of the run included."""
    stored(db, [paper(5), work("10.1000/alone")])
    before = ask(db, "SELECT max(seq) FROM leftoff_entry"), dump(db)
    with pytest.raises(UsageError, match=said):
        split(name, db, undo=undo)
    assert (ask(db, "SELECT max(seq) FROM leftoff_entry"), dump(db)) == before


def test_a_second_split_says_that_it_was_done(db: Path) -> None:
    """Who asks twice learns how to take it back."""
    split(DOI, db)
    for name in (DOI, "11034741"):
        with pytest.raises(UsageError, match=r"taken apart before \(--undo"):
            split(name, db)


@pytest.mark.parametrize("service", ["pubmed", "crossref"])
def test_no_paper_is_split_while_a_sync_is_at_work(db: Path, service: str) -> None:
    """Whichever service is being asked, the split is refused and changes nothing."""
    before = dump(db)
    with leftoff.open(db) as journal:
        journal.run(service).own()
        with pytest.raises(JournalBusy):
            split(DOI, db)
    assert dump(db) == before


@pytest.mark.parametrize("number", range(1, 3))
def test_it_is_done_whole_or_not_at_all(db: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error at any of the records leaves the paper as it was, and the next try does it."""
    before, calls = dump(db, ["merge", "paper", "raw", "apart"]), itertools.count(1)
    move = store._move

    def fail(*arguments: object) -> None:
        move(*arguments)  # type: ignore[arg-type]
        if next(calls) == number:
            raise ValueError("no good")

    with monkeypatch.context() as patched:
        patched.setattr(store, "_move", fail)
        with pytest.raises(ValueError, match="no good"):
            split(DOI, db)
    assert dump(db, ["merge", "paper", "raw", "apart"]) == before
    assert len(split(DOI, db)) == 3


def test_a_database_of_before_can_be_split(db: Path) -> None:
    """A database without the table gets it."""
    with sqlite3.connect(db) as connection:
        connection.execute("DROP TABLE apart")
    connection.close()
    with pytest.raises(UsageError, match="nothing of"):
        split(DOI, db, undo=True)
    assert len(split(DOI, db)) == 3


def test_only_a_database_of_papers_is_opened(tmp_path: Path) -> None:
    """A file that is not there is not made, and one that no sync made is named."""
    with pytest.raises(JournalMissing, match="papers sync makes one"):
        split(DOI, tmp_path / "none.db")
    assert not list(tmp_path.iterdir())
    with sqlite3.connect(tmp_path / "bare.db") as connection:
        tables.create(connection)
        for record in three():
            store_record(connection, record, DAY)
    connection.close()
    with pytest.raises(NotAJournal, match="never synced"):
        split(DOI, tmp_path / "bare.db")


def test_a_paper_is_named_as_everywhere_else(tmp_path: Path) -> None:
    """An address of PubMed's and a PMCID mean what they mean to `show`."""
    db = stored(tmp_path / "papers.db", three())
    with pytest.raises(UsageError, match="there is no paper PMC1"):
        split("PMC1", db)
    split("https://pubmed.ncbi.nlm.nih.gov/11034741/", db)
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("SELECT identifier FROM apart").fetchall() == [(11034741,)]
        connection.execute(
            "INSERT INTO identifier SELECT 'pmcid', 'PMC2', id FROM paper WHERE doi_hash IS NOT NULL AND doi = ?",
            (DOI,),
        )
        connection.commit()
    assert len(split("pmc2", db)) == 3
