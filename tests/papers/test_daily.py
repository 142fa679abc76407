"""`sync_project`: which queries are run, in which order, and what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.errors import ServiceRefused, UsageError
from leftoff.papers import ProjectReport, daily, entrez, service, sync_project, tables
from leftoff.papers.reply import Rejected
from leftoff.papers.store import store_record
from leftoff.testing.ncbi_process import Running, serve
from tests.papers.conftest import SHIPPED
from tests.papers.evidence import query

NOON = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
DB = Path("papers.db")
PROJECT = """
[papers]
db = "papers.db"
email = "file@example.org"
ncbi_url = "{url}"

[papers.queries.second]
query = "patients"
every = "7d"

[papers.queries.first]
query = "cancer"
"""


@pytest.fixture(scope="module")
def replica() -> Iterator[Running]:
    with serve(SHIPPED, "--limit", "0") as running:
        yield running


@pytest.fixture(autouse=True)
def project(replica: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the project, be quick, and let it be noon of a day."""
    monkeypatch.setattr(entrez, "SPACING", 1e-4)
    monkeypatch.setattr(entrez, "SPACING_WITH_KEY", 1e-4)
    monkeypatch.setattr(service.retry, "delay", lambda failures: 0.001)
    monkeypatch.setattr(service, "ATTEMPTS", 2)
    monkeypatch.delenv("NCBI_API_KEY", raising=False)
    later(monkeypatch)
    Path("leftoff.toml").write_text(PROJECT.format(url=replica.eutils))


def later(monkeypatch: pytest.MonkeyPatch, **time: float) -> None:
    moment = NOON + timedelta(**time)
    monkeypatch.setattr(tables, "clock", lambda: moment)


def ran(report: ProjectReport) -> list[str]:
    return [each.name for each in report.outcomes if each.report is not None]


def test_what_is_due_is_run_in_the_files_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first all; then each when its time since the begin of the last complete search is over, and not before."""
    first = sync_project()
    assert ran(first) == ["second", "first"]
    assert [each.due for each in first.outcomes] == ["never searched completely"] * 2
    again = sync_project()
    assert ran(again) == []
    assert [each.next_at for each in again.outcomes] == ["2026-03-17T12:00:00.000000Z", "2026-03-11T12:00:00.000000Z"]
    later(monkeypatch, hours=23, minutes=59)
    assert ran(sync_project()) == []
    later(monkeypatch, hours=24)
    report = sync_project()
    assert ran(report) == ["first"]
    assert report.outcomes[1].due == "its last complete search was begun at 2026-03-10 12:00Z"
    later(monkeypatch, days=7)
    assert ran(sync_project()) == ["second", "first"]


def test_names_and_all_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """`only` keeps to its names, and `due_only=False` asks again what is not due."""
    assert ran(sync_project(only=["first"])) == ["first"]
    assert ran(sync_project(only="first")) == []
    assert ran(sync_project(only=["first"], due_only=False)) == ["first"]
    assert ran(sync_project(due_only=False)) == ["second", "first"]
    with pytest.raises(UsageError, match="names no query third: its queries are second, first"):
        sync_project(only=["third"])


def test_one_that_fails_keeps_no_other_from_being_run(replica: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is its outcome, its watermark stays, and it is due until it is complete."""
    sync_project()
    position = last_complete_days()
    later(monkeypatch, days=8)
    sync = daily.sync

    def refusing(words: str, db: str, **options: Any) -> Any:
        if words != "patients":
            return sync(words, db, **options)
        with serve(SHIPPED, "--limit", "0", "--fault", "500:1") as broken:
            return sync(words, db, **{**options, "ncbi_url": broken.eutils})

    with monkeypatch.context() as patched:
        patched.setattr(daily, "sync", refusing)
        report = sync_project()
    assert ran(report) == ["first"]
    assert isinstance(report.outcomes[0].error, ServiceRefused)
    assert last_complete_days()["patients"] == position["patients"]
    assert last_complete_days()["cancer"] > position["cancer"]
    again = sync_project()
    assert [each.due for each in again.outcomes] == ["its last search was interrupted", None]
    assert last_complete_days()["patients"] > position["patients"]


def test_a_rejected_request_is_an_outcome_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the service will never take of one query is said, and the others are run."""

    def rejecting(words: str, db: str, **options: Any) -> Any:
        if words == "patients":
            raise Rejected("no such field")
        return sync(words, db, **options)

    sync = daily.sync
    monkeypatch.setattr(daily, "sync", rejecting)
    told: list[str] = []
    report = sync_project(on_outcome=lambda outcome: told.append(outcome.name))
    assert ran(report) == ["first"]
    assert told == ["second", "first"]
    first = report.as_dict()["queries"][0]
    assert (first["name"], first["report"], first["error"]) == ("second", None, "no such field")


def test_what_left_something_missing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead letter keeps its query due and its watermark where it was, until it is stored."""

    def refuse_one(connection: Any, record: Any, at: str) -> Any:
        if record.pmid == victim:
            raise ValueError("no good")
        return store_record(connection, record, at)

    sync_project(only=["second"])
    victim = str(query(DB, "SELECT min(identifier) FROM found WHERE query = 'patients'")[0][0])
    DB.unlink()
    with monkeypatch.context() as patched:
        patched.setattr("leftoff.papers.keeping.store_record", refuse_one)
        for _ in range(3):
            with pytest.raises(ValueError, match="no good"):
                sync_project(only=["second"])
        (outcome,) = sync_project(only=["second"]).outcomes
    assert outcome.report is not None
    assert outcome.report.missing == 1
    assert last_complete_days()["patients"] is None
    with leftoff.open(DB) as journal:
        journal.run("pubmed").retry()
    (outcome,) = sync_project(only=["second"]).outcomes
    assert outcome.due == "its last search left something missing"
    assert last_complete_days()["patients"] == "2026-03-09"


def test_options_win_over_the_environment_and_that_over_the_file(
    replica: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the call names is in place of the file's words; a key is the call's, else the environment's."""
    start = len(replica.log())
    sync_project(only="first", db="other.db", email="call@example.org", limit=3, since="2000-01-01", log="l.jsonl")
    monkeypatch.setenv("NCBI_API_KEY", "canary-4")
    sync_project(only="first")
    sync_project(only="first", api_key="canary-5", due_only=False)
    assert len(query(Path("other.db"), "SELECT 1 FROM paper")) == 3
    assert Path("l.jsonl").stat().st_size > 0
    assert not [path for path in Path().iterdir() if path.is_file() and b"canary" in path.read_bytes()]
    sent = [(each["params"].get("email"), each["params"].get("api_key")) for each in replica.log()[start:]]
    assert list(dict.fromkeys(sent)) == [
        ("call@example.org", None), ("file@example.org", "canary-4"), ("file@example.org", "canary-5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('issn = "0091-6749"', "papers.queries.first: issn= is Crossref's"),
        ('source = "both"\nissn = "0091-6748"', "papers.queries.first: '0091-6748' is no ISSN"),
        ('source = "medline"', "papers.queries.first: source='medline'"),
        ('since = "May"', "papers.queries.first: since='May' is no day"),
    ],
)
def test_a_wrong_query_is_named_before_any_is_run(line: str, said: str) -> None:
    """The last query of the file is checked before the first one is run."""
    path = Path("leftoff.toml")
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(UsageError) as caught:
        sync_project()
    assert said in str(caught.value)
    assert not DB.exists()


def last_complete_days() -> dict[str, Any]:
    with leftoff.open(DB) as journal:
        run = journal.run("pubmed")
        return {words: run.cursor(f"last complete day of {words}").value for words in ("cancer", "patients")}
