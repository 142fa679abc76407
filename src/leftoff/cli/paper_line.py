"""How one paper is shown on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leftoff.cli.text import printable, shortened

if TYPE_CHECKING:
    from leftoff.papers import Listed


def line_of(paper: Listed, width: int | None) -> str:
    """Return a paper's PMIDs (or its DOI), year and title, cut to ``width`` characters; None cuts nothing."""
    name = ",".join(paper["pmids"]) or paper["doi"] or ""
    mark = f"[{paper['status'].upper()}] " if paper["status"] else ""
    text = f"{name:>8}  {paper['year'] or '':>4}  {mark}{paper['title'] or '(no title)'}"
    return printable(text) if width is None else shortened(text, width)
