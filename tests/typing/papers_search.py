"""How users call the search of papers: checked by mypy --strict as a contract for its types, never run."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import assert_type

from leftoff.errors import LeftoffError, NoSuchPaper
from leftoff.papers import Findings, Found, Paper, search, show

findings = search("asthma", "papers.db")
assert_type(findings, Findings)
assert_type(findings.total, int)
assert_type(len(findings), int)
for found in findings:
    assert_type(found, Found)
    assert_type(found["key"], str)
    assert_type(found["pmids"], list[str])
    assert_type(found["year"], int | None)
    assert_type(found["authors"], list[str])
    assert_type(found["score"], float | None)
search("", Path("papers.db"), year=2020, journal="Lancet", author=["Lovelace A"], mesh=("Asthma",), limit=None)
search("", "papers.db", year="2020-2024", type="Review", source="pubmed")

paper = show("10.1000/abc", Path("papers.db"), raw=True)
try:
    show("11034741", "papers.db")
except NoSuchPaper as error:
    any_error: LeftoffError = error
    lookup_error: LookupError = error
assert_type(paper, Paper)
assert_type(paper["title"], str | None)
assert_type(paper["authors"][0]["name"], str)
assert_type(paper["provenance"]["title"]["source"], str)
assert_type(paper["records"][0]["content"], str | None)
assert_type(paper["revisions"][0]["changed"], list[str])
assert_type(paper["merges"][0]["old_key"], str | None)

# what a checker must refuse: an unused ignore is an error too
search("asthma", "papers.db", source="both")  # type: ignore[arg-type]
search("asthma", "papers.db", titel="x")  # type: ignore[call-arg]
show(11034741, "papers.db")  # type: ignore[arg-type]
