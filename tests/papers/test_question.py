"""What Crossref is asked for, checked before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.errors import UsageError
from leftoff.papers.asked import check
from leftoff.papers.question import dois_in, question
from leftoff.testing.crossref_works import load
from tests.papers.test_works import WORKS


def test_a_question_has_one_name_whatever_the_order() -> None:
    """White space and the order of filters make no other question; a filter that is said twice counts once."""
    one = question("  heat \n flow ", issn=["1932-6203", "2167-8359"], orcid=["0000-0002-1825-0097"])
    other = question("heat flow", orcid=["0000-0002-1825-0097"], issn=["2167-8359", "19326203", "1932-6203"])
    assert one == other
    assert one.name == "heat flow issn:1932-6203 issn:2167-8359 orcid:0000-0002-1825-0097"
    assert question("", funder=["501100001809"]).name == "funder:10.13039/501100001809"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("issn", "1932-6203", "1932-6203"),
        ("issn", "2095809x", None),
        ("issn", "2434-561x", "2434-561X"),
        ("issn", "1932-6204", None),
        ("issn", "1932", None),
        ("orcid", "https://orcid.org/0000-0002-1825-0097", "0000-0002-1825-0097"),
        ("orcid", "000000021694233x", "0000-0002-1694-233X"),
        ("orcid", "0000-0002-1825-0098", None),
        ("orcid", "Ada Lovelace", None),
        ("funder", "10.13039/100000001", "10.13039/100000001"),
        ("funder", "https://doi.org/10.13039/100000001", "10.13039/100000001"),
        ("funder", "100000001", "10.13039/100000001"),
        ("funder", "10.1000/100000001", None),
        ("funder", "NSF", None),
        ("issn", "1932-6203,type:journal", None),
        ("funder", "100000001,from-created-date:2020", None),
    ],
)
def test_a_filter_is_checked_and_brought_into_form(name: str, given: str, expected: str | None) -> None:
    """By its check digit, too; what is none is refused with the form that is wanted, and none can bring in another."""
    if expected is None:
        with pytest.raises(UsageError, match=f"no (ISSN|ORCID|{name})"):
            question("x", **{name: [given]})
    else:
        assert question("x", **{name: [given]}).filters == ((name, expected),)


def is_refused(name: str, value: str) -> bool:
    try:
        question("", **{name: [value]})
    except UsageError:
        return True
    return False


def test_every_real_filter_passes() -> None:
    """ISSNs, ORCIDs and funders of real works are taken; the few that break their own check digit are not."""
    values: dict[str, set[str]] = {"issn": set(), "orcid": set(), "funder": set()}
    for work in load(WORKS).values():
        fields = work.versions[-1]
        values["issn"] |= set(fields.get("ISSN", ()))
        values["orcid"] |= {each["ORCID"] for each in fields.get("author", ()) if each.get("ORCID")}
        values["funder"] |= {each["DOI"] for each in fields.get("funder", ()) if each.get("DOI")}
    for name, given in values.items():
        assert given
        refused = {each for each in given if is_refused(name, each)}
        assert len(refused) <= len(given) / 50, refused


def test_nothing_is_no_question() -> None:
    """All of Crossref is 167 million works."""
    with pytest.raises(UsageError, match="nothing is asked of Crossref"):
        question("  ")


def test_a_list_of_dois_is_read_in_any_of_their_forms() -> None:
    """One a line, each once, in normal form; empty lines and those that begin with # are passed over."""
    lines = ["\ufeff", "# mine", "10.1000/ABC", "https://doi.org/10.1000/a%2Fb", "", "doi:10.1000/abc ", "10.1000/x,y"]
    assert dois_in(lines[1:], "a.txt") == ["10.1000/abc", "10.1000/a/b", "10.1000/x,y"]


@pytest.mark.parametrize(
    ("lines", "said"), [(["10.1000/a", "nonsense"], "line 2: 'nonsense'"), ([], "no DOI"), (["# x"], "no DOI")]
)
def test_a_list_with_something_else_in_it_is_refused(lines: list[str], said: str) -> None:
    """With its name and the number of the line, before anything is fetched."""
    with pytest.raises(UsageError, match=said):
        dois_in(lines, "a.txt")


NOTHING = {
    "since": None,
    "limit": None,
    "batch": 200,
    "issn": (),
    "orcid": (),
    "funder": (),
    "dois": None,
    "from_log": None,
}


@pytest.mark.parametrize(
    ("query", "given", "said"),
    [
        ("", {"source": "pubmed"}, "PubMed searches for something"),
        (" ", {"source": "both"}, "PubMed searches for something"),
        ("", {"source": "both", "issn": ["1932-6203"]}, "PubMed searches for something"),
        ("x", {"source": "europepmc"}, "one of pubmed, crossref, both"),
        ("x", {"source": "pubmed", "orcid": ["0000-0002-1825-0097"]}, "orcid= is Crossref's"),
        ("", {"source": "pubmed", "dois": "a.txt"}, "looked up at Crossref"),
        ("", {"source": "both", "dois": "a.txt"}, "looked up at Crossref"),
        ("x", {"source": "crossref", "dois": "a.txt"}, "leave the query"),
        ("", {"source": "crossref", "dois": "a.txt", "issn": "1932-6203"}, "leave the query"),
        ("", {"source": "crossref", "dois": "a.txt", "from_log": "l"}, "leave the query"),
        ("", {"source": "crossref"}, "nothing is asked"),
        ("x", {"source": "crossref", "batch": 1001}, "from 1 to 200"),
        ("x", {"source": "crossref", "limit": 0}, "at least one"),
        ("x", {"source": "crossref", "since": "soon"}, "is no day"),
    ],
)
def test_what_does_not_go_together_is_refused(query: str, given: dict[str, object], said: str) -> None:
    """Each mistake has words of its own."""
    with pytest.raises(UsageError, match=said):
        check(query, "a.db", **{**NOTHING, **given})  # type: ignore[arg-type]


def test_what_is_asked_for_is_known_before_anything_is_done(tmp_path: Path) -> None:
    """A list is read whole, one filter may stand alone without a list around it."""
    (tmp_path / "a.txt").write_text("10.1000/A\n")
    asked = check("", "a.db", **{**NOTHING, "source": "crossref", "dois": tmp_path / "a.txt"})  # type: ignore[arg-type]
    assert (asked.dois, asked.question, asked.services) == (("10.1000/a",), None, ("crossref",))
    asked = check("x", "a.db", **{**NOTHING, "source": "both", "issn": "1932-6203"})  # type: ignore[arg-type]
    assert asked.question == question("x", issn=["1932-6203"])
    assert asked.services == ("pubmed", "crossref")
    with pytest.raises(FileNotFoundError):
        check("", "a.db", **{**NOTHING, "source": "crossref", "dois": tmp_path / "none"})  # type: ignore[arg-type]
