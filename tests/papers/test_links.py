"""Links between papers: read from both services, told from both ends, and what they make of a paper."""

from __future__ import annotations

import gzip
import json
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from leftoff.errors import JournalMissing, NoSuchPaper, NotAJournal, UsageError
from leftoff.papers import links_of, pubmed, status_of, tables, works
from leftoff.papers.linked import links_in, status_in
from leftoff.papers.links import INVERSE, REF_TYPES, RELATIONS, STATUSES, STRENGTH, UPDATES
from leftoff.papers.record import Link, Record
from leftoff.papers.store import record_absence, store_record
from tests.papers.conftest import CHECKOUT, RealRecords

DAY, NEXT = "2026-01-02T03:04:05.000000Z", "2026-01-03T03:04:05.000000Z"
SHARED = CHECKOUT.parent / "shared" / "papers-data" / "crossref"
WORKS = SHARED if SHARED.is_dir() else CHECKOUT / "examples" / "papers" / "works"

# After NLM's format: what no real record at hand shows is made with this.
MADE = """<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>{pmid}</PMID><Article>
<Journal><JournalIssue><PubDate><Year>2021</Year><Month>Mar</Month></PubDate></JournalIssue><Title>Made</Title></Journal>
<ArticleTitle>{title}</ArticleTitle><PublicationTypeList>{types}</PublicationTypeList></Article>
<CommentsCorrectionsList>{links}</CommentsCorrectionsList></MedlineCitation>
<PubmedData><ArticleIdList>{ids}</ArticleIdList></PubmedData></PubmedArticle></PubmedArticleSet>"""


def article(
    pmid: int, *links: tuple[str, str, int | None], types: Iterable[str] = (), doi: str = "", title: str = "T"
) -> Record:
    """Return a made record of PubMed: its links are a RefType, a RefSource and a PMID each."""
    said = "".join(
        f'<CommentsCorrections RefType="{name}"><RefSource>{source}</RefSource>'
        f"{'' if number is None else f'<PMID>{number}</PMID>'}</CommentsCorrections>"
        for name, source, number in links
    )
    ids = f'<ArticleId IdType="doi">{doi}</ArticleId>' if doi else ""
    named = "".join(f"<PublicationType>{name}</PublicationType>" for name in types)
    (record,) = pubmed.records(MADE.format(pmid=pmid, title=title, types=named, links=said, ids=ids).encode())
    return record


def work(doi: str, **fields: Any) -> Record:
    """Return a made work of Crossref."""
    return works.record(works.work({"DOI": doi, "title": ["W"], **fields}))


def update(doi: str, name: str, **more: Any) -> dict[str, Any]:
    """Return an entry of ``update-to`` as Crossref has it."""
    return {"DOI": doi, "type": name, "label": name.title(), "updated": {"date-parts": [[2020, 5, 6]]}, **more}


@cache
def real_works() -> list[dict[str, Any]]:
    """Return all real works at hand, read once."""
    with gzip.open(WORKS / "works.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def stored(connection: sqlite3.Connection, *records: Record) -> None:
    """Store records, all on one day."""
    for record in records:
        store_record(connection, record, DAY)


def number(connection: sqlite3.Connection, name: str) -> int:
    """Return the number of the paper with this identifier."""
    (found,) = connection.execute("SELECT paper_id FROM identifier WHERE value = ?", (name,)).fetchone()
    return int(found)


def status(connection: sqlite3.Connection, name: str) -> str:
    """Return the status of the paper with this identifier."""
    return status_in(connection, number(connection, name))["status"]


def kinds(connection: sqlite3.Connection, name: str) -> list[tuple[str, str | None, str | None]]:
    """Return the links of the paper with this identifier: kind, DOI and PMID."""
    return [(link["kind"], link["doi"], link["pmid"]) for link in links_in(connection, number(connection, name))]


def test_each_kind_is_its_inverse_s_inverse() -> None:
    """No word of either service leads to a kind without an inverse, and each status has its strength."""
    assert all(INVERSE[INVERSE[kind]] == kind for kind in INVERSE)
    assert {*REF_TYPES.values(), *UPDATES.values(), *RELATIONS.values()} <= INVERSE.keys()
    assert STATUSES.keys() <= INVERSE.keys()
    assert {*STATUSES.values(), "deleted"} == set(STRENGTH)


def test_every_real_link_of_pubmed_is_read(real: RealRecords, every_record: list[Record]) -> None:
    """Of the real records each comment and correction becomes a link, counted in their text without a parser."""
    counted: Counter[str] = Counter()
    pmids = 0
    for data in real.files():
        for name, inside in re.findall(
            r'<CommentsCorrections RefType="(\w+)">(.*?)</CommentsCorrections>', data.decode(), re.DOTALL
        ):
            counted[name] += name != "Cites"
            pmids += name != "Cites" and "<PMID" in inside
    read = Counter(link.kind for record in every_record for link in record.links)
    assert sum(read.values()) == sum(counted.values()) > 0
    corrections = counted["ErratumIn"] + counted["ErratumFor"] + counted["RepublishedFrom"]
    assert read["corrected-by"] + read["corrects"] == corrections > 0
    assert read["retracted-by"] == counted["RetractionIn"]
    assert sum(link.pmid is not None for record in every_record for link in record.links) == pmids
    if real.total is not None:
        assert (read["retracted-by"], read["corrected-by"], read["corrects"]) == (3, 17, 5)


def test_every_real_link_of_crossref_is_read() -> None:
    """Of the real works each update and relation becomes a link, and each DOI in it one in normal form."""
    for fields in real_works():
        links = works.record(works.work(fields)).links
        updates = {(each["type"], each["DOI"].lower()) for each in fields.get("update-to", [])}
        assert {link.doi for link in links if INVERSE[link.kind] in (*STATUSES, "updated-by")} >= {
            doi for _, doi in updates
        }
        related = {
            (name, each["id"].lower())
            for name, listed in fields.get("relation", {}).items()
            for each in listed
            if name not in ("cites", "references")
        }
        plain = [link for link in links if link.text is None]
        assert len(related - {("correction", doi) for _, doi in related}) == len(plain)
        assert {link.doi for link in plain if link.doi} <= {doi for _, doi in related}
        assert all(link.doi or link.other for link in links)


def test_real_works_have_the_links_that_were_counted() -> None:
    """The real works hold as many of each kind as were counted when the data were gathered."""
    having = Counter(kind for fields in real_works() for kind in {link.kind for link in _links(fields)})
    if SHARED.is_dir():
        assert having["has-preprint"] == 23
        assert having["preprint-of"] == 10
        assert (having["corrects"], having["updates"], having["retracts"]) == (33, 3, 2)
        assert having["corrected-by"] == 2
    else:
        assert having


def _links(fields: dict[str, Any]) -> tuple[Link, ...]:
    return works.record(works.work(fields)).links


def test_a_real_retraction_says_who_and_when(papers: sqlite3.Connection, every_record: list[Record]) -> None:
    """A retracted article is retracted since the day of its notice, and its own record says so."""
    stored(papers, *every_record)
    record = next(record for record in every_record if any(link.kind == "retracted-by" for link in record.links))
    standing = status_in(papers, number(papers, str(record.pmid)))
    assert standing["status"] == "retracted"
    assert standing["date"] is not None
    assert record.date is not None
    assert standing["date"][:4] >= record.date[:4]
    assert standing["said_by"] == [{"source": "pubmed", "identifier": record.pmid, "asserted_by": None}]
    marked = papers.execute("SELECT count(*) FROM status WHERE status = 'retracted'").fetchone()
    assert marked == (sum("Retracted Publication" in (record.type or "") for record in every_record),)


@pytest.mark.parametrize("turned", [False, True])
def test_a_notice_retracts_an_article_that_does_not_know(papers: sqlite3.Connection, turned: bool) -> None:
    """Whichever of the two is stored first, the notice alone makes the article retracted, and itself nothing."""
    both = [article(1), article(2, ("RetractionOf", "Made. 2001 Jan;1(1):1", 1))]
    stored(papers, *(reversed(both) if turned else both))
    assert (status(papers, "1"), status(papers, "2")) == ("retracted", "")
    assert kinds(papers, "1") == [("retracted-by", None, "2")]
    assert kinds(papers, "2") == [("retracts", None, "1")]
    (link,) = links_in(papers, number(papers, "1"))
    assert (link["title"], link["date"]) == ("T", "2021-03")  # the notice's day, not the article's
    assert link["said_by"] == [{"source": "pubmed", "identifier": "2", "asserted_by": None}]


def test_a_notice_of_crossref_retracts_an_article_of_pubmed(papers: sqlite3.Connection) -> None:
    """The two services meet in the DOI, and Crossref tells who of its sources says so."""
    stored(papers, article(1, doi="10.1000/A"), work("10.1000/n", **{
        "update-to": [update("https://doi.org/10.1000/A", "retraction", source="retraction-watch")]
    }))  # fmt: skip
    standing = status_in(papers, number(papers, "1"))
    assert standing == {
        "status": "retracted",
        "date": "2020-05-06",
        "said_by": [{"source": "crossref", "identifier": "10.1000/n", "asserted_by": "retraction-watch"}],
    }


def test_what_both_records_say_is_one_link(papers: sqlite3.Connection) -> None:
    """Article and notice name each other: one link, with both as those who say so."""
    stored(papers, article(1, ("RetractionIn", "X. 2021", 2)), article(2, ("RetractionOf", "Y. 2001", 1)))
    (link,) = links_in(papers, number(papers, "1"))
    assert [each["identifier"] for each in link["said_by"]] == ["1", "2"]
    assert [each["identifier"] for each in status_in(papers, number(papers, "1"))["said_by"]] == ["1", "2"]


def test_one_paper_named_by_doi_and_by_pmid_is_one_link(papers: sqlite3.Connection) -> None:
    """Where the other paper is here, the link has all its names, and a record that says it twice says it once."""
    links = [("RetractionIn", "X. doi: 10.1000/b", None), ("RetractionIn", "X. 2021", 2)]
    stored(papers, article(1, *links), article(2, doi="10.1000/b"), article(4, ("CommentOn", "10.1000/b", None)))
    assert kinds(papers, "4") == [("comments-on", "10.1000/b", "2")]
    assert kinds(papers, "1") == [("retracted-by", "10.1000/b", "2")]
    (link,) = links_in(papers, number(papers, "1"))
    assert [each["identifier"] for each in link["said_by"]] == ["1"]


def test_a_link_whose_doi_and_pmid_differ_is_to_the_pmid(papers: sqlite3.Connection) -> None:
    """Two papers are not both retracted by one link: PubMed's own number counts."""
    stored(papers, article(1), article(2, doi="10.1000/b"), article(3, ("RetractionOf", "X. doi: 10.1000/b", 1)))
    assert (status(papers, "1"), status(papers, "2")) == ("retracted", "")


def test_the_view_names_pubmed_first(papers: sqlite3.Connection) -> None:
    """Of several records that say the same on one day the view has PubMed's, however they came."""
    notice = work(
        "10.1000/n", **{"update-to": [update("10.1000/a", "retraction", updated={"date-parts": [[2021, 3]]})]}
    )
    stored(papers, article(1, doi="10.1000/a"), notice, article(9, ("RetractionOf", "X", 1)))
    stored(papers, article(8, ("RetractionOf", "X", 1)))
    found = papers.execute("SELECT status, date, source, identifier FROM status").fetchall()
    assert found == [("retracted", "2021-03", "pubmed", 8)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("retraction", "retracted"),
        ("withdrawal", "withdrawn"),
        ("removal", "withdrawn"),
        ("partial_retraction", "partly retracted"),
        ("expression_of_concern", "concern"),
        ("Expression-of-Concern", "concern"),
        ("corrigendum", "corrected"),
        ("addendum", "corrected"),
        ("new_version", ""),
        ("something_new", ""),
    ],
)
def test_each_update_makes_of_its_article_what_it_says(papers: sqlite3.Connection, name: str, expected: str) -> None:
    """Each type of update of Crossref's (made) leads to its status, also when the article's own work names it."""
    stored(papers, work("10.1000/a"), work("10.1000/n", **{"update-to": [update("10.1000/A", name)]}))
    stored(papers, work("10.1000/b", **{"updated-by": [update("10.1000/m", name)]}))
    assert (status(papers, "10.1000/a"), status(papers, "10.1000/b")) == (expected, expected)
    assert status(papers, "10.1000/n") == ""
    assert len(kinds(papers, "10.1000/a")) == len(kinds(papers, "10.1000/b")) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RetractionIn", "retracted"),
        ("RetractedandRepublishedIn", "retracted"),
        ("PartialRetractionIn", "partly retracted"),
        ("ExpressionOfConcernIn", "concern"),
        ("ErratumIn", "corrected"),
        ("CorrectedandRepublishedIn", "corrected"),
        ("UpdateIn", ""),
        ("RepublishedIn", ""),
        ("CommentIn", ""),
    ],
)
def test_each_reference_of_pubmed_makes_of_its_article_what_it_says(
    papers: sqlite3.Connection, name: str, expected: str
) -> None:
    """Each RefType (made) leads to its status, and the one it names to none."""
    stored(papers, article(1, (name, "X. 2021 Mar 4;1(1):1", 2)), article(2))
    assert (status(papers, "1"), status(papers, "2")) == (expected, "")
    (link,) = links_in(papers, number(papers, "1"))
    assert link["date"] == "2021-03-04"


def test_the_strongest_status_stands(papers: sqlite3.Connection) -> None:
    """Of everything that became of a paper the strongest is its status, whoever says the rest."""
    said = [("ErratumIn", "X. 2020", 2), ("ExpressionOfConcernIn", "X. 2020", 3), ("RetractionIn", "X. 2022", 4)]
    for last in range(1, 4):
        record = article(1, *said[:last])
        store_record(papers, record, f"2026-01-0{last}T00:00:00.000000Z")
        assert status(papers, "1") == ("corrected", "concern", "retracted")[last - 1]
    assert [kind for kind, _, _ in kinds(papers, "1")] == ["retracted-by", "concern-by", "corrected-by"]


def test_a_revision_that_takes_it_back_clears_it(papers: sqlite3.Connection) -> None:
    """Links are those of the last text: what a revised record no longer says is gone."""
    store_record(papers, article(1, ("RetractionIn", "X. 2020", 2)), DAY)
    store_record(papers, article(1), NEXT)
    assert (status(papers, "1"), kinds(papers, "1")) == ("", [])


def test_a_retracted_publication_without_a_notice_is_retracted(papers: sqlite3.Connection) -> None:
    """The publication type alone says so; a notice's own type does not."""
    stored(papers, article(1, types=["Retracted Publication"]), article(2, types=["Retraction of Publication"]))
    assert (status(papers, "1"), status(papers, "2")) == ("retracted", "")


def test_a_title_is_not_believed() -> None:
    """Real works with "Retracted:" in the title are notices: they are not taken for retracted."""
    titled = [fields for fields in real_works() if str(fields.get("title")).startswith("['Retracted:")]
    assert titled or not SHARED.is_dir()
    assert [link for fields in titled for link in _links(fields) if link.kind == "retracted-by"] == []


def test_a_paper_that_retracts_itself_is_retracted(papers: sqlite3.Connection) -> None:
    """A notice under its article's DOI is one paper with it: retracted, told once, not also as what retracts."""
    stored(papers, article(1, doi="10.1000/a"), article(2, ("RetractionOf", "X. 2001", 1), doi="10.1000/a"))
    assert status(papers, "1") == "retracted"
    assert [kind for kind, _, _ in kinds(papers, "1")] == ["retracted-by"]


def test_a_real_work_that_updates_itself_is_updated(papers: sqlite3.Connection) -> None:
    """A new version or a correction deposited over the work tells of itself: no other paper is made up."""
    own = [
        fields
        for fields in real_works()
        if any(each["DOI"].lower() == fields["DOI"] for each in fields.get("update-to", []))
    ]
    assert own or not SHARED.is_dir()
    for fields in own:
        stored(papers, works.record(works.work(fields)))
        corrected = {each["type"] for each in fields["update-to"]} == {"correction"}
        itself = [kind for kind, doi, _ in kinds(papers, fields["DOI"]) if doi == fields["DOI"]]
        assert itself == ["corrected-by" if corrected else "updated-by"]
        assert status(papers, fields["DOI"]) == ("corrected" if corrected else "")


def test_preprint_and_article_find_each_other_in_pubmed(papers: sqlite3.Connection) -> None:
    """PubMed calls it an update (made); with a Preprint or a preprint server in it, it is told as what it is."""
    stored(
        papers,
        article(1, ("UpdateIn", "Nature. 2022 Feb;1(1):1", 2), types=["Preprint"]),
        article(2, ("UpdateOf", "medRxiv. 2021 Jan 5:2021.01.05.1. doi: 10.1101/2021.01.05.1", None)),
        article(3, ("UpdateOf", "Cochrane Database Syst Rev. 2000;(2):CD000078", 4)),
        article(5, ("UpdateIn", "ArXiv. 2022 Feb", 6), types=["Preprint"]),
    )
    assert ("preprint-of", None, "2") in kinds(papers, "1")
    assert kinds(papers, "2") == [("has-preprint", None, "1"), ("has-preprint", "10.1101/2021.01.05.1", None)]
    assert kinds(papers, "3") == [("updates", None, "4")]
    assert kinds(papers, "5") == [("updated-by", None, "6")]


def test_what_is_corrected_and_republished_corrects(papers: sqlite3.Connection, every_record: list[Record]) -> None:
    """Under the older name of the reference the real corrected articles still correct the ones before them."""
    republished = [record for record in every_record if "Corrected and Republished" in (record.type or "")]
    for record in republished:
        assert [link.kind for link in record.links] == ["corrects"]
        stored(papers, article(int(record.links[0].pmid or 0)), record)
        assert status(papers, str(record.links[0].pmid)) == "corrected"
    assert article(1, ("RepublishedFrom", "X. 2001", 2)).links[0].kind == "republishes"


def test_relations_are_kept_whatever_they_name() -> None:
    """DOIs in any form become DOIs; other identifiers, unknown words and unusable values stay what they are, or go."""
    relation: dict[str, Any] = {
        "is-preprint-of": {"id-type": "doi", "id": "HTTPS://doi.org/10.1000/%41b", "asserted-by": "subject"},
        "is-supplemented-by": [{"id-type": "accession", "id": "7M3P"}, {"id-type": "uri", "id": "http://x.org/1"}],
        "is-version-of": [{"id-type": "uri", "id": "https://dx.doi.org/10.1000/V"}, {"id-type": "doi", "id": "none"}],
        "has-review": [{"id-type": "pmid", "id": "77"}],
        "is-derived-from": [{"id-type": "doi", "id": "10.1000/d"}, {"id-type": "doi"}, None, "10.1000/x"],
        "cites": [{"id-type": "doi", "id": "10.1000/cited"}],
        "correction": [{"id-type": "doi", "id": "10.1000/c", "asserted-by": "object"}],
    }
    assert work("10.1000/a", relation=relation).links == (
        Link("preprint-of", doi="10.1000/ab", asserted_by="subject"),
        Link("supplemented-by", other="accession:7M3P"),
        Link("supplemented-by", other="http://x.org/1"),
        Link("version-of", doi="10.1000/v"),
        Link("version-of", other="none"),
        Link("reviewed-by", pmid=77),
        Link("related-to", doi="10.1000/d", text="is-derived-from"),
        Link("corrected-by", doi="10.1000/c", asserted_by="object"),
    )
    for broken in (None, [], "x", 7, {"has-review": None}, {"has-review": 7}):
        assert work("10.1000/a", relation=broken, **{"update-to": broken, "updated-by": broken}).links == ()


def test_a_reference_without_a_pmid_keeps_its_words_and_its_doi() -> None:
    """A DOI in the text is found; an unknown type is kept by name; one that says nothing is none."""
    record = article(
        1,
        ("CommentOn", "doi: 10.1073/PNAS.2220570120.", None),
        ("ErratumIn", "Nature 2001 Jun 7;411(6838):720", None),
        ("SomethingNew", "X. 2020", 5),
        ("ErratumIn", "", None),
        ("ErratumIn", "Nature 2001 Jun 7;411(6838):720", None),
    )
    assert record.links == (
        Link("comments-on", doi="10.1073/pnas.2220570120", text="doi: 10.1073/PNAS.2220570120.", date="2021-03"),
        Link("corrected-by", text="Nature 2001 Jun 7;411(6838):720", date="2001-06-07"),
        Link("related-to", pmid=5, text="SomethingNew: X. 2020"),
    )


def test_the_order_of_records_does_not_matter(every_record: list[Record]) -> None:
    """However real and made records are ordered, links, both their ends and statuses come out the same."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    linked = [record for record in every_record if record.links]
    records = [
        *linked,
        article(1, doi="10.1000/a"),
        article(2, ("RetractionOf", "X", 1), ("ErratumFor", "X", 3), doi="10.1000/b"),
        article(3, ("ErratumIn", "X", 2), doi="10.1000/a"),
        work("10.1000/b", **{"update-to": [update("10.1000/a", "correction"), update("10.1000/b", "removal")]}),
        work("10.1000/a", relation={"has-preprint": [{"id-type": "doi", "id": "10.1000/p"}]}),
        work("10.1000/p"),
    ]
    results = []
    for _ in range(4):
        rng.shuffle(records)
        connection = sqlite3.connect(":memory:")
        tables.create(connection)
        stored(connection, *records)
        keys = connection.execute("SELECT key, id FROM paper ORDER BY key").fetchall()
        results.append([(key, links_in(connection, paper), status_in(connection, paper)) for key, paper in keys])
        ours = {doi: status(connection, doi) for doi in ("10.1000/a", "10.1000/b", "10.1000/p")}
        assert ours == {"10.1000/a": "retracted", "10.1000/b": "withdrawn", "10.1000/p": ""}
        connection.close()
    assert results[0] == results[1] == results[2] == results[3]


def test_a_record_that_leaves_a_paper_takes_its_links_along(papers: sqlite3.Connection) -> None:
    """The paper that it joins has them then, and no row of a paper that is gone stays."""
    stored(papers, article(1, ("RetractionIn", "X", 9)), article(2, doi="10.1000/a"))
    store_record(papers, article(1, ("RetractionIn", "X", 9), doi="10.1000/a"), NEXT)
    assert status(papers, "10.1000/a") == "retracted"
    lost = papers.execute("SELECT count(*) FROM link WHERE paper_id NOT IN (SELECT id FROM paper)").fetchone()
    assert lost == (0,)


def test_a_deleted_record_is_marked_until_it_comes_again(papers: sqlite3.Connection) -> None:
    """It stays, with the first day on which it was denied; its paper is deleted only when no record is left."""
    stored(papers, article(1, doi="10.1000/a"), work("10.1000/a"))
    assert record_absence(papers, "pubmed", 1, DAY) == "deleted"
    assert record_absence(papers, "pubmed", 1, NEXT) == "deleted"
    assert papers.execute("SELECT deleted_at FROM raw WHERE source = 'pubmed'").fetchone() == (DAY,)
    assert status(papers, "1") == ""
    record_absence(papers, "crossref", "10.1000/a", NEXT)
    assert status_in(papers, number(papers, "1")) == {
        "status": "deleted",
        "date": "2026-01-02",
        "said_by": [
            {"source": "pubmed", "identifier": "1", "asserted_by": None},
            {"source": "crossref", "identifier": "10.1000/a", "asserted_by": None},
        ],
    }
    assert store_record(papers, article(1, doi="10.1000/a"), NEXT) == "unchanged"
    assert status(papers, "1") == ""
    assert record_absence(papers, "pubmed", 99, NEXT) == "absent"


@pytest.mark.parametrize("name", ["1", "PMID: 1", "pmid:0001", "10.1000/A", "https://doi.org/10.1000/a"])
def test_a_paper_is_asked_for_by_doi_or_pmid(name: str, tmp_path: Path) -> None:
    """Both functions read a database by any form of the name, and leave it as it is."""
    db = tmp_path / "papers.db"
    connection = sqlite3.connect(db)
    tables.create(connection)
    stored(connection, article(1, ("RetractionIn", "X. 2020", 2), doi="10.1000/a"))
    connection.commit()
    connection.close()
    before = db.read_bytes()
    assert status_of(db, name)["status"] == "retracted"
    assert [link["kind"] for link in links_of(db, name)] == ["retracted-by"]
    assert db.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["papers.db"]


def test_tables_without_links_are_refused_by_name(tmp_path: Path) -> None:
    """A database of an earlier layout is neither changed nor read wrongly: both say what it lacks or what to do."""
    db = tmp_path / "papers.db"
    connection = sqlite3.connect(db)
    connection.execute("CREATE TABLE paper (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE raw (source TEXT, identifier, digest BLOB)")
    connection.commit()
    with pytest.raises(UsageError, match="move the database away"):
        tables.create(connection)
    assert connection.execute("SELECT name FROM sqlite_master ORDER BY 1").fetchall() == [("paper",), ("raw",)]
    connection.close()
    with pytest.raises(NotAJournal, match="no such table: link"):
        status_of(db, "1")


def test_wrong_names_and_places_are_said(tmp_path: Path) -> None:
    """A name that is none, one that is not there, and a file without papers are told apart."""
    connection = sqlite3.connect(tmp_path / "papers.db")
    tables.create(connection)
    connection.close()
    (tmp_path / "other.db").write_text("hello " * 100)
    for function in (links_of, status_of):
        with pytest.raises(UsageError, match="no DOI, PMID, PMCID or key"):
            function(tmp_path / "papers.db", "Smith 2020")
        with pytest.raises(NoSuchPaper, match="no paper here has the PMID 7"):
            function(tmp_path / "papers.db", "7")
        with pytest.raises(JournalMissing, match="papers sync makes one"):
            function(tmp_path / "none.db", "7")
        with pytest.raises(NotAJournal, match=r"other\.db"):
            function(tmp_path / "other.db", "7")
