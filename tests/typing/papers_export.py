"""How users export papers: checked by mypy --strict as a contract for the types, never run."""

from __future__ import annotations

import io
from pathlib import Path

from typing_extensions import assert_type

from leftoff.papers import ExportFormat, ExportReport, export

report = export("papers.db", "papers.bib")
assert_type(report, ExportReport)
assert_type(report.papers, int)
assert_type(report.format, str)
export(Path("papers.db"), Path("papers.ris"), ["10.1000/abc", 11034741], latex=False, progress=False)
export("papers.db", io.BytesIO(), (pmid for pmid in (1, 2)), format="csl-json")
wanted: ExportFormat = "jsonl"
export("papers.db", io.BytesIO(), "10.1000/abc", format=wanted)

# what a checker must refuse
export("papers.db", "papers.enw", format="endnote")  # type: ignore[arg-type]
export("papers.db", io.StringIO(), format="csv")  # type: ignore[arg-type]
export("papers.db")  # type: ignore[call-arg]
