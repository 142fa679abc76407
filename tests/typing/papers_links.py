"""How users call what tells of links between papers: checked by mypy --strict as a contract, never run."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import assert_type

from leftoff.papers import Linked, SaidBy, Standing, links_of, status_of

for link in links_of(Path("papers.db"), "10.1000/abc"):
    assert_type(link, Linked)
    assert_type(link["kind"], str)
    assert_type(link["pmid"], str | None)
    assert_type(link["year"], int | None)
    assert_type(link["said_by"], list[SaidBy])
standing = status_of("papers.db", "12345")
assert_type(standing, Standing)
assert_type(standing["status"], str)
assert_type([each["asserted_by"] for each in standing["said_by"]], list[str | None])

# what a checker must refuse
links_of("papers.db", 12345)  # type: ignore[arg-type]
links_of("papers.db")  # type: ignore[call-arg]
standing["state"]  # type: ignore[typeddict-item]
