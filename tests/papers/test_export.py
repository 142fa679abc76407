"""The one function that exports: what is asked for, what is refused, and that a file is whole or as it was."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import sys
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import leftoff.papers.exported
from leftoff.errors import JournalDamaged, JournalMissing, NotAJournal, Stopped, UsageError
from leftoff.papers import ExportReport, export, tables
from leftoff.papers.record import Record
from leftoff.papers.store import store_record
from tests.papers.test_store import DAY, paper

MODULE = sys.modules["leftoff.papers.export"]
EXPORTED = leftoff.papers.exported.exported


def stored(path: Path, *records: Record) -> Path:
    """Make a database of these records, in the mode in which a sync makes it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        tables.create(connection)
        for record in records:
            store_record(connection, record, DAY)
    return path


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Three papers; one has two PMIDs, one a PMCID."""
    records = (paper(30, "10.1000/a"), paper(9, "10.1000/A", title="older"), paper(100, title="B", pmc="PMC7"))
    return stored(tmp_path / "papers.db", *records, paper(2, "10.1002/(SICI)1&lt;2::AID-X&gt;3.0.CO;2-#", title="C"))


def keys(db: Path, *names: str | int) -> list[str]:
    """Return the titles of the papers that an export of these names writes."""
    file = io.BytesIO()
    report = export(db, file, names, format="jsonl")
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert report == ExportReport(len(lines), "jsonl")
    return [line["title"] for line in lines]


def test_all_papers_come_in_the_order_of_pmids(db: Path) -> None:
    """Without names it is the library."""
    assert keys(db) == ["C", "T", "B"]


@pytest.mark.parametrize(
    "name",
    [
        *("10.1000/a", "doi:10.1000/A", " https://doi.org/10.1000/a ", "30", "9", "pmid:9", "PMID: 30"),
        *(30, "030"),
    ],
)
def test_a_paper_is_named_by_whatever_it_has(db: Path, name: str | int) -> None:
    """A DOI in any form, or any of its PMIDs."""
    assert keys(db, name) == ["T"]


def test_named_papers_come_once_in_the_order_of_their_names(db: Path) -> None:
    """Two names of one paper are one paper."""
    sici = "https://doi.org/10.1002/(SICI)1%3C2::AID-X%3E3.0.CO;2-%23"
    assert keys(db, "PMC7", "30", "10.1000/a", sici, "pmcid:pmc7") == ["B", "T", "C"]
    file = io.BytesIO()
    export(db, file, "PMC7", format="jsonl")  # one name is one name, and not its letters
    assert json.loads(file.getvalue())["title"] == "B"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["10.1000/zz", "30"], "has no paper 10.1000/zz; nothing was written"),
        ([str(number) for number in range(1000, 1008)], "1004 and 3 more; nothing was written"),
        (["asthma"], "'asthma' is no DOI, PMID or PMCID: write 10.1000/abc"),
        ([""], "'' is no DOI"),
    ],
)
def test_a_paper_that_is_not_there_is_named_before_anything_is_written(
    db: Path, tmp_path: Path, names: list[str], said: str
) -> None:
    """No file is made, and one that is there stays."""
    (tmp_path / "old.bib").write_text("old")
    for name in ("new.bib", "old.bib"):
        with pytest.raises(UsageError, match=said):
            export(db, tmp_path / name, names)
    assert (tmp_path / "old.bib").read_text() == "old"
    assert not (tmp_path / "new.bib").exists()


@pytest.mark.parametrize(
    ("name", "format_", "begins"),
    [
        ("a.bib", "bibtex", b"@article{"), ("a.RIS", "ris", b"TY  - JOUR\r\n"), ("a.json", "csl-json", b'[\n{"id"'),
        ("a.csv", "csv", b"key,citation_key,doi"), ("a.jsonl", "jsonl", b'{"key"'), ("a.ndjson", "jsonl", b'{"key"'),
    ],
)  # fmt: skip
def test_the_suffix_chooses_the_format(db: Path, tmp_path: Path, name: str, format_: str, begins: bytes) -> None:
    """And a format that is named goes before it."""
    assert export(db, tmp_path / name) == ExportReport(3, format_)
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert export(db, tmp_path / "other.bib", format=format_) == ExportReport(3, format_)  # type: ignore[arg-type]
    assert (tmp_path / "other.bib").read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("a.txt", {}, r"a.txt: its suffix chooses the format: .bib, .ris"),
        ("a", {}, "its suffix chooses"),
        ("a.bib", {"format": "endnote"}, "one of bibtex, ris, csl-json, csv, jsonl"),
        (io.BytesIO(), {}, "a stream has no suffix"),
        ("a.ris", {"latex": True}, "for BibTeX, not for ris"),
        ("none/a.bib", {}, "there is no directory"),
        (".", {"format": "ris"}, "is a directory"),
        ("papers.db", {"format": "csv"}, "is a database"),
        ("other.db", {"format": "csv"}, "is a database"),
    ],
)
def test_a_wrong_call_changes_nothing(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, options: dict[str, Any], said: str
) -> None:
    """Each mistake is named; neither this database nor another is replaced."""
    stored(tmp_path / "other.db", paper(1))
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".db"}
    with pytest.raises(UsageError, match=said):
        export(db, target, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".db"} == before
    assert not any(path.suffix not in (".db", ".db-wal", ".db-shm") for path in tmp_path.iterdir())


def test_a_pipe_is_written_to_and_stays_one(db: Path, tmp_path: Path) -> None:
    """What is no regular file is not replaced by one."""
    os.mkfifo(tmp_path / "pipe.csv")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe.csv").read_bytes()))
    reader.start()
    assert export(db, tmp_path / "pipe.csv") == ExportReport(3, "csv")
    reader.join(timeout=60)
    export(db, tmp_path / "file.csv")
    assert got == [(tmp_path / "file.csv").read_bytes()]
    assert (tmp_path / "pipe.csv").is_fifo()


def test_what_holds_no_papers_is_named(tmp_path: Path) -> None:
    """A missing file is not made; a text and a database without our tables are refused."""
    with pytest.raises(JournalMissing, match="papers sync makes one"):
        export(tmp_path / "none.db", tmp_path / "a.bib")
    (tmp_path / "text.db").write_text("hello " * 100)
    sqlite3.connect(tmp_path / "other.db").close()
    for name in ("text.db", "other.db"):
        with pytest.raises(NotAJournal, match=name):
            export(tmp_path / name, tmp_path / "a.bib")
    assert not (tmp_path / "a.bib").exists()


def test_no_papers_are_a_file_without_any(tmp_path: Path) -> None:
    """An empty library is no error."""
    db = stored(tmp_path / "empty.db")
    assert export(db, tmp_path / "a.json") == ExportReport(0, "csl-json")
    assert json.loads((tmp_path / "a.json").read_text()) == []


def interrupted(at: int, happen: Callable[[], None]) -> Callable[..., Any]:
    """Return a reader of papers in which something happens at one of them."""
    met = [0]

    def read(connection: sqlite3.Connection, row: int) -> Any:
        met[0] += 1
        if met[0] == at:
            happen()
        return EXPORTED(connection, row)

    return read


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stop_leaves_the_file_as_it_was(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    """Ctrl-C and SIGTERM in the middle: no new file, no torn one, and nothing beside it."""
    (tmp_path / "old.csv").write_text("old")
    for name in ("old.csv", "new.csv"):
        monkeypatch.setattr(MODULE, "exported", interrupted(2, lambda: signal.raise_signal(number)))
        with pytest.raises(Stopped) as stopped:
            export(db, tmp_path / name, progress=False)
        assert stopped.value.code == code
        assert "nothing was written" in stopped.value.message
    assert {path.name for path in tmp_path.glob("*.csv*")} == {"old.csv"}
    assert (tmp_path / "old.csv").read_text() == "old"
    assert not list(tmp_path.glob(".*"))


def test_what_is_stored_meanwhile_is_not_in_it(db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that commits in the middle is neither waited for nor half seen."""
    more = [paper(number, f"10.1000/{number}", title=f"new {number}") for number in range(1, 300)]
    monkeypatch.setattr(MODULE, "exported", interrupted(2, lambda: stored(db, *more) and None))
    assert keys(db) == ["C", "T", "B"]
    monkeypatch.undo()
    assert keys(db, 298) == ["new 298"]


def test_damage_in_the_middle_is_no_short_file(db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the database surfaces by name, and the file stays as it was."""

    def fail() -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(MODULE, "exported", interrupted(3, fail))
    with pytest.raises(JournalDamaged, match="malformed"):
        export(db, tmp_path / "a.bib")
    assert not (tmp_path / "a.bib").exists()


def test_memory_holds_one_paper(tmp_path: Path) -> None:
    """Sixty papers of a megabyte each need the memory of a few."""
    db = stored(tmp_path / "papers.db", *(paper(number, title="T") for number in range(1, 61)))
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE paper SET abstract = replace(hex(zeroblob(500000)), '00', 'ab')")
    for name in ("a.bib", "a.ris", "a.json", "a.csv", "a.jsonl"):
        tracemalloc.start()
        export(db, tmp_path / name, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (tmp_path / name).stat().st_size > 60_000_000
        assert peak < 20_000_000, name
