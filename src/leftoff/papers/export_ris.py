"""Papers as RIS: a field a line, ``TY`` first and ``ER`` last.

Written here and not by rispy, which writes line breaks within a field as they are: a text with a line ``ER  - `` in it
would end its record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Final

from leftoff.papers import citing
from leftoff.papers.exported import Exported
from leftoff.papers.names import Name, name_of

TYPES: Final = {
    "article-journal": "JOUR", "paper-conference": "CPAPER", "chapter": "CHAP", "entry-encyclopedia": "ENCYC",
    "book": "BOOK", "thesis": "THES", "report": "RPRT", "standard": "STAND", "article": "UNPB", "dataset": "DATA",
    "periodical": "JFULL",
}  # fmt: skip


def write_ris(file: IO[bytes], papers: Iterable[Exported]) -> None:
    """Write a record a paper, with an empty line behind it; lines end as the format has it."""
    for paper in papers:
        lines = [f"{tag}  - {value}" for tag, value in fields(paper) if value]
        file.write("\r\n".join([*lines, "ER  - ", "", ""]).encode())


def fields(paper: Exported) -> Iterator[tuple[str, str]]:
    """Iterate the tags of a paper with their values, each in a line; some are empty."""
    yield "TY", TYPES.get(citing.kind(paper), "GEN")
    yield "ID", citing.citation_key(paper)
    yield "TI", citing.title(paper)
    for author in paper.authors:
        yield "AU", written(name_of(author))
    yield "T2", citing.container(paper)
    parts = citing.date_parts(paper)
    yield "PY", f"{parts[0]:04}" if parts else ""
    yield "DA", "/".join([*(f"{part:02}" for part in parts), *("" for _ in range(4 - len(parts)))]) if parts else ""
    yield "VL", citing.said(paper.volume)
    yield "IS", citing.said(paper.issue)
    yield from _pages(citing.pages_in_a_line(paper))
    yield "SN", citing.several("; ".join(filter(None, (paper.issn, paper.isbn))))
    yield "PB", citing.one_line(paper.publisher or "")
    yield "DO", paper.doi or ""
    yield "AN", "" if paper.pmid is None else str(paper.pmid)
    yield "C2", paper.pmcid or ""
    yield "LA", citing.several(paper.language)
    for keyword in citing.keywords(paper):
        yield "KW", keyword
    yield "AB", " ".join(citing.paragraphs(paper.abstract or ""))


def written(name: Name) -> str:
    """Return a name as RIS has it: ``last, first, suffix``; a body's as it is."""
    if name.literal:
        return name.literal
    last, given = (part.replace(",", "") for part in (name.last, name.given))  # a comma ends a part
    return ", ".join([last, given, name.suffix] if name.suffix else [last, given] if given else [last])


def _pages(line: str) -> Iterator[tuple[str, str]]:
    """Iterate the first page, and what follows the dash behind it: ``1475-1476; author reply 1480`` ends in 1480."""
    head = line.partition(" ")[0]
    span = citing.span(head.rstrip(",;"))
    yield "SP", line if span is None else span.first
    yield "EP", "" if span is None else line[len(span.first) + 1 :]
