"""The index of words: it says what the papers say, at every moment."""

from __future__ import annotations

import html
import random
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import UsageError
from leftoff.papers import doi as dois
from leftoff.papers import index, sync, tables
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.conftest import real_works, record_of
from tests.papers.test_pubmed import made
from tests.papers.test_store import DAY, paper

KEYED = "SELECT key, words.title, words.abstract, author, mesh FROM words LEFT JOIN paper ON paper.id = words.rowid"
MATCHED = "SELECT key, bm25(words) FROM words JOIN paper ON paper.id = words.rowid WHERE words MATCH ? ORDER BY key"


def held(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return what the index says, and check that it finds by just what it says."""
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    return sorted(connection.execute(KEYED), key=repr)


def anew(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy of a database whose index is made from nothing."""
    copy = sqlite3.connect(":memory:")
    connection.commit()
    connection.backup(copy)
    copy.execute("DROP TABLE words")
    index.create(copy)
    return copy


def keys(connection: sqlite3.Connection, match: str) -> list[str]:
    return [key for key, _ in connection.execute(MATCHED, (match,))]


def every_change(every_record: list[Record], rng: random.Random) -> list[Record]:
    """Return real records and works in all their versions, and made ones that gain, share, change and lose DOIs."""
    real = [*rng.sample(every_record, 60), *map(record_of, rng.sample(real_works(), 60))]
    doi_of = [*[None] * 40, *(f"10.1000/{n}" for n in range(7)), *(html.escape(each.doi) for each in real if each.doi)]
    changes = [
        paper(90_000_000 + rng.randrange(40), rng.choice(doi_of), rng.choice(["one", "two three", "Ångström"]))
        for _ in range(160)
    ]
    found = [*real, *changes]
    rng.shuffle(found)
    return found


def test_the_index_is_what_a_rebuilt_one_is(papers: sqlite3.Connection, every_record: list[Record]) -> None:
    """After merges, revisions, new DOIs and papers that are no more, it says, finds and ranks as one made anew."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    happened = {store_record(papers, record, DAY) for record in every_change(every_record, rng)}
    assert {"stored", "updated", "merged"} <= happened
    gone = papers.execute("SELECT count(*) FROM merge WHERE old_key NOT IN (SELECT key FROM paper)").fetchone()[0]
    reasons = {reason for (reason,) in papers.execute("SELECT reason FROM merge")}
    assert gone > 0
    assert reasons == {"same-doi", "gained-doi", "changed-doi"}
    again = anew(papers)
    said = held(papers)
    assert said == held(again)
    assert [row[0] for row in said] == sorted(key for (key,) in papers.execute("SELECT key FROM paper"))
    words = sorted({word for row in said for text in row[1:] for word in re.findall(r"[a-z]{3,}", text)})
    for word in rng.sample(words, 100):
        assert papers.execute(MATCHED, (f'"{word}"',)).fetchall() == again.execute(MATCHED, (f'"{word}"',)).fetchall()
    again.close()


def test_the_order_of_records_does_not_matter(every_record: list[Record]) -> None:
    """Two databases that got the same last texts in another order find and rank the same."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    records = [*rng.sample(every_record, 80), *(paper(90_000_000 + n, f"10.1000/{n % 5}", f"T{n}") for n in range(20))]
    found = []
    for _ in range(2):
        rng.shuffle(records)
        connection = sqlite3.connect(":memory:")
        tables.create(connection)
        for record in records:
            store_record(connection, record, DAY)
        found.append((held(connection), connection.execute(MATCHED, ("of OR t3",)).fetchall()))
        connection.close()
    assert found[0] == found[1]


def test_a_revised_paper_is_found_by_what_it_says_now(papers: sqlite3.Connection) -> None:
    """The words of an earlier text find nothing any more."""
    store_record(papers, paper(1, title="wheeze"), DAY)
    store_record(papers, paper(1, title="cough"), DAY)
    assert (keys(papers, "wheeze"), keys(papers, "cough")) == ([], ["pmid:1"])


def test_a_paper_that_is_no_more_is_not_found(papers: sqlite3.Connection) -> None:
    """When the only record of a paper joins another one, only that is found, by the words it shows."""
    store_record(papers, paper(2, "10.1000/a", title="wheeze"), DAY)
    store_record(papers, paper(1, title="cough"), DAY)
    store_record(papers, paper(1, "10.1000/a", title="cough"), DAY)
    assert (keys(papers, "cough"), keys(papers, "wheeze")) == ([], [dois.digest("10.1000/a")])
    assert papers.execute("SELECT count(*) FROM words").fetchone() == (1,)


def test_what_is_taken_back_is_not_in_the_index(papers: sqlite3.Connection) -> None:
    """The index is in the transaction of the paper: neither is there, or both."""
    store_record(papers, paper(1, title="wheeze"), DAY)
    papers.commit()
    store_record(papers, paper(1, title="cough"), DAY)
    store_record(papers, paper(2, title="cough"), DAY)
    papers.execute("SAVEPOINT item")
    store_record(papers, paper(3, title="sneeze"), DAY)
    papers.execute("ROLLBACK TO item")
    assert (keys(papers, "sneeze"), keys(papers, "cough")) == ([], ["pmid:1", "pmid:2"])
    papers.rollback()
    assert (keys(papers, "cough"), keys(papers, "wheeze")) == ([], ["pmid:1"])


def test_an_older_database_is_indexed(papers: sqlite3.Connection) -> None:
    """A database without an index gets one of all its papers; one that a kill left unfinished is finished."""
    for pmid in (1, 2, 3):
        store_record(papers, paper(pmid, title="cough"), DAY)
    papers.execute("DROP TABLE words")
    tables.create(papers)
    assert len(keys(papers, "cough")) == 3
    papers.execute("DELETE FROM words WHERE rowid = 2")
    tables.create(papers)
    assert len(keys(papers, "cough")) == 3


def test_a_record_that_changes_no_words_writes_none(papers: sqlite3.Connection) -> None:
    """Where another record joins a paper and is not shown, the index is left alone."""
    store_record(papers, paper(2, "10.1000/a", title="cough"), DAY)
    before = papers.execute("SELECT count(*), max(rowid) FROM words_data").fetchone()
    assert store_record(papers, paper(1, "10.1000/a", title="wheeze"), DAY) == "merged"
    assert papers.execute("SELECT count(*), max(rowid) FROM words_data").fetchone() == before


@pytest.mark.parametrize("typed", ["jorgensen", "jørgensen", '"jorgensen pl"', "lukasz", "Łukasz"])
def test_an_author_is_found_however_one_types_the_name(papers: sqlite3.Connection, typed: str) -> None:
    """Letters that Unicode does not take apart are indexed both ways, and names as PubMed cites them too."""
    author = "<LastName>J\u00f8rgensen</LastName><ForeName>Peter \u0141ukasz</ForeName><Initials>P\u0141</Initials>"
    store_record(papers, made(pmid="1", more=f"<AuthorList><Author>{author}</Author></AuthorList>"), DAY)
    assert keys(papers, typed) == ["pmid:1"]


def test_a_build_without_fts5_is_named_before_anything_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where SQLite lacks FTS5 the error says so, no file is made and no request sent."""
    monkeypatch.setattr(index, "MADE", "CREATE VIRTUAL TABLE words USING fts0 (title)")
    with pytest.raises(UsageError, match="without FTS5"):
        sync("asthma", tmp_path / "papers.db", ncbi_url="http://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []
