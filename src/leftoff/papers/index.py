"""Index the words of papers: `words`, an FTS5 table with a row for each paper, under the paper's own number.

1. A paper's row is written wherever the paper is, through the same connection, so that both commit together: the index
   is never behind, whenever a kill comes.
2. The table holds the text that it indexes. Without it it would be smaller by half, but would have to be told at each
   change what a row said before; told anything else, it is wrong from then on, silently.
3. Nothing is stemmed: ``therap*`` finds what it says, and names stay names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing

from leftoff.errors import UsageError
from leftoff.papers.record import Author, Heading
from leftoff.papers.spelling import SPECIAL, cited, folded

MADE = """
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
        title, abstract, author, mesh, tokenize = 'unicode61 remove_diacritics 2'
    )
"""
NO_FTS5 = (
    f"the SQLite {sqlite3.sqlite_version} of this Python was built without FTS5, which indexes papers: "
    "use a Python whose SQLite has it, such as one from python.org"
)
LACKING = "SELECT id FROM paper WHERE id NOT IN (SELECT id FROM words_docsize)"  # of the index, what is small
LACKS = "SELECT (SELECT count(*) FROM words_docsize) < (SELECT count(*) FROM paper)"  # of a million in 20 ms
PAPER = "SELECT title, abstract FROM paper WHERE id = ?"
AUTHORS = f"SELECT {', '.join(Author._fields)} FROM author WHERE paper_id = ? ORDER BY position"  # noqa: S608  (ours)
MESH = f"SELECT {', '.join(Heading._fields)} FROM mesh WHERE paper_id = ? ORDER BY position"  # noqa: S608  (ours)
KNOWN = "SELECT title, abstract, author, mesh FROM words WHERE rowid = ?"
Words = tuple[str, str, str, str]


def check() -> None:
    """Raise UsageError where SQLite has no FTS5."""
    with closing(sqlite3.connect(":memory:")) as connection:
        _make(connection)


def create(connection: sqlite3.Connection) -> None:
    """Make the index if it is not there yet, and take in the papers that it lacks, which an older database has.

    Raises UsageError where SQLite has no FTS5.
    """
    _make(connection)
    if connection.execute(LACKS).fetchone()[0]:
        for (paper,) in connection.execute(LACKING).fetchall():
            keep(connection, paper, _words_of(connection, paper))


def keep(connection: sqlite3.Connection, paper: int, words: Words, *, new: bool = False) -> None:
    """Let the index say these words of a paper; ``new``: it said none so far."""
    if not new:
        known = connection.execute(KNOWN, (paper,)).fetchone()
        if known == words:
            return  # as where Crossref's work joins a paper of PubMed
        if known is not None:
            drop(connection, paper)
    connection.execute(
        "INSERT INTO words (rowid, title, abstract, author, mesh) VALUES (?, ?, ?, ?, ?)", (paper, *words)
    )


def drop(connection: sqlite3.Connection, paper: int) -> None:
    """Take out a paper that is no more."""
    connection.execute("DELETE FROM words WHERE rowid = ?", (paper,))


def words(title: str | None, abstract: str | None, authors: Iterable[Author], mesh: Iterable[Heading]) -> Words:
    """Return what the index is to say of a paper: title, abstract, authors (without a Ø or Ł, too), MeSH."""
    names = [name for author in authors for name in _forms(author)]
    if SPECIAL.search("\n".join(names)):
        names += [folded(name) for name in names if SPECIAL.search(name)]
    # Each word once: a heading with five qualifiers stands there five times, and is not five times as much meant.
    headings = dict.fromkeys(word for each in mesh for word in (each.descriptor, each.qualifier) if word)
    return title or "", abstract or "", "\n".join(names), "\n".join(headings)


def _words_of(connection: sqlite3.Connection, paper: int) -> Words:
    """Return what the index is to say of a stored paper."""
    title, abstract = connection.execute(PAPER, (paper,)).fetchone()
    authors = [Author(*row) for row in connection.execute(AUTHORS, (paper,))]
    mesh = [Heading(*row) for row in connection.execute(MESH, (paper,))]
    return words(title, abstract, authors, mesh)


def _forms(author: Author) -> list[str]:
    """Return how an author may be called: as one reads it, and as PubMed cites it."""
    short = cited(author.last, author.fore, author.initials)
    return [author.name] if short is None else [author.name, short]


def _make(connection: sqlite3.Connection) -> None:
    try:
        connection.execute(MADE)
    except sqlite3.OperationalError as error:
        if "no such module" not in str(error):
            raise
        raise UsageError(NO_FTS5) from error
