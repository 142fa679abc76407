"""The page about papers says what is so."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from leftoff.papers import entrez, sync, tables
from tests.papers.conftest import CHECKOUT

DOI = "10.1016/0006-291X(75)90506-9"
PAGE = (CHECKOUT / "docs" / "papers.md").read_text("utf-8")


def test_the_example_of_the_page_runs(
    replica: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's program, with the replica in the place of the live service, stores and lists what its query finds."""
    (program,) = re.findall(r"```python\n(.*?def main.*?)```", PAGE, re.DOTALL)
    monkeypatch.setattr(entrez, "LIVE", replica())
    names: dict[str, Callable[[], None]] = {}
    exec(program.replace("asthma[mh] AND 2024[dp]", "cancer"), names)
    names["main"]()
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[1-9][0-9]* stored, 0 missing", said[0])
    assert len(said) == 1 + int(said[0].split()[0])


def test_the_query_of_the_page_runs(replica: Callable[..., str], tmp_path: Path) -> None:
    """The page's SQL runs on the tables as they are, and brings something."""
    sql, conflicts, retracted = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    sync("all[sb]", tmp_path / "papers.db", limit=200, ncbi_url=replica(), api_key="test")
    connection = sqlite3.connect(tmp_path / "papers.db")
    connection.execute(sql)
    connection.execute(conflicts)
    connection.execute(retracted)
    assert connection.execute(sql.replace("'Asthma'", "'Humans'").replace("AND mesh.major", "")).fetchall()
    connection.close()


def test_the_searches_of_the_page_run(
    papers_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's programs that search and show, with words and names that the database has, print what they say."""
    monkeypatch.chdir(papers_file.parent)
    names: dict[str, Callable[[], None]] = {}
    for name, given, here in (("found", "airway remodeling", "cultured fibroblasts"), ("shown", "10.1000/ABC", DOI)):
        (program,) = re.findall(rf"```python\n(from leftoff[^`]*?def {name}\(.*?)```", PAGE, re.DOTALL)
        exec(program.replace(given, here).replace(" smok*", "").replace('"2015-"', '"-2015"'), names)
        names[name]()
    found, *_, shown = capsys.readouterr().out.splitlines()
    assert int(found) > 0
    assert shown.endswith("pubmed 0")


def test_every_table_and_column_is_on_the_page() -> None:
    """A table or column that the page does not name is not documented."""
    connection = sqlite3.connect(":memory:")
    tables.create(connection)
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert found
    for (table,) in found:
        if table.startswith("words_"):
            continue  # how FTS5 keeps the table of words
        assert f"`{table}`" in PAGE
        if table in ("search", "listed", "walked", "absent"):
            continue  # named; how they are used is the program's own affair
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{table}` |"))
        columns = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
        assert [name for name in columns if f"`{name}`" not in row and name != "id"] == []
    connection.close()
