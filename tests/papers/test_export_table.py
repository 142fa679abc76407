"""Papers as CSV and as JSON Lines."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import sys

from leftoff.papers import works
from leftoff.papers.citing import citation_key
from leftoff.papers.export_table import HEADER, write_csv, write_jsonl
from leftoff.papers.exported import COLUMNS, all_ids, exported
from leftoff.papers.record import Heading
from leftoff.papers.store import store_record
from tests.papers.exporting import body, database, library, made, person, written
from tests.papers.test_store import DAY, paper

NUL = "\x00" if sys.version_info >= (3, 11) else ""  # before, Python's reader of CSV refuses it
ODD = f'a;"b"\r\n\n=c,\td{NUL}\x1b\u2028e\x85'


def test_every_real_paper_is_a_row_with_its_data_exactly() -> None:
    """What a reader of CSV gives back is what the table holds, character by character."""
    rows = list(csv.DictReader(io.StringIO(written(write_csv, library().values()), newline="")))
    assert len(rows) == len(library())
    same = [name for name in HEADER if name in COLUMNS and name != "pmid"]
    assert len(same) == 18
    for row, kept in zip(rows, library().values(), strict=True):
        assert {name: row[name] for name in same} == {
            name: "" if (value := getattr(kept, name)) is None else str(value) for name in same
        }
        assert row["citation_key"] == citation_key(kept)
        assert sorted(row["pmid"].split("; ")) == sorted(kept.named("pmid")) or not kept.named("pmid")
        assert row["authors"].count("; ") >= len(kept.authors) - 1


def test_csv_is_that_of_the_rfc() -> None:
    """Made: lines end in CR LF, quotes are doubled, and the oddest cell comes back as it was."""
    mesh = (Heading("Asthma", None, "drug therapy", None, True), Heading("Rats", None, None, None, False))
    authors = (person("de la Viuda", "J M", "Jr"), body("C, D"), person("Basappa"), person("Xu", initials="JP"))
    text = written(write_csv, [made(*authors, title=ODD, abstract="a\n\nb", mesh=mesh, pages="n/a-n/a")])
    assert text.startswith(",".join(HEADER) + "\r\n")
    assert text.endswith("\r\n")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["title"], row["abstract"], row["pages"], row["year"]) == (ODD, "a\n\nb", "n/a-n/a", "")
    assert row["authors"] == "de la Viuda, J M, Jr; C, D; Basappa; Xu, JP"
    assert row["mesh"] == "Asthma/drug therapy*; Rats"


def test_every_real_paper_is_a_line_with_all_there_is() -> None:
    """Counted against the tables: authors, headings, identifiers, provenance and conflicts."""
    text = written(write_jsonl, library().values())
    lines = [json.loads(line) for line in text.splitlines()]  # splits at whatever may end a line
    assert text.isascii()
    assert [line["key"] for line in lines] == list(library())

    def count(sql: str) -> int:
        return int(database().execute(f"SELECT count(*) FROM {sql}").fetchone()[0])

    assert sum(len(line["authors"]) for line in lines) == count("author")
    assert sum(len(line["mesh"]) for line in lines) == count("mesh")
    assert sum(len(line["provenance"]) for line in lines) == count("provenance")
    assert sum(len(line["conflicts"]) for line in lines) == count("conflict") > 0
    assert sum(len(line["pmids"]) for line in lines) == count("identifier WHERE kind = 'pmid'")
    for line, kept in zip(lines, library().values(), strict=True):
        assert {name: line[name] for name in COLUMNS} == {name: getattr(kept, name) for name in COLUMNS}


def test_the_columns_are_those_of_the_table() -> None:
    """A column that is new in the table is asked for here."""
    found = [row[1] for row in database().execute("PRAGMA table_info(paper)")]
    assert set(found) - {"id"} == set(COLUMNS)


def test_a_line_says_which_record_a_field_is_from(papers: sqlite3.Connection) -> None:
    """Made: source, identifier and day of what is shown, and what the other service says in its place."""
    store_record(papers, paper(7, "10.1000/a", title="T"), DAY)
    work = {"DOI": "10.1000/a", "title": ["Another"], "page": "1-2", "type": "journal-article"}
    store_record(papers, works.record(works.work(work)), "2026-02-01T00:00:00Z")
    (shown,) = [exported(papers, row) for row in all_ids(papers)]
    line = json.loads(written(write_jsonl, [shown]))
    assert (line["source"], line["pmids"], line["title"], line["pages"]) == ("pubmed; crossref", ["7"], "T", "1-2")
    assert line["conflicts"] == [
        {"field": "title", "source": "crossref", "identifier": "10.1000/a", "value": "Another"}
    ]
    assert line["provenance"]["title"] == {"source": "pubmed", "identifier": 7, "fetched_at": DAY}
    assert line["provenance"]["pages"] == {
        "source": "crossref", "identifier": "10.1000/a", "fetched_at": "2026-02-01T00:00:00Z",
    }  # fmt: skip
