"""Tell what a paper is to others, from both sides: what its own records say, and what others say of it."""

from __future__ import annotations

import sqlite3
from os import PathLike
from typing import TypedDict

from leftoff.papers.links import ACTIVE, DELETED, INVERSE, STATUSES
from leftoff.papers.lookup import paper_called
from leftoff.papers.reading import reading

ORDER = {kind: place for place, kind in enumerate([*STATUSES, *INVERSE])}
QUERY = """
    SELECT linked.kind, linked.other_id, paper.key, coalesce(linked.doi, paper.doi), coalesce(linked.pmid, paper.pmid),
           linked.other, paper.title, paper.year, linked.text, linked.date,
           linked.source, linked.identifier, linked.asserted_by
    FROM linked LEFT JOIN paper ON paper.id = linked.other_id WHERE linked.paper_id = ?
    ORDER BY linked.source DESC, linked.identifier, linked.date IS NULL, linked.date, linked.text
"""
GONE = "SELECT source, identifier, NULL FROM raw WHERE paper_id = ? AND deleted_at IS NOT NULL ORDER BY 1 DESC, 2"


class SaidBy(TypedDict):
    """Be who says something: the record, and in it whom Crossref names (``publisher``, ``retraction-watch`` ...)."""

    source: str
    identifier: str
    asserted_by: str | None


class Linked(TypedDict):
    """Be one link of a paper: ``kind`` is what the paper is to the other one, ``said_by`` each record that says so.

    key, title, year: of the other one where it is in the database; doi, pmid, other, text: what it is called; date:
    when the later of the two came.
    """

    kind: str
    key: str | None
    doi: str | None
    pmid: str | None
    other: str | None
    title: str | None
    year: int | None
    text: str | None
    date: str | None
    said_by: list[SaidBy]


class Standing(TypedDict):
    """Be what has become of a paper: its strongest status ("" for none), since when, and who says so."""

    status: str
    date: str | None
    said_by: list[SaidBy]


def links_of(db: str | PathLike[str], name: str) -> list[Linked]:
    """Return the links of a paper, what retracts or corrects it first; nothing is written or locked.

    name: its DOI in any form, or its PMID. What several records say of one paper is one link. A link that only the
    other paper's record has is there too: a notice tells of its article.

    Raises UsageError for a name that is none, NoSuchPaper if no paper has it, JournalMissing, and NotAJournal.
    """
    with reading(db) as connection:
        return links_in(connection, paper_called(connection, name))


def status_of(db: str | PathLike[str], name: str) -> Standing:
    """Return whether a paper is retracted, withdrawn, partly retracted, of concern, deleted or corrected.

    name: its DOI in any form, or its PMID. Raises what `links_of` raises.
    """
    with reading(db) as connection:
        return status_in(connection, paper_called(connection, name))


def links_in(connection: sqlite3.Connection, paper: int) -> list[Linked]:
    """Return the links of the paper with this number; see `links_of`."""
    found: dict[object, Linked] = {}
    for kind, other_id, *row in connection.execute(QUERY, (paper,)):
        if other_id == paper and kind in ACTIVE:
            continue  # of a paper that retracts itself it is told that it is retracted
        key, doi, pmid, other, title, year, text, date, *said_by = row
        name = other_id or (doi, pmid, other) if other_id or doi or pmid or other else text
        link = found.setdefault(
            (kind, name),
            Linked(
                kind=kind, key=key, doi=doi, pmid=None if pmid is None else str(pmid), other=other, title=title,
                year=year, text=text, date=date, said_by=[],
            ),
        )  # fmt: skip
        link["text"], link["date"] = link["text"] or text, link["date"] or date
        if (said := _said_by(*said_by)) not in link["said_by"]:
            link["said_by"].append(said)
    return sorted(found.values(), key=lambda link: (ORDER[link["kind"]], link["date"] or "9"))


def status_in(connection: sqlite3.Connection, paper: int) -> Standing:
    """Return the status of the paper with this number; see `status_of`."""
    row = connection.execute("SELECT status, date FROM status WHERE paper_id = ?", (paper,)).fetchone()
    if row is None:
        return Standing(status="", date=None, said_by=[])
    status, date = row
    if status == DELETED:
        said = [_said_by(*each) for each in connection.execute(GONE, (paper,))]
    else:
        links = [link for link in links_in(connection, paper) if STATUSES.get(link["kind"]) == status]
        said = [each for link in links for each in link["said_by"]]
    return Standing(status=status, date=date, said_by=[each for at, each in enumerate(said) if each not in said[:at]])


def _said_by(source: str, identifier: object, asserted_by: str | None) -> SaidBy:
    return SaidBy(source=source, identifier=str(identifier), asserted_by=asserted_by)
