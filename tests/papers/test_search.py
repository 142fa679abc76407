"""Papers found by their words and narrowed down."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalMissing, NotAJournal, UsageError
from leftoff.papers import doi as dois
from leftoff.papers import search, tables, works
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.test_pubmed import made
from tests.papers.test_store import DAY

Store = Callable[..., str]


def authors(*names: tuple[str, str]) -> str:
    return "<AuthorList>{}</AuthorList>".format(
        "".join(f"<Author><LastName>{last}</LastName><ForeName>{fore}</ForeName></Author>" for last, fore in names)
    )


def abstract(text: str) -> str:
    return f"<Abstract><AbstractText>{text}</AbstractText></Abstract>"


def work(doi: str, **fields: Any) -> Record:
    return works.record(works.work({"DOI": doi, **fields}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Store records in a database of the test's own, and return its name."""

    def keep(*records: Record) -> str:
        connection = sqlite3.connect(tmp_path / "papers.db")
        tables.create(connection)
        for record in records:
            store_record(connection, record, DAY)
        connection.commit()
        connection.close()
        return str(tmp_path / "papers.db")

    return keep


def pmids(db: object, query: str = "", **options: Any) -> list[str]:
    return [pmid for paper in search(query, str(db), **options) for pmid in paper["pmids"]]


def test_every_real_paper_is_found_by_its_title(papers_file: Path, every_record: list[Record]) -> None:
    """Typed as it stands, and as a phrase, a title finds its paper, among the first of those that have its words."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    for record in random.Random(seed).sample(every_record, 60):
        title = (record.title or "").replace('"', " ")
        assert record.pmid in pmids(papers_file, f'"{title}"', limit=None), title
        title = re.sub(r"\b(AND|OR|NOT)\b", " ", title)
        assert record.pmid in pmids(papers_file, f"title:({re.sub('[-()]', ' ', title)})", limit=3), title


def test_real_authors_and_headings_find_their_papers(papers_file: Path, every_record: list[Record]) -> None:
    """Each way of naming an author of a real record, and each of its headings, finds it."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for record in rng.sample([each for each in every_record if each.authors and each.mesh], 30):
        author, heading = rng.choice(record.authors), rng.choice(record.mesh)
        for name in {author.name, author.collective or f"{author.last} {author.initials or ''}"}:
            assert record.pmid in pmids(papers_file, author=name, limit=None), name
        name = f"{heading.descriptor}/{heading.qualifier}" if heading.qualifier else heading.descriptor
        assert record.pmid in pmids(papers_file, mesh=name.upper(), limit=None)


def test_a_word_counts_most_in_the_title(store: Store) -> None:
    """Of papers that have a word the one that has it in the title comes first, the one with it in the abstract last."""
    db = store(
        made(pmid="1", title="About nothing", more=abstract("Asthma among many other things.")),
        made(pmid="2", title="Asthma", more=abstract("Of many other things.")),
        made(pmid="3", title="About nothing much"),
    )
    found = search("asthma", db)
    assert [paper["pmids"] for paper in found] == [["2"], ["1"]]
    scores = [paper["score"] for paper in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[1] > 0


def test_a_paper_that_was_found_says_what_it_is(store: Store) -> None:
    """What is found has all of its names, authors, and the place in the abstract that has the words."""
    more = authors(("Lovelace", "Ada B"), ("Babbage", "Charles")) + abstract("word " * 60 + "wheezing &lt;b&gt; end.")
    record = made(pmid="7", title="T", more=more, ids='<ArticleId IdType="doi">10.1000/A</ArticleId>')
    (paper,) = search(
        "wheez*", store(record, made(pmid="9", title="T", ids='<ArticleId IdType="doi">10.1000/a</ArticleId>'))
    )
    assert paper == {
        "key": dois.digest("10.1000/a"),
        "doi": "10.1000/a",
        "pmids": ["7", "9"],
        "status": "",
        "title": "T",
        "year": 2001,
        "journal": "Made",
        "authors": ["Ada B Lovelace", "Charles Babbage"],
        "snippet": paper["snippet"],
        "score": paper["score"],
    }
    assert re.fullmatch(r"…(word )+\*\*wheezing\*\* <b> end\.", paper["snippet"] or "")
    assert json.loads(json.dumps(paper)) == paper


def test_the_snippet_is_where_the_words_are(papers_file: Path) -> None:
    """It is of the abstract, else of the headings; else, and without words, the abstract's beginning; always a line."""
    for paper in search("cells", papers_file, limit=None):
        assert paper["snippet"] is None or "\n" not in paper["snippet"]
    (heading, *_) = search('mesh:"tissue distribution"', papers_file)
    assert "**Tissue Distribution**" in (heading["snippet"] or "")
    for paper in search("", papers_file, year="-1990", limit=30):
        assert "**" not in (paper["snippet"] or "")


@pytest.mark.parametrize(
    ("years", "expected"),
    [("2001", ["2"]), (2001, ["2"]), ("2000-2001", ["2", "1"]), ("-2000", ["1"]), ("2001-", ["3", "2"]),
     (" 2000 \u2013 2002 ", ["3", "2", "1"])],
)  # fmt: skip
def test_years_narrow_a_search(store: Store, years: int | str, expected: list[str]) -> None:
    """A year, years from and to, each end open or not; without words the newest comes first."""
    db = store(*(made(pmid=str(n), date=f"<Year>{1999 + n}</Year>") for n in (1, 2, 3)), work("10.1000/undated"))
    assert pmids(db, year=years) == expected
    assert pmids(db, "t", year=years) == expected


def test_years_narrow_a_search_of_an_older_database(papers_file: Path) -> None:
    """Without the index of years, which the next sync makes, the same is found."""
    found = search("of", papers_file, year="2000-")
    with closing(sqlite3.connect(papers_file)) as connection, connection:
        connection.execute("DROP INDEX paper_year")
    assert search("of", papers_file, year="2000-") == found
    assert found.total > 20


def test_names_narrow_a_search(store: Store) -> None:
    """Journals, types and services; of journals any, of authors and types all, and an author is one person."""
    both = made(
        pmid="1",
        more=authors(("Smith", "Adam"), ("Brown", "John")),
        ids='<ArticleId IdType="doi">10.1000/a</ArticleId>',
    )
    only = work("10.1000/b", type="journal-article", **{"container-title": ["The Lancet. Oncology"], "title": ["B"]})
    db = store(both, work("10.1000/a", type="journal-article"), only)

    def found(**options: Any) -> list[str | None]:
        return sorted(str(paper["doi"])[-1] for paper in search("", db, **options))

    assert found(author="Smith A") == ["a"]
    assert found(author="Smith J") == []
    assert found(author=["Smith", "J Brown"]) == ["a"]
    assert found(author=["Smith", "Lovelace"]) == []
    assert found(journal="lancet oncology") == ["b"]
    assert found(journal=["lancet", "made"]) == ["a", "b"]
    assert found(type="journal-article") == ["a", "b"]
    assert found(type=["Journal Article", "Review"]) == found(type="journal") == []
    assert (found(source="pubmed"), found(source="crossref")) == (["a"], ["a", "b"])
    assert found(source="crossref", type="journal-article", journal="LANCET") == ["b"]


def test_a_limit_leaves_the_total(papers_file: Path) -> None:
    """However many are asked for, all that suit are counted, and the first ones are the same."""
    everything = search("of", papers_file, limit=None)
    assert everything.total == len(everything) > 21
    assert [*search("of", papers_file, limit=7)] == [*everything][:7]
    assert (search("of", papers_file).total, len(search("of", papers_file))) == (everything.total, 20)


@pytest.mark.parametrize("options", [{}, {"year": "1000-"}])
def test_of_papers_that_suit_as_well_the_newest_come_first(options: dict[str, Any], store: Store) -> None:
    """Where many have one score, those within the limit are the newest of them, and all are counted."""
    years = [1990 + number * 7 % 40 for number in range(40)]
    db = store(*(replace(made(pmid=str(year), title="Asthma"), year=year, date=str(year)) for year in years))
    found = search("asthma", db, limit=5, **options)
    assert [paper["year"] for paper in found] == [2029, 2028, 2027, 2026, 2025]
    assert found.total == 40
    assert [paper["year"] for paper in search("asthma", db, limit=None, **options)] == sorted(years, reverse=True)


def test_only_what_is_left_out_may_be_named(papers_file: Path) -> None:
    """A query that only excludes finds all the others."""
    total = len(search("", papers_file, year="1000-", limit=None))
    assert search("-cancer", papers_file).total == total - search("cancer", papers_file).total


@pytest.mark.parametrize(
    ("query", "options", "said"),
    [
        ("", {}, "for nothing"),
        (" \u2026 ", {}, "for nothing"),
        ("a", {"limit": 0}, "at least one"),
        ("a", {"year": "20"}, "write a year as 2020"),
        ("a", {"year": "-"}, "write a year as 2020"),
        ("a", {"year": "2024-2020"}, "behind the last"),
        ("a", {"author": " "}, "author= has a name that is empty"),
        ("a", {"source": "both"}, "pubmed or crossref"),
    ],
)
def test_a_wrong_search_is_named(query: str, options: dict[str, Any], said: str, papers_file: Path) -> None:
    """Each wrong argument raises UsageError with its own words."""
    with pytest.raises(UsageError, match=said):
        search(query, papers_file, **options)


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    """A missing file is not made; another database and one without an index are told apart."""
    with pytest.raises(JournalMissing, match="papers sync makes one"):
        search("a", tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.db").write_text("hello " * 100)
    connection = sqlite3.connect(tmp_path / "old.db")
    tables.create(connection)
    connection.execute("DROP TABLE words")
    connection.close()
    for name, said in (("text.db", "holds no papers"), ("old.db", "next papers sync")):
        with pytest.raises(NotAJournal, match=said):
            search("a", tmp_path / name)


def test_a_search_waits_for_nobody(papers_file: Path) -> None:
    """While somebody writes, a search sees what was there before."""
    before = search("cancer", papers_file)
    connection = sqlite3.connect(papers_file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM words")
    assert search("cancer", papers_file) == before
    connection.rollback()
    connection.close()
