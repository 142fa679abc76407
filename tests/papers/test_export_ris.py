"""Papers as RIS."""

from __future__ import annotations

import pytest

from leftoff.papers.export_ris import fields, write_ris
from leftoff.papers.record import Author, Heading
from tests.papers.exporting import body, library, made, person, written


def tags(text: str) -> list[tuple[str, str]]:
    """Return the lines of a record as they stand there."""
    return [(line[:2], line[6:]) for line in text.split("\r\n") if line]


def test_every_line_of_every_real_paper_is_a_field() -> None:
    """A record begins with TY, ends with ER, and has no line between that is not a tag and its value."""
    for paper in library().values():
        *lines, end, empty, last = written(write_ris, [paper]).split("\r\n")
        assert (lines[0][:6], end, empty, last) == ("TY  - ", "ER  - ", "", "")
        for line in lines:
            assert line[:2].isalnum()
            assert line[2:6] == "  - "
            assert line[6:].strip()
            assert len(line.splitlines()) == 1


def test_no_text_ends_its_record() -> None:
    """Made: line breaks of every kind in a field are spaces, so that nothing in it is taken for a tag."""
    evil = "a\nER  - \r\n\nTY  - JOUR\x0bx\x0cy\x1cz\x85AB  - b\u2028c\u2029d\x00"
    paper = made(person(evil, evil, evil), body(evil), title=evil, abstract=evil, journal=evil, volume=evil, pages=evil)
    text = written(write_ris, [paper])
    assert [tag for tag, _ in tags(text)].count("TY") == 1
    assert [tag for tag, _ in tags(text)].count("ER") == 1
    assert len(text.splitlines()) == len(tags(text)) + 1
    assert ("AU", "a ER - TY - JOUR x y z AB - b c d") in tags(text)


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        (person("Lovelace", "Ada B"), "Lovelace, Ada B"),
        (person("van der Woude", "A M"), "van der Woude, A M"),
        (person("Smith", "Sidney C", "Jr"), "Smith, Sidney C, Jr"),
        (person("Gschneidner, Jr.", "K."), "Gschneidner, K., Jr."),
        (person("Smith, of Bath", "A, B"), "Smith of Bath, A B"),
        (person("Basappa"), "Basappa"),
        (person("Yuting Yin"), "Yuting Yin"),
        (body("Centers for Disease Control, U.S."), "Centers for Disease Control, U.S."),
    ],
)
def test_names(author: Author, expected: str) -> None:
    """Last, first, suffix; no comma that would begin another part; a body as it is."""
    assert ("AU", expected) in fields(made(author))


@pytest.mark.parametrize(
    ("pages", "first", "last"),
    [
        ("153-154", "153", "154"),
        ("123-8", "123", "128"),
        ("E550-556", "E550", "E556"),
        ("1475-6; author reply 1475-6", "1475", "1476; author reply 1475-1476"),
        ("402-4, 455", "402", "404, 455"),
        ("1835-1838", "1835", "1838"),
        ("iv-xii", "iv", "xii"),
        ("106240", "106240", ""),
        ("ENEURO.0172-19.2019", "ENEURO.0172-19.2019", ""),
        ("bcr-2016-218715", "bcr-2016-218715", ""),
        ("n/a-n/a", "", ""),
    ],
)
def test_pages(pages: str, first: str, last: str) -> None:
    """First and last, which read together say what was said; the number of an article is a first page alone."""
    found = dict(fields(made(pages=pages)))
    assert (found["SP"], found["EP"]) == (first, last)


def test_dates_and_types() -> None:
    """DA has three slashes however much is known; without a year neither it nor PY is there."""
    assert ("DA", "2007/09//") in fields(made(year=2007, date="2007-09"))
    assert ("DA", "2007/09/14/") in fields(made(year=2007, date="2007-09-14"))
    assert ("DA", "2007///") in fields(made(year=2007, date="2007"))
    assert {"DA", "PY"}.isdisjoint(tag for tag, _ in tags(written(write_ris, [made(title="T")])))
    kinds = {"book-chapter": "CHAP", "dissertation": "THES", "component": "GEN", "dataset": "DATA"}
    assert {kind: dict(fields(made(type=kind)))["TY"] for kind in kinds} == kinds


def test_issns_and_isbns_are_in_one_field() -> None:
    """A chapter of a series has both, and RIS one tag for them."""
    paper = made(type="book-chapter", issn="1234-5678; 8765-4321", isbn="9780000000001")
    assert ("SN", "1234-5678, 8765-4321, 9780000000001") in fields(paper)
    assert ("SN", "9780000000001") in fields(made(isbn="9780000000001"))
    assert "SN" not in dict(tags(written(write_ris, [made()])))


def test_keywords_are_descriptors_each_once() -> None:
    """A heading with two qualifiers is one keyword, a line each."""
    mesh = (Heading("Asthma", "D1", "diagnosis", "Q1", True), Heading("Asthma", "D1", "therapy", "Q2", False))
    found = [value for tag, value in fields(made(mesh=(*mesh, Heading("Eggs, Fried", None, None, None, False))))
             if tag == "KW"]  # fmt: skip
    assert found == ["Asthma", "Eggs, Fried"]
