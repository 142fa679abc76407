"""Suggest which papers of a database may be the same, although they share no DOI."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Iterator
from os import PathLike
from typing import Literal, TypedDict

from leftoff.errors import MissingExtra, UsageError
from leftoff.papers.blocks import Blocks
from leftoff.papers.listing import Listed, list_papers
from leftoff.papers.reading import reading

BEST = """
    SELECT score, kind, agree, differ, one, other FROM temp.suggested
    JOIN paper AS a ON a.id = one JOIN paper AS b ON b.id = other ORDER BY score DESC, a.key, b.key
"""


class Duplicate(TypedDict):
    """Be two papers that may be the same, as `papers duplicates --json` prints them.

    `score`: 0 to 100; `kind`: ``duplicate``, or ``preprint`` for a preprint and its article; `agree`: the fields that
    say the same; `differ`: those that both have and that say something else.
    """

    score: float
    kind: Literal["duplicate", "preprint"]
    agree: list[str]
    differ: list[str]
    papers: list[Listed]


def duplicates(db: str | PathLike[str], *, threshold: float = 90) -> Iterator[Duplicate]:
    """Iterate the pairs of papers that may be the same, the surest first; nothing is merged, written or locked.

    db: the database; threshold: the lowest score that is worth telling, 0 to 100.

    Raises UsageError for a threshold that is none, JournalMissing if there is no such file, NotAJournal if it holds no
    papers, MissingExtra without rapidfuzz.
    """
    if not 0 <= threshold <= 100:
        raise UsageError(f"threshold={threshold}: it is from 0 to 100")
    if importlib.util.find_spec("rapidfuzz") is None:
        raise MissingExtra('duplicates need rapidfuzz, which is not installed: pip install "leftoff[papers]"')
    return _suggested(db, threshold)


def _suggested(db: str | PathLike[str], threshold: float) -> Iterator[Duplicate]:
    with reading(db) as connection:
        _compare(connection, threshold)
        for score, kind, agree, differ, *pair in connection.execute(BEST):
            papers = list_papers(connection, pair)
            yield Duplicate(score=score, kind=kind, agree=json.loads(agree), differ=json.loads(differ), papers=papers)


def _compare(connection: sqlite3.Connection, threshold: float) -> None:
    """Write the pairs that are alike enough into a temporary table."""
    from leftoff.papers.likeness import likeness

    connection.execute(
        "CREATE TEMP TABLE suggested (one INTEGER, other INTEGER, score REAL, kind TEXT, agree TEXT, differ TEXT,"
        " PRIMARY KEY (one, other)) WITHOUT ROWID"
    )
    blocks = Blocks(connection)
    for one, other in blocks.pairs():
        found = likeness(one, other, common=blocks.is_common(one) or blocks.is_common(other))
        if found is not None and found.score >= threshold:
            connection.execute(
                "INSERT OR IGNORE INTO temp.suggested VALUES (?, ?, ?, ?, ?, ?)",
                (min(one.id, other.id), max(one.id, other.id), found.score, found.kind, json.dumps(found.agree),
                 json.dumps(found.differ)),
            )  # fmt: skip
