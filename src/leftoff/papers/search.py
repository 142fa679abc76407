"""Find papers in a database by their words, the best first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from typing import Literal

from leftoff.errors import UsageError
from leftoff.papers.expression import Expression, expression
from leftoff.papers.filters import Several, conditions, teach
from leftoff.papers.listing import Listed
from leftoff.papers.reading import reading

# A word in the title says most of what a paper is about, then its headings; authors' names are rare and meant.
RANK = "bm25(words, 8.0, 1.0, 4.0, 3.0)"
OLDEST_LAST = "paper.year IS NULL, paper.year DESC, paper.date DESC, paper.key"
SNIPPET = "snippet(words, {}, '**', '**', '…', 24)"
DETAIL = """
    SELECT key, doi, title, year, journal, abstract,
        coalesce((SELECT status FROM status WHERE paper_id = :paper), ''),
        (SELECT json_group_array(value) FROM (
            SELECT value FROM identifier WHERE paper_id = paper.id AND kind = 'pmid' ORDER BY CAST(value AS INTEGER))),
        (SELECT json_group_array(name) FROM (
            SELECT name FROM author WHERE paper_id = paper.id ORDER BY position))
    FROM paper WHERE id = :paper
"""  # the number in place of paper.id lets SQLite look for this paper's status alone


class Found(Listed):
    """Be one paper that was found, as `papers search --json` prints it.

    authors: as one reads their names; snippet: where the abstract, else the headings, have what was looked for, which
    stands between ``**``, or else how the abstract begins; score: how well it suits, higher is better, None where no
    words were looked for.
    """

    journal: str | None
    authors: list[str]
    snippet: str | None
    score: float | None


@dataclass(frozen=True)
class Findings:
    """Be what a search found: how many papers suit it, and the best of them."""

    total: int
    papers: tuple[Found, ...]

    def __iter__(self) -> Iterator[Found]:
        return iter(self.papers)

    def __len__(self) -> int:
        return len(self.papers)


def search(
    query: str,
    db: str | PathLike[str],
    *,
    year: int | str | None = None,
    journal: Several = (),
    author: Several = (),
    mesh: Several = (),
    type: Several = (),  # noqa: A002  (the column's name)
    source: Literal["pubmed", "crossref"] | None = None,
    limit: int | None = 20,
) -> Findings:
    """Find papers that have all words of the query in title, abstract, authors or MeSH headings, the best first.

    query: words, ``"phrases"``, ``word*``, ``a OR b``, ``-word``, ``field:word`` of title, abstract, author or mesh,
    and brackets; everything else is text; it may be empty where something else narrows the search, then the newest come
    first; year: ``2020``, ``2020-2024``, ``2020-`` or ``-2010``; journal: words of its name, side by side, of several
    names any; author: a name (``Lovelace``, ``Ada Lovelace``, ``Lovelace A``), mesh: a heading as it is
    (``Asthma``, ``Asthma/drug therapy``), type: such as ``Review`` or ``journal-article``, of several all;
    source: what this service knows; limit: at most so many papers, None for all.

    Raises UsageError for a search for nothing, or arguments that are wrong, JournalMissing if there is no such file,
    NotAJournal if it holds no papers.
    """
    said = expression(query)
    narrowed, values = conditions(year=year, journal=journal, author=author, mesh=mesh, type=type, source=source)
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit}: at least one paper, or none for no limit")
    if not (said.found or said.without or narrowed):
        raise UsageError("the search is for nothing: name a word, or narrow it by a year, an author, a journal")
    with reading(db) as connection:
        teach(connection)
        # Without the papers where nothing narrows it: to look at each that has a word takes longer than to rank it.
        tables = _tables(connection, by_year=year is not None) if narrowed else "words"
        total, best = _best(connection, said, tables, narrowed, values, limit)
        snippets = _snippets(connection, said.found, [number for number, _ in best])
        return Findings(total, tuple(_found(connection, number, score, snippets) for number, score in best))


def _tables(connection: sqlite3.Connection, *, by_year: bool) -> str:
    """Return what the words are looked for in where something narrows the search."""
    indexed = by_year and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'paper_year'").fetchone()
    # An older database has it from the next sync on. SQLite would not choose it by itself.
    return f"words JOIN paper {'INDEXED BY paper_year ' if indexed else ''}ON paper.id = words.rowid"


def _best(
    connection: sqlite3.Connection,
    said: Expression,
    tables: str,
    narrowed: list[str],
    values: list[str | int | None],
    limit: int | None,
) -> tuple[int, list[tuple[int, float | None]]]:
    """Return how many papers suit, and the numbers and scores of the best, in order; memory holds only these."""
    if not said.found:
        return _newest(connection, said, narrowed, values, limit)
    where = " AND ".join(["words MATCH ?", *narrowed])
    rows = connection.execute(
        f"SELECT words.rowid, {RANK} AS score FROM {tables} WHERE {where} ORDER BY score",  # noqa: S608  (ours)
        [str(said), *values],
    )
    best, worse = list(islice(rows, limit)), 0
    for row in rows:
        if row[1] != best[-1][1]:
            worse = 1 + sum(1 for _ in rows)
        else:
            best.append(row)
    return len(best) + worse, _in_order(connection, best)[:limit]


def _newest(
    connection: sqlite3.Connection,
    said: Expression,
    narrowed: list[str],
    values: list[str | int | None],
    limit: int | None,
) -> tuple[int, list[tuple[int, float | None]]]:
    """Return the same where no words are looked for: the newest are the best."""
    where, without = list(narrowed), [said.without] if said.without else []
    if said.without:
        where.insert(0, "paper.id NOT IN (SELECT rowid FROM words WHERE words MATCH ?)")
    rows = connection.execute(
        f"SELECT id, NULL FROM paper WHERE {' AND '.join(where)} ORDER BY {OLDEST_LAST}",  # noqa: S608  (ours)
        [*without, *values],
    )
    best = list(islice(rows, limit))
    return len(best) + sum(1 for _ in rows), best


def _in_order(connection: sqlite3.Connection, ranked: list[tuple[int, float]]) -> list[tuple[int, float | None]]:
    """Return ranked papers, the oldest of those with one score last."""
    rows = connection.execute(
        f"SELECT id FROM paper WHERE id IN (SELECT value FROM json_each(?)) ORDER BY {OLDEST_LAST}",  # noqa: S608  (ours)
        (json.dumps([number for number, _ in ranked]),),
    )
    place = {number: at for at, (number,) in enumerate(rows)}
    return [(number, -score) for number, score in sorted(ranked, key=lambda row: (row[1], place[row[0]]))]


def _found(connection: sqlite3.Connection, paper: int, score: float | None, snippets: dict[int, str | None]) -> Found:
    row = connection.execute(DETAIL, {"paper": paper}).fetchone()
    key, doi, title, year, journal, abstract, status, pmids, authors = row
    return Found(
        key=key,
        doi=doi,
        pmids=json.loads(pmids),
        title=title,
        year=year,
        status=status,
        journal=journal,
        authors=json.loads(authors),
        snippet=snippets.get(paper) or _beginning(abstract),
        score=None if score is None else float(f"{score:.6g}"),
    )


def _snippets(connection: sqlite3.Connection, found: str, papers: list[int]) -> dict[int, str | None]:
    """Return where papers have what was looked for: in the abstract, else in the headings; None if elsewhere.

    They are picked out of all that have it (`+`): paper by paper the index would read all words that begin as the
    query says anew.
    """
    if not found:
        return {}
    rows = connection.execute(
        f"SELECT rowid, {SNIPPET.format(1)}, {SNIPPET.format(3)} FROM words"  # noqa: S608  (ours)
        " WHERE words MATCH ? AND +rowid IN (SELECT value FROM json_each(?))",
        (found, json.dumps(papers)),
    )
    return {paper: next((_line(text) for text in said if "**" in text), None) for paper, *said in rows}


def _beginning(abstract: str | None) -> str | None:
    words = (abstract or "").split()
    return " ".join(words[:24]) + ("…" if len(words) > 24 else "") if words else None


def _line(text: str) -> str:
    return "; ".join(line for line in text.split("\n") if line)
