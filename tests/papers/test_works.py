"""Crossref's works, read from real ones; what none of them shows is made here and says so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from leftoff.papers import doi as dois
from leftoff.papers import works
from leftoff.papers.markup import in_a_line, in_paragraphs
from leftoff.papers.reply import Inconsistent
from leftoff.testing.crossref_works import load
from tests.papers.conftest import CHECKOUT

SHARED = CHECKOUT.parent / "shared" / "papers-data" / "crossref"
WORKS = SHARED if SHARED.is_dir() else CHECKOUT / "examples" / "papers" / "works"


def made(**fields: Any) -> works.Record:
    """Return the record of a work made for a test."""
    return works.record(works.work({"DOI": "10.1000/a", **fields}))


@pytest.fixture(scope="module")
def real_works() -> list[dict[str, Any]]:
    return [version for work in load(WORKS).values() for version in work.versions]


def test_every_real_work_is_read(real_works: list[dict[str, Any]]) -> None:
    """Each version of each work, however odd, says what its own fields say, counted here by themselves."""
    assert len(real_works) > 300
    for fields in real_works:
        record = works.record(works.work(fields))
        assert record.identifier == record.doi == dois.normal(fields["DOI"])
        assert (record.title is None) == (
            not any(each.strip() for each in [*fields.get("title", ()), *fields.get("subtitle", ())])
        )
        assert (record.journal is None) == (not any(each.strip() for each in fields.get("container-title", ())))
        text = re.sub(r"<[^>]*>", "", fields.get("abstract", "")).strip()
        assert (record.abstract is None) == (text in ("", "Abstract"))  # one is a figure with that title
        assert record.type == (fields.get("type") or None)
        named = [
            each for each in fields.get("author", ()) if each.get("family") or each.get("given") or each.get("name")
        ]
        assert len(record.authors) == len(named)
        assert all(author.name for author in record.authors)
        issued = fields["issued"]["date-parts"][0][0]
        assert issued is None or record.year == issued
        assert record.date is None or record.date.startswith(f"{record.year:04}")
        assert works.reread(record.raw) == record


def test_nothing_is_left_of_marks(real_works: list[dict[str, Any]]) -> None:
    """Titles, journals and abstracts have no tag and no entity in them, and titles no line breaks."""
    left = re.compile(r"</?(?:i|b|sub|sup|scp|italic|jats:\w+|mml:\w+|p|title)\b[^<>]*>|&(?:amp|lt|gt|quot|#\d+);")
    for fields in real_works:
        record = works.record(works.work(fields))
        for text in (record.title, record.journal, record.publisher, record.abstract):
            assert text is None or left.search(text) is None, text
        assert "\n" not in (record.title or "")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("H<sub>2</sub>O and <i>Homo\n   sapiens</i>", "H2O and Homo sapiens"),
        ("Hybrid &lt;scp&gt;risk\u2010averse&lt;/scp&gt; energy", "Hybrid risk\u2010averse energy"),
        ("<scp>T</scp>reebase: an<scp>R</scp>package", "Treebase: anRpackage"),
        ("of the<i>Drosophila pseudoobscura</i>subgroup", "of the Drosophila pseudoobscura subgroup"),
        ("PPAR<i>\u03b1</i>, and<i>\u03b2</i>-Cells", "PPAR\u03b1, and \u03b2-Cells"),
        ("Archives of Pediatrics &amp;amp; Adolescent Medicine", "Archives of Pediatrics & Adolescent Medicine"),
        ("when p &lt; 0.05 and a < b, c > d", "when p < 0.05 and a < b, c > d"),
        ("of Fulcher-<mml:math><mml:mi>\u03b1</mml:mi></mml:math> light", "of Fulcher-\u03b1 light"),
        ('<tex-math id="t">$$\\alpha$$</tex-math>seen', "seen"),
        ("  ", ""),
    ],
)  # fmt: skip
def test_a_title_is_read_as_one_line(text: str, read: str) -> None:
    """As a reader sees it: depositors escape tags and lose spaces around italics, and a `<` may be a `<`."""
    assert in_a_line(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<jats:p>One.</jats:p>", "One."),
        ("<jats:title>Abstract</jats:title><jats:p>One <jats:italic>two</jats:italic>.</jats:p>", "One two."),
        (
            "<jats:sec><jats:title>Background</jats:title><jats:p>A.</jats:p></jats:sec>"  # noqa: ISC004
            "\n<jats:sec><jats:title>Methods:</jats:title>\n<jats:p>B.</jats:p><jats:p>C.</jats:p></jats:sec>",
            "Background: A.\n\nMethods: B.\n\nC.",
        ),
        ("<p>One.</p><p>Two.</p>", "One.\n\nTwo."),
        ("Abstract: plain text &amp; more", "plain text & more"),
        ("plain\n  text", "plain text"),
        ("<jats:title>Abstract</jats:title>", ""),
    ],
)
def test_an_abstract_is_read_as_paragraphs(text: str, read: str) -> None:
    """Sections lead their first paragraph with their title; the title of it all is none."""
    assert in_paragraphs(text) == read


@pytest.mark.parametrize(
    ("fields", "date"),
    [
        ({"issued": {"date-parts": [[2020, 2, 30]]}}, "2020-02"),
        ({"issued": {"date-parts": [[2020, 2, 29]]}}, "2020-02-29"),
        ({"issued": {"date-parts": [[2020, 13]]}}, "2020"),
        ({"issued": {"date-parts": [[None]]}, "published-print": {"date-parts": [["1999", "7"]]}}, "1999-07"),
        ({"issued": {"date-parts": [[None]]}, "created": {"date-parts": [[2019, 1, 1]]}}, None),
        ({"issued": {"date-parts": []}}, None),
        ({"issued": {"date-parts": [[0]]}}, None),
        ({"issued": "2020"}, None),
        ({}, None),
        ({"posted": {"date-parts": [[2021, 4]]}}, "2021-04"),
    ],
)
def test_a_date_is_as_exact_as_it_is_known(fields: dict[str, Any], date: str | None) -> None:
    """[[null]] is no year, and the day of registration is no date of publication (made)."""
    assert made(**fields).date == date
    assert made(**fields).year == (None if date is None else int(date[:4]))


def test_authors_are_persons_or_bodies() -> None:
    """A body has only a name, a person may have only one; suffix, places and ORCID are theirs (made)."""
    listed = [
        {"family": "van der Berg", "given": "A. B.", "suffix": "Jr", "sequence": "first",
         "affiliation": [{"name": "X &amp; Y"}], "ORCID": "http://orcid.org/0000-0002-1694-233x"},
        {"name": "The <i>PLOS</i> Consortium"},
        {"family": "Plato"},
        {"given": "Aristoteles"},
        {"affiliation": []},
        "nonsense",
    ]  # fmt: skip
    authors = made(author=listed).authors
    assert [each.name for each in authors] == ["A. B. van der Berg Jr", "The PLOS Consortium", "Plato", "Aristoteles"]
    assert [each.collective for each in authors] == [None, "The PLOS Consortium", None, None]
    assert [each.last for each in authors] == ["van der Berg", None, "Plato", "Aristoteles"]
    assert (authors[0].affiliation, authors[0].orcid) == ("X & Y", "0000-0002-1694-233X")


def test_a_work_may_say_next_to_nothing() -> None:
    """Fields of the wrong kind are as if they were not there; only a DOI must be (made)."""
    record = made(title=None, author={"family": "X"}, ISSN="1234-5679", page=12, language="xx", issued=[], abstract=7)
    assert (record.title, record.authors, record.issn, record.pages) == (None, (), "1234-5679", "12")
    assert (record.language, record.year, record.type) == ("xx", None, None)
    for none in ({}, {"DOI": ""}, {"DOI": "nonsense"}, [], "x", None, 7):
        with pytest.raises(Inconsistent, match="without a DOI"):
            works.work(none)


def test_numbers_are_taken_from_their_urls() -> None:
    """ISBNs come as URLs in older records; the number of an article stands in for its pages (made)."""
    record = made(ISBN=["http://id.crossref.org/isbn/9783540123456", "9783540123456"], ISSN=["1", "1", "2"])
    assert (record.isbn, record.issn) == ("9783540123456", "1; 2")
    assert made(**{"article-number": "e123"}).pages == "e123"
    assert made(**{"article-number": "e123", "page": "1-9"}).pages == "1-9"
    assert made(language="de").language == "ger"


def test_a_subtitle_is_part_of_a_title_once() -> None:
    """It follows behind a colon, unless the title says it or ends as one does (made)."""
    assert made(title=["Mu"], subtitle=["a channel"]).title == "Mu: a channel"
    assert made(title=["Mu: a channel"], subtitle=["A channel"]).title == "Mu: a channel"
    assert made(title=["Who?"], subtitle=["Me"]).title == "Who? Me"
    assert made(title=[], subtitle=["Me"]).title == "Me"


def test_only_what_a_member_deposits_is_a_revision(real_works: list[dict[str, Any]]) -> None:
    """Indexed again, cited, found by another query: the digest stays. Anything else that changed changes it."""
    for fields in real_works[:200]:
        digest = works.work(fields).digest
        again = {**fields, "indexed": {"timestamp": 1}, "score": 7.5, "is-referenced-by-count": 10**6}
        assert works.work(dict(reversed(again.items()))).digest == digest
        for name in fields.keys() - works.VOLATILE - {"DOI"}:
            assert works.work({**fields, name: "changed"}).digest != digest


def lasting(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in works.VOLATILE}


def test_versions_of_a_work_differ_by_what_lasts() -> None:
    """Of the real works that have several versions those are revisions that differ in more than what is volatile."""
    differ = same = 0
    for work in load(WORKS).values():
        *older, newest = work.versions
        for version in older:
            is_other = works.work(version).digest != works.work(newest).digest
            assert is_other == (lasting(version) != lasting(newest))
            differ, same = differ + is_other, same + (not is_other)
    assert differ > 20
    assert same > 0


def test_moments_are_in_seconds() -> None:
    """When a work was registered and deposited, 0 where it does not say (made)."""
    work = works.work(
        {"DOI": "10.1000/a", "created": {"timestamp": 1_700_000_000_000}, "deposited": {"date-parts": [[1]]}}
    )
    assert (work.created, work.updated) == (1_700_000_000, 0)
