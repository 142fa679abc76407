"""`leftoff papers export`: its words, its exit codes, and what it prints."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import leftoff.papers
from leftoff.papers import ExportReport, tables
from leftoff.papers.store import store_record
from tests.cli.conftest import call
from tests.papers.test_store import DAY, paper


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with two papers, in the folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("papers.db")) as connection, connection:
        tables.create(connection)
        for record in (paper(1, "10.1000/a", title="A\u202e\u009bB"), paper(2, title="C &amp; D")):
            store_record(connection, record, DAY)
    return "papers.db"


def test_a_file_is_written_and_told(db: str) -> None:
    """In words, or with --json as one object; the suffix tells the format."""
    ended = call("papers", "export", "--db", db, "-o", "papers.bib")
    assert (ended.code, ended.out, ended.err) == (0, "papers.bib: 2 papers, bibtex\n", "")
    assert Path("papers.bib").read_text("utf-8").count("@article{") == 2
    told = call("papers", "export", "--db", db, "-o", "one.x", "--format", "ris", "--json", "10.1000/A").json
    assert told == {"db": db, "file": "one.x", "papers": 1, "format": "ris"}


@pytest.mark.parametrize("output", [[], ["-o", "-"]])
def test_standard_output_is_the_papers_alone(db: str, output: list[str]) -> None:
    """Bytes as a file has them, and no file is made."""
    ended = call("papers", "export", "--db", db, "--format", "ris", "2", *output)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == "TY  - JOUR"
    assert ended.out.count("TY  - ") == 1
    assert {path.name for path in Path().iterdir()} == {db}


def test_json_alone_is_a_line_a_paper(db: str) -> None:
    """As of every command, --json is for programs; a format that is no JSON contradicts it."""
    lines = call("papers", "export", "--db", db, "--json").json_lines
    assert [line["pmid"] for line in lines] == [1, 2]
    assert len(call("papers", "export", "--db", db, "--json", "--format", "csl-json").json) == 2
    assert call("papers", "export", "--db", db, "--json", "--format", "ris").code == 2


def test_each_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command calls the library with what it was given."""
    got: list[Any] = []

    def double(*given: Any, **options: Any) -> ExportReport:
        got.extend([given, options])
        return ExportReport(1, "bibtex")

    monkeypatch.setattr(leftoff.papers, "export", double)
    assert call("papers", "export", "--db", "a.db", "-o", "b", "--format", "bibtex", "--latex", "1", "2").code == 0
    assert got == [("a.db", "b", ("1", "2")), {"format": "bibtex", "latex": True, "progress": True}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing option '--db'"),
        (["--db", "papers.db"], "Say which --format, or name a FILE with -o"),
        (["--db", "papers.db", "-o", "a.doc"], "its suffix chooses the format"),
        (["--db", "papers.db", "--format", "endnote"], "is not one of"),
        (["--db", "papers.db", "-o", "a.bib", "10.1000/none"], "has no paper 10.1000/none; nothing was written"),
        (["--db", "papers.db", "-o", "a.bib", "asthma"], "is no DOI, PMID or PMCID"),
        (["--db", "papers.db", "-o", "papers.db", "--format", "csv"], "is a database"),
        (["--db", "papers.db", "-o", "a.ris", "--latex"], "for BibTeX"),
    ],
)
def test_a_wrong_call_is_named_and_makes_nothing(db: str, words: list[str], said: str) -> None:
    """Each exits with 2 and its own words."""
    ended = call("papers", "export", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert [path.name for path in Path().iterdir()] == [db]


def test_a_database_that_is_none_fails(db: str) -> None:
    """1, with what to do."""
    Path("text.db").write_text("hello " * 100)
    for name, said in (("none.db", "papers sync makes one"), ("text.db", "holds no papers")):
        ended = call("papers", "export", "--db", name, "--format", "csv")
        assert (ended.code, ended.out) == (1, "")
        assert said in ended.err


def test_what_could_drive_a_terminal_is_escaped_on_one(db: str) -> None:
    """A pipe gets the data, a terminal what can be read of it."""
    pytest.importorskip("pty")
    words = ["papers", "export", "--db", db, "--format", "csv"]
    piped = subprocess.run([sys.executable, "-m", "leftoff.cli", *words], capture_output=True, check=True).stdout
    assert "A\u202e\u009bB".encode() in piped
    script = f"import pty, sys; sys.exit(pty.spawn([sys.executable, '-m', 'leftoff.cli', *{words!r}]))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert rb"A\u202e\x9bB" in shown.stdout
    assert not {"\u202e", "\u009b"}.intersection(shown.stdout.decode())
