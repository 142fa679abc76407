"""Names as people type them."""

from __future__ import annotations

import pytest

from leftoff.papers.record import Record
from leftoff.papers.spelling import cited, contains, folded, is_called


@pytest.mark.parametrize(
    "wanted",
    ["Lovelace", "lovelace", "Ada Lovelace", "Lovelace Ada", "Lovelace, Ada B.", "A. Lovelace", "Lovelace A",
     "Lovelace AB", "LOVELACE", "A B Lovelace", "LOVELACE AB"],
)  # fmt: skip
def test_an_author_is_called_so(wanted: str) -> None:
    """Each way of writing a name names the author, initials and case whatever they are."""
    assert is_called("Ada Byron Lovelace", "Ada Byron", "AB", wanted)
    assert is_called("Ada Byron Lovelace", "Ada Byron", None, wanted)


@pytest.mark.parametrize("wanted", ["Love", "Lovelace C", "Lovelace AC", "Adam Lovelace", "Lovelace Lovelace", "", "-"])
def test_an_author_is_not_called_so(wanted: str) -> None:
    """Another name, other initials, half a name and no name are not the author's."""
    assert not is_called("Ada Byron Lovelace", "Ada Byron", "AB", wanted)


@pytest.mark.parametrize(
    ("name", "fore", "initials", "wanted"),
    [
        ("Jens J\u00f8rgensen", "Jens", "J", "Jorgensen J"),
        ("Ludwig van Beethoven", "Ludwig", "L", "van Beethoven L"),
        ("Ludwig van Beethoven", "Ludwig", "L", "Beethoven"),
        ("Paul M O'Byrne", "Paul M", "PM", "O'Byrne PM"),
        ("M\u00fcller-L\u00fcdenscheidt", None, None, "Muller Ludenscheidt"),
        ("RECOVERY Collaborative Group", None, None, "Recovery Collaborative"),
        ("\u738b\u4f1f", None, None, "\u738b\u4f1f"),
        ("X LI", "X", "X", "LI"),
        ("Iu I Mamukova", "Iu I", "IuI", "Mamukova IuI"),
        ("Mar\u00eda de la Fe Candel-Arenas", "Mar\u00eda de la Fe", "Mde L", "Candel-Arenas Mde L"),
        ("Ignace H J T de Hingh", "Ignace H J T", "IHJT", "de Hingh IHJT"),
    ],
)
def test_odd_names_are_found(name: str, fore: str | None, initials: str | None, wanted: str) -> None:
    """Marks, particles, hyphens, bodies and short names are no hindrance."""
    assert is_called(name, fore, initials, wanted)


def test_each_author_of_the_real_records_is_called_as_cited(every_record: list[Record]) -> None:
    """Whoever copies a name out of PubMed finds its papers."""
    for author in (each for record in every_record for each in record.authors):
        name = cited(author.last, author.fore, author.initials) or author.name
        assert is_called(author.name, author.fore, author.initials, name), name


def test_a_name_contains_whole_words() -> None:
    """A journal is named by some of its words, side by side, not by pieces of them."""
    assert contains("Lancet (London, England)", "lancet")
    assert contains("The Lancet. Oncology", "Lancet Oncology")
    assert contains("Revue fran\u00e7aise d'allergologie", "francaise")
    assert not contains("The Lancet. Oncology", "The Oncology")
    assert not contains("Lancets", "lancet")
    assert not contains(None, "lancet")


def test_folding_takes_marks_off() -> None:
    """Case, marks and the letters that Unicode does not take apart go; other letters stay."""
    assert folded("\u0141ukasz M\u00fcller-S\u00f8rensen, Stra\u00dfe, \u0130") == "lukasz muller-sorensen, strasse, i"
    assert folded("\u03b2-\u30ac") == "\u03b2-\u30ab"


def test_a_citation_has_initials() -> None:
    """A person is cited by the last name and initials, which come from the given names where none are told."""
    assert cited("Lovelace", "Ada Byron", None) == "Lovelace AB"
    assert cited("Lovelace", "Ada", "AB") == "Lovelace AB"
    assert cited("Lovelace", None, None) is None
    assert cited(None, None, None) is None
