"""One paper, and where each thing it says is from."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalMissing, NoSuchPaper, NotAJournal, UsageError
from leftoff.papers import doi as dois
from leftoff.papers import pubmed, show, tables, works
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.conftest import RealRecords, real_works, record_of
from tests.papers.test_store import paper

FIRST, SECOND, THIRD = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
DOI = "10.1002/(sici)1098-2361(2000)19:1<65::aid-zoo7>3.0.co;2-#"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database file, open to be filled."""
    with closing(sqlite3.connect(tmp_path / "papers.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
        tables.create(connection)
        yield connection


def work(doi: str, **fields: object) -> Record:
    return works.record(works.work({"DOI": doi, **fields}))


def test_every_real_paper_is_shown(papers_file: Path, every_record: list[Record]) -> None:
    """Each real record is shown whole, by its PMID and by its DOI, each field with the record it is from."""
    for record in every_record[::5]:
        shown = show(str(record.identifier), papers_file, raw=True)
        assert shown == show(record.doi or f"pmid:{record.pmid}", papers_file, raw=True)
        assert shown["records"][0]["content"] == record.raw.decode()
        for field in ("title", "abstract", "journal", "year", "date", "pages"):
            said = getattr(record, field)
            assert shown[field] == said  # type: ignore[literal-required]
            assert (field in shown["provenance"]) == (said is not None)
        assert [author["name"] for author in shown["authors"]] == [author.name for author in record.authors]
        assert [heading["major"] for heading in shown["mesh"]] == [heading.major for heading in record.mesh]
        assert json.loads(json.dumps(shown)) == shown


def test_two_records_of_a_paper_are_told_apart(db: sqlite3.Connection, tmp_path: Path) -> None:
    """Provenance names the record and the day of each field, conflicts what the other says, merges how they met."""
    store_record(db, paper(1, "10.1000/a", title="A title"), FIRST)
    store_record(db, work("10.1000/a", title=["Another"], volume="7", issued={"date-parts": [[2002]]}), SECOND)
    shown = show("10.1000/A", tmp_path / "papers.db")
    assert shown["provenance"]["title"] == {"source": "pubmed", "identifier": "1", "fetched_at": FIRST}
    assert shown["provenance"]["volume"] == {"source": "crossref", "identifier": "10.1000/a", "fetched_at": SECOND}
    assert [(each["field"], each["source"], each["value"]) for each in shown["conflicts"]] == [
        ("title", "crossref", "Another"),
        ("year", "crossref", "2002"),
    ]
    assert [(each["source"], each["content"]) for each in shown["records"]] == [("pubmed", None), ("crossref", None)]
    assert shown["merges"] == [
        {
            "at": SECOND,
            "source": "crossref",
            "identifier": "10.1000/a",
            "old_key": None,
            "new_key": dois.digest("10.1000/a"),
            "reason": "same-doi",
        }
    ]


def test_revisions_tell_when_and_what(db: sqlite3.Connection, tmp_path: Path) -> None:
    """Each earlier text has its days and the fields that the next text says otherwise; with raw the text too."""
    texts = [paper(1, title="one"), paper(1, title="two"), paper(1, "10.1000/a", title="two", pmc="PMC1")]
    for record, at in zip(texts, (FIRST, SECOND, THIRD), strict=True):
        store_record(db, record, at)
    shown = show("1", tmp_path / "papers.db", raw=True)
    assert [(each["fetched_at"], each["replaced_at"], each["changed"]) for each in shown["revisions"]] == [
        (FIRST, SECOND, ["title"]),
        (SECOND, THIRD, ["doi", "pmcid"]),
    ]
    assert [each["content"] for each in shown["revisions"]] == [record.raw.decode() for record in texts[:2]]
    assert [each["reason"] for each in shown["merges"]] == ["gained-doi"]


def test_real_revisions_tell_what_changed(db: sqlite3.Connection, real: RealRecords, tmp_path: Path) -> None:
    """Of real records and works with several texts each is told, and a change of nothing that is shown is told so."""
    texts: dict[object, list[Record]] = {}
    for path in sorted(real.folder.glob("*.xml.gz")):
        for record in pubmed.records(gzip.decompress(path.read_bytes())):
            texts.setdefault(record.identifier, []).append(record)
    works_of: dict[str, list[dict[str, Any]]] = {}
    for fields in real_works():
        works_of.setdefault(fields["DOI"], []).append(fields)
    for doi, versions in [each for each in works_of.items() if len(each[1]) > 1][:40]:
        texts[doi] = [record_of(fields) for fields in versions]
    revised = {name: versions for name, versions in texts.items() if len({each.digest for each in versions}) > 1}
    if not revised:
        pytest.skip("the records at hand have one text each")
    changed = []
    for name, versions in revised.items():
        happened = [store_record(db, each, FIRST) for each in versions]
        shown = show(str(name), tmp_path / "papers.db")
        assert len(shown["revisions"]) == happened.count("updated")
        changed += [each["changed"] for each in shown["revisions"]]
    assert [] in changed
    assert any(changed)


@pytest.mark.parametrize(
    "name",
    [DOI, f"https://doi.org/{DOI.upper().replace('<', '%3C').replace('>', '%3E').replace('#', '%23')}", f"doi: {DOI}",
     " 17 ", "PMID: 17", "pmid:17", "PMID17", "https://pubmed.ncbi.nlm.nih.gov/17/", "0017", "PMC5", "pmcid: PMC5.1",
     "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC5/", "https://pmc.ncbi.nlm.nih.gov/articles/PMC5/",
     dois.digest(DOI)],
)  # fmt: skip
def test_a_paper_has_many_names(db: sqlite3.Connection, tmp_path: Path, name: str) -> None:
    """A DOI in any form, a PMID, a PMCID, their addresses and a key name the same paper."""
    store_record(db, paper(17, DOI.replace("<", "&lt;"), pmc="PMC5"), FIRST)
    store_record(db, paper(18, "10.1000/other", pmc="PMC6"), FIRST)
    assert show(name, tmp_path / "papers.db")["pmids"] == ["17"]


def test_a_doi_with_punctuation_behind_it_is_found(db: sqlite3.Connection, tmp_path: Path) -> None:
    """A full stop of the sentence is no hindrance, and a paper whose DOI really ends so comes first."""
    store_record(db, paper(1, "10.1000/a"), FIRST)
    assert show("See doi:10.1000/a.", tmp_path / "papers.db")["pmids"] == ["1"]
    assert show("10.1000/a.", tmp_path / "papers.db")["pmids"] == ["1"]
    store_record(db, paper(2, "10.1000/a."), FIRST)
    assert show("10.1000/a.", tmp_path / "papers.db")["pmids"] == ["2"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("10.1000/journal.pone.0012354", "did you mean 10.1000/journal.pone.0012345\\?"),
        ("10.1000/something.else", "--dois FILE brings"),
        ("10.1000/before", "the paper that had it is now 10.1000/behind"),
        ("10.1000/gone", "crossref was asked for it on 2026-01-01 and did not send it"),
        ("99", 'papers sync "99\\[uid\\]" brings it'),
        ("98", "pubmed was asked for it on 2026-01-01 and did not send it"),
        ("97", "listed and not fetched yet"),
        ("PMC99", "papers search finds a paper by its title"),
        (f"doi1:{'0' * 64}", "papers list --json has those that are"),
        (dois.digest("10.1000/before"), "the paper that had it is now 10.1000/behind"),
    ],
)
def test_an_unknown_name_says_what_to_do(db: sqlite3.Connection, tmp_path: Path, name: str, said: str) -> None:
    """A mistyped DOI, one that was changed, and what was never fetched are each told what they need."""
    store_record(db, paper(1, "10.1000/journal.pone.0012345"), FIRST)
    store_record(db, paper(2, "10.1000/before"), FIRST)
    store_record(db, paper(2, "10.1000/behind"), SECOND)
    db.execute("INSERT INTO absent VALUES ('pubmed', 98, ?), ('crossref', '10.1000/gone', ?)", (FIRST, FIRST))
    db.execute("INSERT INTO search (id, source, query, opened_at) VALUES (1, 'pubmed', 'q', ?)", (FIRST,))
    db.execute("INSERT INTO listed (search_id, pmid, revised) VALUES (1, 97, 0)")
    with pytest.raises(NoSuchPaper, match=said):
        show(name, tmp_path / "papers.db")


def test_a_name_of_several_papers_names_them(db: sqlite3.Connection, tmp_path: Path) -> None:
    """A PMCID that two papers claim shows neither, and tells their keys."""
    store_record(db, paper(1, "10.1000/a", title="One", pmc="PMC5"), FIRST)
    store_record(db, paper(2, title="Two", pmc="PMC5"), FIRST)
    with pytest.raises(UsageError, match=r"PMC5 is of 2 papers: name one by its key: doi1:.*\(One\); pmid:2 \(Two\)"):
        show("PMC5", tmp_path / "papers.db")


@pytest.mark.parametrize("name", ["", "asthma", "10.1000", "PMC", "-5", "12a"])
def test_what_is_no_name_is_refused(db: sqlite3.Connection, tmp_path: Path, name: str) -> None:
    """Words are no name: they are for a search."""
    store_record(db, paper(1), FIRST)
    with pytest.raises(UsageError, match="papers search"):
        show(name, tmp_path / "papers.db")


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    """A missing file is not made, and another database is refused by name."""
    with pytest.raises(JournalMissing, match="papers sync makes one"):
        show("1", tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(NotAJournal, match=r"other\.db"):
        show("1", tmp_path / "other.db")


def test_a_paper_tells_what_it_is_to_others(db: sqlite3.Connection, tmp_path: Path) -> None:
    """A notice that is in the library retracts its article: both show the link, the article that it is retracted."""
    store_record(db, work("10.1000/article", title=["An article"]), FIRST)
    notice = {"DOI": "10.1000/article", "type": "retraction", "updated": {"date-parts": [[2024, 5, 1]]}}
    store_record(db, work("10.1000/notice", title=["A notice"], **{"update-to": [notice]}), FIRST)
    article, told = (show(doi, tmp_path / "papers.db") for doi in ("10.1000/article", "10.1000/notice"))
    assert (article["status"], told["status"]) == ("retracted", "")
    assert [(link["kind"], link["doi"], link["title"], link["date"]) for link in article["links"]] == [
        ("retracted-by", "10.1000/notice", "A notice", "2024-05-01")
    ]
    assert [(link["kind"], link["doi"]) for link in told["links"]] == [("retracts", "10.1000/article")]
