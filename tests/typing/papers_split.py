"""How users split papers and look for duplicates: checked by mypy --strict as a contract for their types, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from typing_extensions import assert_type

from leftoff.papers import Duplicate, Listed, duplicates, split

papers = split("10.1000/a", Path("papers.db"))
assert_type(papers, list[Listed])
assert_type(papers[0]["pmids"], list[str])
split("11034741", "papers.db", undo=True)

for pair in duplicates("papers.db", threshold=95):
    assert_type(pair, Duplicate)
    assert_type(pair["score"], float)
    assert_type(pair["kind"], Literal["duplicate", "preprint"])
    assert_type(pair["papers"], list[Listed])
