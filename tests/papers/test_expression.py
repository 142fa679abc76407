"""What a person types into a search."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator

import pytest

from leftoff.errors import UsageError
from leftoff.papers.expression import DEEPEST, Expression, expression
from leftoff.papers.index import MADE

PIECES = (
    'a b* \u00e7 " " ( ) - - OR AND NOT title: mesh: author: [mh] [tiab] * \0 \ud800 \u00e9 \u00f8 ^ + { } : NEAR NEAR('
    " , 5 \u65e5\u672c \u0301 ' ; -- /* \\ % _ \u2026 \u201c \u201d 10.1000/a"
).split(" ")


@pytest.fixture(scope="module")
def words() -> Iterator[sqlite3.Connection]:
    """An index with some made papers: 1 a, 2 a b, 3 b c, 4 in the abstract."""
    connection = sqlite3.connect(":memory:")
    connection.execute(MADE)
    rows = [
        (1, "asthma", "", "Ada Lovelace", ""),
        (2, "asthma cough", "airway remodeling", "", "Asthma"),
        (3, "cough wheeze", "remodeling of an airway", "", ""),
        (4, "IL-6 and OR", "asthmatic", "Jørgensen\njorgensen", "Lung Diseases"),
    ]
    connection.executemany("INSERT INTO words (rowid, title, abstract, author, mesh) VALUES (?, ?, ?, ?, ?)", rows)
    yield connection
    connection.close()


def found(words: sqlite3.Connection, query: str) -> list[int]:
    said = expression(query)
    if not said.found:
        gone = [row for (row,) in words.execute("SELECT rowid FROM words WHERE words MATCH ?", (said.without,))]
        return [row for row in (1, 2, 3, 4) if row not in gone]
    return [row for (row,) in words.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (str(said),))]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("asthma", [1, 2]),
        ("asthma cough", [2]),
        ("asthma AND cough", [2]),
        ("asthm*", [1, 2, 4]),
        ("asthma OR wheeze", [1, 2, 3]),
        ("cough asthma OR wheeze", [2, 3]),
        ("asthma OR wheeze cough", [2, 3]),
        ("(asthma cough) OR (cough wheeze)", [2, 3]),
        ("asthma -cough", [1]),
        ("asthma NOT cough", [1]),
        ("asthma -(cough OR lovelace)", []),
        ("asthma OR cough -wheeze", [1, 2]),
        ("-asthma", [3, 4]),
        ('"airway remodeling"', [2]),
        ("\u201cairway remodeling\u201d", [2]),
        ('"airway remodeling', [2]),
        ('"airway remod*"', [2]),
        ('"airway remod"*', [2]),
        ("airway remodeling", [2, 3]),
        ("title:cough", [2, 3]),
        ("TITLE: cough", [2, 3]),
        ("abstract:asthm*", [4]),
        ("mesh:asthma", [2]),
        ('mesh:"lung diseases"', [4]),
        ("author:lovelace", [1]),
        ("author:(lovelace OR jorgensen)", [1, 4]),
        ("-mesh:asthma asthma", [1]),
        ("mesh:-asthma asthma", [1]),
        ("asthma[mh]", [2]),
        ("asthma[MeSH Terms] AND cough[ti]", [2]),
        ('"airway remodeling"[tiab]', [2]),
        ("remodeling[ti]", []),
        ("J\u00f8rgensen", [4]),
        ("jorgensen", [4]),
        ("il-6", [4]),
        ("IL 6", [4]),
        ("6-il", []),
        ("or", [4]),
        ("asthma OR", [1, 2]),
        ("OR asthma", [1, 2]),
        ("asthma)", [1, 2]),
        ("(asthma", [1, 2]),
        ("asthma - \u2026 + *", [1, 2]),
        ("nosuch:asthma", []),
        ("lovelace^2", []),
        ("cough' OR '1'='1", [2, 3]),
    ],
)
def test_what_is_typed_finds_what_is_meant(words: sqlite3.Connection, query: str, rows: list[int]) -> None:
    """Each form of the language finds the papers it says, and what is of no form is text."""
    assert found(words, query) == rows


@pytest.mark.parametrize("query", ["", " ", "OR", "AND NOT", '""', "()", "\u2026 - *", "( ( ", '"', "[mh]", "\0"])
def test_a_query_without_a_word_says_nothing(query: str) -> None:
    """What has neither letter nor digit is nothing to look for."""
    assert expression(query) == Expression("", "")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("a OR -b", "OR stands between"),
        ("-a OR b", "OR stands between"),
        ("a (-b)", "only what is to be left out"),
        ("asthma 2024[dp]", "--year"),
        ('"Lancet"[ta]', "--journal"),
        ("review[PT]", "--type"),
        ("(" * (DEEPEST + 2) + "a", "groups within each other"),
    ],
)
def test_what_cannot_be_searched_is_said(query: str, said: str) -> None:
    """What has no meaning here is an error in our own words, not an empty answer."""
    with pytest.raises(UsageError, match=said):
        expression(query)


def test_nothing_that_is_typed_is_an_error_of_syntax(words: sqlite3.Connection) -> None:
    """Whatever is typed, SQLite takes what becomes of it."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    refused = 0
    for _ in range(5_000):
        query = rng.choice(["", " "]).join(rng.choice(PIECES) for _ in range(rng.randrange(14)))
        try:
            said = expression(query)
        except UsageError:
            refused += 1
            continue
        for match in {said.found, said.without, str(said) if said.found else ""} - {""}:
            words.execute("SELECT rowid FROM words WHERE words MATCH ?", (match,)).fetchall()
    assert refused < 2_000


def test_the_longest_and_the_deepest_query_are_searched(words: sqlite3.Connection) -> None:
    """A pasted page of words, and groups as deep as they may be, are no more than SQLite takes."""
    assert found(words, "asthma " * 5_000) == [1, 2]
    assert found(words, " OR ".join(["wheeze"] * 2_000)) == [3]
    assert found(words, "(\u00f8 OR (cough -" * (DEEPEST // 2) + "x") == []
