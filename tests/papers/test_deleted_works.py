"""Works that Crossref no longer knows, looked up in its replica."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from leftoff.papers import SyncReport, listed, status_of, sync
from leftoff.testing.replica_process import Running, serve

DOIS = ("10.1000/a", "10.1000/b,c")


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Running]:
    """A replica of Crossref with two made works and no limits."""
    folder = tmp_path / "works"
    folder.mkdir()
    stamp = {"date-parts": [[2020, 1, 1]], "date-time": "2020-01-01T00:00:00Z", "timestamp": 1577836800000}
    lines = [
        json.dumps({"DOI": doi, "title": [doi], "created": stamp, "deposited": stamp, "indexed": stamp}) for doi in DOIS
    ]
    (folder / "works.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    freely = ("--limit", "0", "--polite-limit", "0", "--concurrency", "0", "--polite-concurrency", "0")
    with serve("leftoff.testing.crossref", folder, *freely) as running:
        yield running


def look_up(replica: Running, folder: Path) -> SyncReport:
    """Look both works up."""
    (folder / "dois.txt").write_text("\n".join(DOIS), encoding="utf-8")
    return sync("", folder / "p.db", source="crossref", dois=folder / "dois.txt", crossref_url=replica.url)


def test_a_stored_work_that_crossref_no_longer_knows_is_marked(replica: Running, tmp_path: Path) -> None:
    """It stays and is deleted, counted as absent; the same text again, in another run, takes the mark away."""
    assert look_up(replica, tmp_path).stored == 2
    gone = urllib.parse.urlencode({"doi": DOIS[0]})
    with urllib.request.urlopen(f"{replica.url}/replica/delete?{gone}") as answer:
        assert answer.status == 200
    report = look_up(replica, tmp_path)
    assert (report.stored, report.absent, report.skipped, report.missing) == (0, 1, 1, 0)
    assert {paper["doi"]: paper["status"] for paper in listed(tmp_path / "p.db")} == {DOIS[0]: "deleted", DOIS[1]: ""}
    with serve("leftoff.testing.crossref", tmp_path / "works") as again:
        assert look_up(again, tmp_path).absent == 0
    assert status_of(tmp_path / "p.db", DOIS[0])["status"] == ""
