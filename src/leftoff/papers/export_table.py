"""Papers as CSV and as JSON Lines: the data exactly as it is."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from typing import IO, Any

from leftoff.papers.citing import citation_key
from leftoff.papers.exported import COLUMNS, Exported
from leftoff.papers.record import Author, Heading

QUOTED = re.compile(r'[",\r\n]')
HEADER = (
    *("key", "citation_key", "doi", "pmid", "pmcid", "title", "authors", "journal", "year", "date", "type", "language"),
    *("volume", "issue", "pages", "publisher", "issn", "isbn", "mesh", "abstract", "source", "fetched_at"),
)


def write_jsonl(file: IO[bytes], papers: Iterable[Exported]) -> None:
    """Write an object a line, in ASCII, so that nothing in it is taken for the end of a line."""
    for paper in papers:
        file.write(f"{json.dumps(whole(paper), separators=(',', ':'))}\n".encode())


def whole(paper: Exported) -> dict[str, Any]:
    """Return all there is of a paper."""
    return {
        **{name: getattr(paper, name) for name in COLUMNS},
        "citation_key": citation_key(paper),
        "pmids": paper.named("pmid"),
        "pmcids": paper.named("pmcid"),
        "authors": [{"name": each.name, **each._asdict()} for each in paper.authors],
        "mesh": [each._asdict() for each in paper.mesh],
        "provenance": {
            field: {"source": source, "identifier": identifier, "fetched_at": at}
            for field, source, identifier, at in paper.provenance
        },
        "conflicts": [
            dict(zip(("field", "source", "identifier", "value"), each, strict=True)) for each in paper.conflicts
        ],
    }


def write_csv(file: IO[bytes], papers: Iterable[Exported]) -> None:
    """Write a line of names and a row a paper (RFC 4180). What is not there is an empty cell."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    try:
        text.write(_row(HEADER))
        for paper in papers:
            text.write(_row([_cell(paper, name) for name in HEADER]))
        text.flush()
    finally:
        text.detach()  # else it would close the file, before it is synced


def _row(cells: Iterable[Any]) -> str:
    """Return a row; not by `csv`, which before Python 3.11 refuses a cell with a NUL in it."""
    return ",".join(map(_quoted, cells)) + "\r\n"


def _quoted(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def _cell(paper: Exported, name: str) -> Any:
    if name == "citation_key":
        return citation_key(paper)
    if name == "pmid":
        return "; ".join(reversed(paper.named("pmid")))  # the one that is shown first
    if name == "authors":
        return "; ".join(map(_author, paper.authors))
    if name == "mesh":
        return "; ".join(map(_heading, paper.mesh))
    return getattr(paper, name)


def _author(author: Author) -> str:
    if author.collective or not author.last:
        return author.name
    return ", ".join(part for part in (author.last, author.fore or author.initials, author.suffix) if part)


def _heading(heading: Heading) -> str:
    """Return a heading as PubMed shows it: ``Asthma/drug therapy*``, with a star for what the paper is about."""
    name = heading.descriptor + (f"/{heading.qualifier}" if heading.qualifier else "")
    return f"{name}*" if heading.major else name
