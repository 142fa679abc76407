"""`leftoff papers search` and `leftoff papers show`: their words, what a person sees, and their exit codes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import leftoff.papers
from leftoff.papers import Findings, pubmed, tables
from leftoff.papers.store import store_record
from tests.cli.conftest import call

RECORDS = Path(__file__).parents[2] / "examples" / "papers" / "records"
DOI = "10.1016/0006-291x(75)90506-9"


@pytest.fixture(autouse=True)
def papers_db(tmp_path: Path) -> None:
    """A database in the working folder, with the records of the examples and one that is made to be nasty."""
    nasty = (
        b"<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>666</PMID><Article><ArticleTitle>Nasty \xc2\x9b31m"
        b"\xe2\x80\xaetitle</ArticleTitle></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"
    )
    connection = sqlite3.connect(tmp_path / "papers.db")
    connection.execute("PRAGMA synchronous = OFF")
    tables.create(connection)
    for data in (nasty, *(path.read_bytes() for path in sorted(RECORDS.glob("[!z]*.xml")))):
        for record in pubmed.records(data):
            store_record(connection, record, "2026-01-02T03:04:05Z")
    connection.commit()
    connection.close()


def search(*words: object) -> Any:
    return call("papers", "search", "--db", "papers.db", *words)


def show(*words: object) -> Any:
    return call("papers", "show", "--db", "papers.db", *words)


def test_json_lines_are_what_the_library_finds() -> None:
    """Each line of --json is one paper, as `search` gives it; nothing found prints nothing and is no failure."""
    ended = search("cultured", "fibroblasts", "--json")
    assert ended.code == 0
    assert ended.json_lines == [*leftoff.papers.search("cultured fibroblasts", "papers.db")]
    assert [paper["pmids"] for paper in ended.json_lines] == [["4"]]
    nothing = search("xyzzy", "--json")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "")


def test_people_read_titles_and_places() -> None:
    """Each paper has its number, title, authors, journal, year and names, and where the words are; so has the total."""
    ended = search("of", "--limit", "2")
    first, empty, title, *_ = ended.out.splitlines()
    assert first.startswith("papers.db: ")
    assert first.endswith(" papers found, 2 shown: --limit N shows more")
    assert (empty, title[:5]) == ("", "  1. ")
    assert ended.out.count("PMID ") == 2
    (paper,) = search("title:fibroblasts", "chloroquine").out.split("\n\n")[1:]
    assert "1. Effect of chloroquine on cultured fibroblasts" in paper
    assert f"1975; PMID 4; doi:{DOI}" in paper
    nothing = search("xyzzy")
    assert (nothing.code, nothing.out.startswith("papers.db: no paper found")) == (0, True)


def test_each_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command calls the library with what it was given, and adds nothing."""
    got: dict[str, Any] = {}

    def double(query: str, db: str, **options: Any) -> Findings:
        got.update(options, query=query, db=db)
        return Findings(0, ())

    monkeypatch.setattr(leftoff.papers, "search", double)
    words = [
        "a", "--year", "-2010", "--journal", "J", "--author", "A", "--author", "B", "--mesh", "M", "-cohort",
        "--type", "T", "--source", "pubmed", "--limit", "3", '"x y"', "-h2o",
    ]  # fmt: skip
    assert search(*words).code == 0
    assert got == {
        "query": 'a -cohort "x y" -h2o', "db": "papers.db", "year": "-2010", "journal": ("J",), "author": ("A", "B"),
        "mesh": ("M",), "type": ("T",), "source": "pubmed", "limit": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "--yaer", "2020"], "No such option '--yaer'"),
        (["--yaer=2020"], "No such option '--yaer'"),
        (["a", "--limit", "x"], "is not a valid integer"),
        (["a", "--limit", "0"], "at least one paper"),
        (["a", "--source", "both"], "Invalid value for '--source'"),
        (["a", "--year", "then"], "write a year as 2020"),
        ([], "for nothing"),
        (["-"], "for nothing"),
        (["a", "OR", "-b"], "OR stands between"),
    ],
)
def test_a_wrong_search_exits_with_2(words: list[str], said: str) -> None:
    """Each wrong call has its own words, though words may begin with a dash."""
    ended = search(*words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_help_is_help_with_either_word() -> None:
    """-h is no word to leave out, and behind -- everything is a word."""
    assert call("papers", "search", "-h").out == call("papers", "search", "--help").out != ""
    assert search("fibroblasts", "--", "-h").code == 0
    assert search("--", "--yaer").code == 0
    for name in ("search", "show"):
        assert "leftoff papers" in call("papers", name, "--help").out


def test_a_paper_is_shown_to_people() -> None:
    """Title, authors, journal line, names, abstract and headings, and which record each field is from."""
    ended = show(f"https://doi.org/{DOI.upper()}")
    assert ended.code == 0
    assert ended.out.startswith("Effect of chloroquine on cultured fibroblasts")
    lines = ended.out.splitlines()
    assert f"DOI        {DOI}" in lines
    assert "PMID       4" in lines
    assert any(line.startswith("From       pubmed 4 of 2026-01-02: title, authors, journal") for line in lines)
    assert any(line.startswith("MeSH       ") and "*" in line for line in lines)
    assert "From       pubmed 666 of 2026-01-02: title, year" not in show("666").out


def test_conflicts_revisions_and_merges_are_shown(tmp_path: Path) -> None:
    """What another record says, what a record said before, and how records met are there to read."""
    connection = sqlite3.connect(tmp_path / "papers.db")
    kept = leftoff.papers.show("4", "papers.db", raw=True)["records"][0]["content"] or ""
    revised = kept.replace(">Effect of chloroquine", ">Effects of chloroquine")
    (record,) = pubmed.records(f"<PubmedArticleSet>{revised}</PubmedArticleSet>".encode())
    store_record(connection, record, "2026-02-03T00:00:00Z")
    other = f"""<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>3</PMID><Article>
        <ArticleTitle>Other</ArticleTitle></Article></MedlineCitation><PubmedData><ArticleIdList>
        <ArticleId IdType="doi">{DOI}</ArticleId></ArticleIdList></PubmedData></PubmedArticle></PubmedArticleSet>"""
    for record in pubmed.records(other.encode()):
        store_record(connection, record, "2026-03-04T00:00:00Z")
    connection.commit()
    connection.close()
    said = show("3").out
    assert said.startswith("Effects of chloroquine")
    assert "PMID       3, 4" in said
    assert "Conflict   title: pubmed 3 says Other" in said
    assert "Revised    pubmed 4, once\n           2026-02-03: title" in said
    assert "Merged     2026-03-04: pubmed 3 (same-doi)" in said


def test_raw_is_what_the_service_sent() -> None:
    """--raw prints the record itself, --json the library's object, both together the object with the texts."""
    ended = show("4", "--raw")
    (record,) = pubmed.records(f"<PubmedArticleSet>{ended.out}</PubmedArticleSet>".encode())
    assert record.pmid == "4"
    assert show("4", "--json").json == leftoff.papers.show("4", "papers.db")
    assert show("4", "--json", "--raw").json["records"][0]["content"] == ended.out.rstrip("\n")


def test_what_records_hold_drives_no_terminal() -> None:
    """Controls and marks of direction are shown escaped."""
    for said in (search("nasty").out, show("666").out):
        assert "\\x9b31m\\u202etitle" in said
        assert "\x9b" not in said


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("99999", 1, 'papers sync "99999[uid]" brings it'),
        ("10.1016/0006-291x(75)90506-8", 1, f"did you mean {DOI}?"),
        ("asthma", 2, "papers search"),
    ],
)
def test_a_name_that_shows_nothing_says_what_to_do(name: str, code: int, said: str) -> None:
    """An unknown paper exits with 1, what is no name with 2, in one line."""
    ended = show(name)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (code, "", 1)
    assert said in ended.err


def test_a_missing_extra_says_what_to_install() -> None:
    """Without httpx the help is there, and each command names what to install."""
    script = (
        "import sys; sys.modules['httpx'] = None\nfrom leftoff.cli import main\nmain(sys.argv[1:], prog_name='leftoff')"
    )
    for words in (["search", "a"], ["show", "1"]):
        command = [sys.executable, "-c", script, "papers", *words, "--db", "papers.db"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ended.returncode == 2
        assert 'pip install "leftoff[papers]"' in ended.stderr
