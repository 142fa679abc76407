"""What a library costs does not grow faster than the library: `benchmarks/papers_million.py`, and why it can say so."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from leftoff.papers import fetch, pmids, pubmed, search, tables
from tests.papers.conftest import CHECKOUT, RealRecords
from tests.papers.library import ask

BENCHMARKS = CHECKOUT / "benchmarks"


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import papers_clones

    return papers_clones


@pytest.fixture
def million(clones: ModuleType) -> ModuleType:
    import papers_million

    return papers_million


def test_a_clone_is_what_pubmed_would_have_sent(clones: ModuleType, real: RealRecords) -> None:
    """The bytes of a clone, read as an answer of the service, say what the clone says; no two share an identifier."""
    made = clones.Clones(real.folder, 10_000)
    records = [made.record(number) for number in (*range(made.originals), *range(9_000, 9_000 + made.originals))]
    for record in records:
        assert [*pubmed.records(b"<PubmedArticleSet>" + record.raw + b"</PubmedArticleSet>")] == [record]
    for name in ("identifier", "doi", "pmcid"):
        values = [value for record in records if (value := getattr(record, name)) is not None]
        assert len(values) == len(set(values)) > 0


def steps_of(connection: sqlite3.Connection, sql: str, *values: object) -> int:
    """Return how many hundreds of steps SQLite takes for a statement."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    connection.set_progress_handler(step, 100)
    connection.execute(sql, values).fetchall()
    connection.set_progress_handler(None, 0)
    return count


@pytest.mark.parametrize("name", ["STALE", "NEW"])
def test_what_is_asked_of_a_list_costs_as_much_as_the_list_is_long(name: str) -> None:
    """Four times as many listed and stored PMIDs take four times as long to be held against each other, not sixteen."""
    took = []
    for count in (1_000, 4_000):
        connection = sqlite3.connect(":memory:")
        tables.create(connection)
        numbers = [(number,) for number in range(count)]
        connection.executemany("INSERT INTO listed (search_id, pmid, revised) VALUES (1, ?, 0)", numbers)
        connection.executemany("INSERT INTO absent VALUES ('pubmed', ?, '')", numbers)
        connection.executemany("INSERT INTO raw VALUES ('pubmed', ?, 1, 1, '', NULL, x'', x'')", numbers)
        asked = (fetch.STALE, 1, 0, count, "", "") if name == "STALE" else (pmids.NEW, 1)
        took.append(steps_of(connection, *asked))
    assert took[1] < 6 * took[0]


def test_a_page_of_a_list_costs_the_same_however_long_the_list_is() -> None:
    """To look at so many PMIDs takes as long where a thousand are listed as where fifty thousand are."""
    took = []
    for count in (1_000, 50_000):
        connection = sqlite3.connect(":memory:")
        tables.create(connection)
        numbers = [(number,) for number in range(count)]
        connection.executemany("INSERT INTO listed (search_id, pmid, revised) VALUES (1, ?, 0)", numbers)
        took.append(steps_of(connection, fetch.STALE, 1, 500, 1_000, "", ""))
    assert took[1] < 2 * took[0]


def test_the_benchmark_skips_finds_and_reads_what_it_stored(tmp_path: Path, real: RealRecords) -> None:
    """All of its parts run on a small library, of which nothing is left but what was asked to be kept."""
    db = tmp_path / "kept.db"
    command = [sys.executable, str(BENCHMARKS / "papers_million.py"), "--papers", "1000", "--rounds", "1"]
    ran = subprocess.run(
        [*command, "--records", str(real.folder), "--db", str(db), "--folder", str(tmp_path)],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"^resumed +[0-9.]+ .* s   of bare .* peak +[0-9]+ MB$", ran.stdout, re.MULTILINE)
    assert re.search(r"^all of them: [0-9.]+ of bare; peak [0-9]+ MB$", ran.stdout, re.MULTILINE)
    assert re.search(r"^duplicates +[0-9.]+ s +peak +[0-9]+ MB$", ran.stdout, re.MULTILINE)
    assert ask(db, "SELECT count(*) FROM paper") == ask(db, "SELECT count(*) FROM raw") == [(1000,)]
    assert ask(db, "SELECT count(*) FROM leftoff_entry WHERE kind = 'done'") == [(1000,)]
    assert {path.name for path in tmp_path.iterdir()} <= {"kept.db", "kept.db.lock", "kept.jsonl"}


def test_the_bare_search_finds_what_the_search_finds(million: ModuleType, papers_file: Path) -> None:
    """The measure holds both results against each other, and would notice another list."""
    expected = million.bare_search(papers_file, '"of"', None)
    assert len(expected) == 20
    million.see_same(search("of", papers_file), expected)
    with pytest.raises(AssertionError):
        million.see_same(search("cancer", papers_file), expected)
