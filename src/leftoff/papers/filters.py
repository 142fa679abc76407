"""Narrow a search down: to years, journals, authors, headings, types and services, as conditions of SQL."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from typing import Literal

from leftoff.errors import UsageError
from leftoff.papers.spelling import WORD, contains, folded, is_called

Several = str | Iterable[str]  # of names: one, or several

YEARS = re.compile(r"\s*(?P<first>[0-9]{4})?\s*(?P<to>[-\u2013:]\s*(?P<last>[0-9]{4})?)?\s*")
JOURNAL = "name_contains(paper.journal, ?)"
AUTHOR = "EXISTS (SELECT 1 FROM author WHERE paper_id = paper.id AND is_called(name, fore, initials, ?))"
INDEXED = "paper.id IN (SELECT rowid FROM words WHERE words MATCH ?)"
MESH = (
    "EXISTS (SELECT 1 FROM mesh WHERE paper_id = paper.id AND descriptor = ? COLLATE NOCASE"
    " AND (? IS NULL OR qualifier = ? COLLATE NOCASE))"
)
TYPE = "instr('; ' || replace(lower(paper.type), '-', ' ') || '; ', '; ' || ? || '; ')"


def conditions(
    *,
    year: int | str | None,
    journal: Several,
    author: Several,
    mesh: Several,
    type: Several,  # noqa: A002  (the column's name)
    source: Literal["pubmed", "crossref"] | None,
) -> tuple[list[str], list[str | int | None]]:
    """Return the conditions that a paper has to meet, all of them, and their parameters.

    Raises UsageError for a year that is none, an empty name, an unknown service.
    """
    found: list[tuple[str, tuple[str | int | None, ...]]] = []
    if year is not None:
        found += [("paper.year BETWEEN ? AND ?", _years(str(year)))]
    if journals := _names("journal", journal):
        found += [(f"({' OR '.join([JOURNAL] * len(journals))})", tuple(journals))]
    for name in _names("author", author):
        found += [(AUTHOR, (name,)), *_indexed(name)]
    found += [(MESH, _heading(name)) for name in _names("mesh", mesh)]
    found += [(TYPE, (name.lower().replace("-", " "),)) for name in _names("type", type)]
    if source is not None:
        if source not in ("pubmed", "crossref"):
            raise UsageError(f"source={source!r}: pubmed or crossref")
        found += [("instr(paper.source, ?)", (source,))]
    return [condition for condition, _ in found], [value for _, values in found for value in values]


def teach(connection: sqlite3.Connection) -> None:
    """Give the connection the functions that conditions use."""
    connection.create_function("name_contains", 2, contains, deterministic=True)
    connection.create_function("is_called", 4, is_called, deterministic=True)


def _years(text: str) -> tuple[int, int]:
    match = YEARS.fullmatch(text)
    if match is None or not (match["first"] or match["last"]):
        raise UsageError(f"year={text!r}: write a year as 2020, years as 2020-2024, 2020- or -2010")
    first = int(match["first"] or 0)
    last = int(match["last"] or 9999) if match["to"] else first
    if first > last:
        raise UsageError(f"year={text!r}: the first year is behind the last")
    return first, last


def _indexed(name: str) -> list[tuple[str, tuple[str]]]:
    """Let the index say who has the longest word in a name, so that not all authors are looked at."""
    word = max(WORD.findall(name), key=len)
    if len(word) == 1 or (len(word) <= 3 and word.isupper()):
        return []  # initials
    return [(INDEXED, (f'author : ("{word}" OR "{folded(word)}")',))]


def _heading(name: str) -> tuple[str, str | None, str | None]:
    """Return descriptor and qualifier of ``Asthma`` or ``Asthma/drug therapy``."""
    descriptor, _, qualifier = (part.strip() for part in name.partition("/"))
    return descriptor, qualifier or None, qualifier or None


def _names(option: str, given: Several) -> list[str]:
    names = [" ".join(name.split()) for name in ((given,) if isinstance(given, str) else given)]
    if not all(any(letter.isalnum() for letter in name) for name in names):
        raise UsageError(f"{option}= has a name that is empty")
    return names
