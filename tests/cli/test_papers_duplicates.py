"""`leftoff papers duplicates`: its words, its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import leftoff.papers
from leftoff.papers import doi
from tests.cli.conftest import call
from tests.papers.library import stored
from tests.papers.overlap import as_work, real_works, without_doi, write_library
from tests.papers.test_pubmed import made

TITLE = "Effects of long-term salbutamol on \x1b[31mairway inflammation"
PLAIN = TITLE.replace("\x1b", "\\x1b")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database with a paper that came from both services, without the DOI that would join them."""
    whole = made(pmid="1", title=TITLE.replace("\x1b", ""), ids='<ArticleId IdType="doi">10.1000/1</ArticleId>')
    work = {**as_work(whole), "title": [TITLE], "author": [{"family": "Lovelace", "given": "Ada"}], "volume": "9"}
    write_library(tmp_path / "papers.db", without_doi([whole]), [work])
    return tmp_path / "papers.db"


def test_people_see_the_pair_and_why(db: Path) -> None:
    """Score, reasons and both papers, with what could drive the terminal escaped, and how many there are."""
    ended = call("papers", "duplicates", "--db", "papers.db", "--threshold", "60")
    assert (ended.code, ended.err) == (0, "")
    first, one, other, last = ended.out.splitlines()
    assert "same title, " in first
    assert one.split() == ["1", "2001", *TITLE.replace("\x1b", "").split()]
    assert other.split() == ["10.1000/1", "2001", *PLAIN.split()]
    assert last == "papers.db: 1 pair of papers that may be the same; nothing was changed"


def test_programs_get_an_object_a_pair(db: Path) -> None:
    """Each line has score, kind, reasons and the papers as `papers list` has them."""
    ended = call("papers", "duplicates", "--db", "papers.db", "--threshold", "60", "--json")
    (pair,) = ended.json_lines
    assert list(pair) == ["score", "kind", "agree", "differ", "papers"]
    assert pair["kind"] == "duplicate"
    assert pair["papers"] == call("papers", "list", "--db", "papers.db", "--json").json_lines
    assert [each["key"] for each in pair["papers"]] == ["pmid:1", doi.digest("10.1000/1")]


def test_nothing_to_suggest_is_no_failure(tmp_path: Path) -> None:
    """Without a pair a program gets nothing, and people one line."""
    stored(tmp_path / "papers.db", real_works()[:3])
    assert call("papers", "duplicates", "--db", "papers.db", "--json").out == ""
    ended = call("papers", "duplicates", "--db", "papers.db")
    assert (ended.code, ended.out) == (0, "papers.db: 0 pairs of papers that may be the same; nothing was changed\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Missing option '--db'"),
        (["--db", "papers.db", "--threshold", "101"], 2, "from 0 to 100"),
        (["--db", "papers.db", "--threshold", "high"], 2, "'high' is not a valid float"),
        (["papers.db"], 2, "Missing option '--db'"),
        (["--db", "none.db"], 1, "papers sync makes one"),
    ],
)
def test_a_wrong_call_is_named(db: Path, words: list[str], code: int, said: str) -> None:
    """Each mistake has its own words, and no file is made."""
    ended = call("papers", "duplicates", *words)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert not Path("none.db").exists()


def test_each_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command calls the library with what it was given."""
    got: list[object] = []
    monkeypatch.setattr(leftoff.papers, "duplicates", lambda db, **options: got.append((db, options)) or [])
    assert call("papers", "duplicates", "--db", "a.db").code == 0
    assert call("papers", "duplicates", "--db", "b.db", "--threshold", "75.5").code == 0
    assert got == [("a.db", {"threshold": 90}), ("b.db", {"threshold": 75.5})]
