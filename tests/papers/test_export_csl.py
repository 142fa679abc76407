"""Papers as CSL-JSON."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from leftoff.papers.export_csl import item, write_csl
from leftoff.papers.record import Author
from tests.papers.conftest import CHECKOUT
from tests.papers.exporting import body, library, made, person, written

SCHEMA = json.loads((CHECKOUT / "tests" / "data" / "csl" / "csl-data.json").read_text("utf-8"))


def wrong(items: Any) -> list[str]:
    """Return what the schema of CSL-JSON says against items."""
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(items)]


def test_every_real_paper_is_an_item_of_the_schema() -> None:
    """All are valid, none shares its id, and nothing in them is empty."""
    items = json.loads(written(write_csl, library().values()))
    assert wrong(items) == []
    assert len({each["id"] for each in items}) == len(items) == len(library())
    for each in items:
        assert "" not in each.values()
        for name in each.get("author", []):
            assert name
            assert "" not in name.values()


def test_the_schema_bites() -> None:
    """A type that is none, a list of ISSNs and a name with a stray part are refused."""
    good = {"id": "a", "type": "book"}
    assert wrong([good]) == []
    for bad in ({"type": "journal-article"}, {"ISSN": ["1"]}, {"author": [{"last": "X"}]}):
        assert wrong([{**good, **bad}])


def test_no_papers_are_an_empty_array() -> None:
    """A file without items is JSON too."""
    assert json.loads(written(write_csl, [])) == []


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        (person("Lovelace", "Ada B"), {"family": "Lovelace", "given": "Ada B"}),
        (
            person("de la Viuda", "J M"),
            {"family": "Viuda", "given": "J M", "non-dropping-particle": "de la"},
        ),
        (person("deVere White", "R"), {"family": "deVere White", "given": "R"}),
        (person("Smith", "S", "Jr"), {"family": "Smith", "given": "S", "suffix": "Jr"}),
        (person("Basappa"), {"family": "Basappa"}),
        (person("Yuting Yin"), {"literal": "Yuting Yin"}),
        (person(None, "Plato"), {"family": "Plato"}),
        (body("WISDOM team"), {"literal": "WISDOM team"}),
    ],
)
def test_names(author: Author, expected: dict[str, str]) -> None:
    """Persons in parts, bodies literally."""
    assert item(made(author))["author"] == [expected]


def test_what_is_not_known_is_not_there() -> None:
    """No year is no date, and "n/a" no page."""
    paper = made(journal=None, volume="null", pages="n/a-n/a", language="und")
    assert item(paper).keys() == {"id", "type"}


@pytest.mark.parametrize(("said", "language"), [("eng", "en"), ("fre; eng", "fr"), ("mul", "mul"), ("chi", "zh")])
def test_a_language_is_a_locale(said: str, language: str) -> None:
    """Two letters where there are two, of several languages the first."""
    assert item(made(language=said))["language"] == language


def test_a_book_is_part_of_a_series_and_not_of_itself() -> None:
    """The title of a whole book is not once more what it is part of."""
    assert item(made(type="book", title="B", journal="S"))["collection-title"] == "S"
    assert item(made(type="Book", source="pubmed", title="B", journal="B")).keys() == {"id", "type", "title"}


def test_an_abstract_keeps_its_paragraphs() -> None:
    """And a title is one line."""
    made_of = item(made(title="a\n b", abstract="A: x\ny\n\nB: z"))
    assert (made_of["title"], made_of["abstract"]) == ("a b", "A: x y\n\nB: z")


def test_the_full_stop_of_pubmed_is_not_the_titles() -> None:
    """That of an abbreviation is, and so is Crossref's."""
    for title, shown in (("A b.", "A b"), ("Made in the U.S.", "Made in the U.S."), ("[A b].", "[A b]")):
        assert item(made(pmid=1, title=title))["title"] == shown
        assert item(made(title=title))["title"] == title
