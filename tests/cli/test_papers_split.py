"""`leftoff papers split`: its words, its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import leftoff
from tests.cli.conftest import call
from tests.papers.library import dump, stored
from tests.papers.test_split import DOI, KEY, three


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database in which three records are one paper."""
    return stored(tmp_path / "papers.db", three())


def test_people_see_the_papers_that_there_are_now(db: Path) -> None:
    """What was one paper is said to be several, a line each, and one again after --undo."""
    ended = call("papers", "split", DOI, "--db", "papers.db")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        f"papers.db: {DOI} is 3 papers now\n11034741  2001  Older\n11406024  2001  Newer\n{DOI}        Work\n"
    )
    ended = call("papers", "split", DOI, "--db", "papers.db", "--undo")
    assert ended.out == f"papers.db: {DOI} is 1 paper now\n11034741,11406024  2001  Newer\n"


def test_programs_get_one_object(db: Path) -> None:
    """With --json the papers are the objects of `papers list`."""
    ended = call("papers", "split", "11406024", "--db", "papers.db", "--json")
    assert ended.code == 0
    assert ended.json == {
        "undone": False,
        "papers": [
            {"key": KEY, "doi": DOI, "pmids": ["11034741"], "title": "Older", "year": 2001, "status": ""},
            {"key": "pmid:11406024", "doi": DOI, "pmids": ["11406024"], "title": "Newer", "year": 2001, "status": ""},
        ],
    }
    assert call("papers", "list", "--db", "papers.db", "--json").json_lines == ended.json["papers"]
    assert call("papers", "split", "11406024", "--db", "papers.db", "--undo", "--json").json["undone"] is True


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["split", DOI], 2, "Missing option '--db'"),
        (["split", "--db", "papers.db"], 2, "Missing argument 'DOI|PMID|PMCID|KEY'"),
        (["split", "asthma", "--db", "papers.db"], 2, "'asthma' is no DOI, no PMID, no PMCID and no key of a paper"),
        (["split", "\x1b[31m", "--db", "papers.db"], 2, r"'\x1b[31m' is no DOI"),
        (["split", "9", "--db", "papers.db"], 2, "no record of PMID 9"),
        (["split", DOI, "--db", "papers.db", "--undo"], 2, "was taken apart"),
        (["split", DOI, "--db", "none.db"], 1, "papers sync makes one"),
    ],
)
def test_a_wrong_call_is_named_and_changes_nothing(db: Path, words: list[str], code: int, said: str) -> None:
    """Each mistake has its own words, before anything is written."""
    before = dump(db)
    ended = call("papers", *words)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert dump(db) == before


def test_a_sync_at_work_is_not_disturbed(db: Path) -> None:
    """While the database is owned, the split exits with 5."""
    with leftoff.open(db) as journal:
        journal.run("pubmed").own()
        assert call("papers", "split", DOI, "--db", "papers.db").code == 5
