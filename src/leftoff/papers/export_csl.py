"""Papers as CSL-JSON: an array of items as citeproc reads them (schema csl-data.json, CSL 1.0.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import IO, Any

from leftoff.papers import citing
from leftoff.papers.exported import Exported
from leftoff.papers.names import Name, name_of
from leftoff.papers.works import LANGUAGES

TWO_LETTERS = {three: two for two, three in LANGUAGES.items()}


def write_csl(file: IO[bytes], papers: Iterable[Exported]) -> None:
    """Write one array, an item a line."""
    file.write(b"[")
    between = b"\n"
    for paper in papers:
        file.write(between + json.dumps(item(paper), ensure_ascii=False).encode())
        between = b",\n"
    file.write(b"\n]\n")


def item(paper: Exported) -> dict[str, Any]:
    """Return a paper as an item; what it does not have is not there."""
    of = citing.kind(paper)
    parts = citing.date_parts(paper)
    within = "collection-title" if of in ("book", "report", "standard") else "container-title"
    fields: dict[str, Any] = {
        "id": citing.citation_key(paper),
        "type": of,
        "title": citing.title(paper),
        "author": [_name(name_of(each)) for each in paper.authors],
        "issued": {"date-parts": [parts]} if parts else None,
        within: citing.container(paper),
        "volume": citing.said(paper.volume),
        "issue": citing.said(paper.issue),
        "page": citing.pages_in_a_line(paper),
        "publisher": citing.one_line(paper.publisher or ""),
        "ISSN": citing.several(paper.issn),
        "ISBN": citing.several(paper.isbn),
        "DOI": paper.doi,
        "PMID": None if paper.pmid is None else str(paper.pmid),
        "PMCID": paper.pmcid,
        "language": language(paper),
        "keyword": "; ".join(citing.keywords(paper)),
        "abstract": "\n\n".join(citing.paragraphs(paper.abstract or "")),
    }
    return {name: value for name, value in fields.items() if value}


def language(paper: Exported) -> str:
    """Return the language in two letters where it has them; of several the first."""
    first = (paper.language or "").partition("; ")[0]
    return "" if first == "und" else TWO_LETTERS.get(first, first)


def _name(name: Name) -> dict[str, str]:
    if name.literal:
        return {"literal": name.literal}
    parts = {
        "family": name.family, "given": name.given, "non-dropping-particle": name.particle, "suffix": name.suffix,
    }  # fmt: skip
    return {part: value for part, value in parts.items() if value}
