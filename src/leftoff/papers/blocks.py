"""Find the pairs of papers that are worth a comparison, among a million, in bounded memory.

1. A paper stands in a few blocks, and only papers of one block are compared: those that share two of their three rarest
   title words, the beginning of the title and the first author, a volume and first page with journal or first author,
   a PMCID.
2. How rare a word is, and whether a title is common, is counted for all papers, by hash, in arrays of a fixed size: a
   collision makes a word look less rare, nothing more.
3. Blocks are rows of a temporary table that SQLite sorts on disk. In a block of more than `CROWD` papers each is
   compared with its `CROWD` neighbours in the order of titles.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, groupby
from zlib import crc32

from leftoff.papers.fingerprint import COLUMNS, FROM, Fingerprint, fingerprint
from leftoff.papers.titles import folded

BUCKETS = 1 << 22  # of 4 bytes each
CROWD = 30
COMMON = 4  # papers with one title: it is nobody's own
CHUNK = 10_000
ALL = f"SELECT {COLUMNS} {FROM}"
ONE = f"SELECT {COLUMNS} {FROM} WHERE paper.id = ?"


class Blocks:
    """Sort the papers of a database into blocks, in temporary tables of the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._words = array("I", bytes(4 * BUCKETS))
        self._titles = array("I", bytes(4 * BUCKETS))
        self._read = lru_cache(maxsize=10_000)(self._read_one)
        self._count()
        self._sort()

    def pairs(self) -> Iterator[tuple[Fingerprint, Fingerprint]]:
        """Iterate the pairs that share a block; one that shares several comes several times."""
        rows = self._connection.execute("SELECT key, paper_id FROM temp.block ORDER BY key, paper_id")
        for _, block in groupby(rows, key=lambda row: row[0]):
            papers = [paper for _, paper in block]
            if len(papers) > 1:
                yield from self._neighbours(papers)

    def is_common(self, paper: Fingerprint) -> bool:
        """Say whether so many papers have this title that it tells nothing."""
        return self._titles[_bucket(paper.words)] >= COMMON

    def _neighbours(self, papers: list[int]) -> Iterator[tuple[Fingerprint, Fingerprint]]:
        if len(papers) <= CROWD:
            yield from combinations(map(self._read, papers), 2)
            return
        ordered = sorted((self._read(paper).words, paper) for paper in papers)
        for place, (_, paper) in enumerate(ordered):
            for _, other in ordered[place + 1 : place + 1 + CROWD]:
                yield self._read(paper), self._read(other)

    def _read_one(self, paper: int) -> Fingerprint:
        return fingerprint(self._connection.execute(ONE, (paper,)).fetchone())

    def _count(self) -> None:
        for (title,) in self._connection.execute("SELECT title FROM paper WHERE title IS NOT NULL"):
            words = folded(title)
            self._titles[_bucket(words)] += 1
            for word in set(words.split()):
                self._words[_bucket(word)] += 1

    def _sort(self) -> None:
        self._connection.execute("CREATE TEMP TABLE block (key INTEGER NOT NULL, paper_id INTEGER NOT NULL)")
        papers = self._connection.execute(ALL)
        while rows := papers.fetchmany(CHUNK):
            self._connection.executemany(
                "INSERT INTO temp.block VALUES (?, ?)",
                [(hash(key), paper.id) for paper in map(fingerprint, rows) for key in self._keys(paper)],
            )

    def _keys(self, paper: Fingerprint) -> set[tuple[str, ...]]:
        """Return the names of the paper's blocks."""
        if paper.kind is None:
            return set()
        keys: set[tuple[str, ...]] = set()
        if paper.pmcid is not None:
            keys.add(("pmcid", paper.pmcid))
        if paper.volume_number and paper.first_page:
            place = (paper.volume_number, paper.first_page)
            keys |= {("place", name, *place) for name in (*paper.issns, paper.journal_words, paper.last_name) if name}
        if not paper.is_generic and not self.is_common(paper):
            rarest = sorted(set(paper.tokens), key=lambda word: (self._words[_bucket(word)], word))[:3]
            keys |= {("words", *sorted(pair)) for pair in combinations(rarest, 2)}
            keys.add(("title", *paper.tokens[:4], paper.last_name))
        return keys


def _bucket(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass")) % BUCKETS
