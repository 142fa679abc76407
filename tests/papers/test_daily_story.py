"""Thirty days of a project: both services change from day to day, with faults, and `sync` is killed now and then."""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.papers import report, tables
from leftoff.testing.kills import ForkServer
from leftoff.testing.ncbi_process import serve as serve_ncbi
from leftoff.testing.replica_process import serve
from tests.papers.conftest import SHIPPED
from tests.papers.evidence import content
from tests.papers.faulty import some_works
from tests.papers.test_kills_both import FREELY, PROGRAMS
from tests.papers.test_works import WORKS

FIRST = date(2026, 3, 1)
DAYS = 30
REFUSED = {9, 10}  # days on which PubMed answers nothing but errors
CHANGES = {"growing": 0.1, "revised": 0.02}
NCBI_FAULTS = ["429-bare:0.03", "error-200:0.03", "empty-200:0.03", "truncated:0.03", "reset:0.03", "shortfall:0.05"]
CROSSREF_FAULTS = [
    f"{name}:0.02" for name in (
        "429", "429-bare", "empty-200", "html-200", "500", "502", "503", "504", "lost-page", "cursor-expiry",
        "short-page", "no-limits", "doubled-limits", "odd-limits", "flip", "truncated", "short-length", "reset",
    )
]  # fmt: skip
PROJECT = """
[papers]
db = "papers.db"
email = "a@example.org"
ncbi_url = "{ncbi}"
crossref_url = "{crossref}"

[papers.queries.both]
query = "of"
source = "both"

[papers.queries.cancer]
query = "cancer"

[papers.queries.weekly]
query = "effect"
source = "crossref"
every = "7d"
"""


@pytest.fixture
def works(tmp_path: Path) -> Path:
    """A folder with some real works."""
    return some_works(tmp_path / "works", WORKS, 200)


def last_complete_day(db: Path, service: str = "pubmed", asked: str = "of") -> Any:
    with leftoff.open(db) as journal:
        return journal.run(service).cursor(f"last complete day of {asked}").value


def test_thirty_days_are_one_sync(works: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synced day by day, the database says what one sync at the end says, and its report adds up."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    db, whole = tmp_path / "papers.db", tmp_path / "whole.db"
    started = ("--today", FIRST.isoformat(), "--seed", str(rng.randrange(1000)), "--fault")
    changes = [f"{name}:{rate}" for name, rate in CHANGES.items()]
    with (
        ForkServer(PROGRAMS) as server,
        serve_ncbi(SHIPPED, *FREELY, *started, *NCBI_FAULTS, *changes) as ncbi,
        serve(
            "leftoff.testing.crossref", works, *FREELY, "--polite-limit", "0", *started, *CROSSREF_FAULTS, *changes
        ) as crossref,
    ):
        (tmp_path / "leftoff.toml").write_text(PROJECT.format(ncbi=ncbi.eutils, crossref=crossref.url))
        plan = {"project": str(tmp_path / "leftoff.toml"), "api_key": "k", "batch": 20}
        kills, weekly, refused = 0, [], 0
        for number in range(DAYS):
            day = FIRST + timedelta(days=number)
            last = number == DAYS - 1
            for replica in (ncbi, crossref):
                replica.ask("today", date=day.isoformat())
                for name in CHANGES if last else ():
                    replica.ask("fault", name=name, rate="0")  # what is compared in the end stands still
            ncbi.ask("fault", name="500", rate="1" if number in REFUSED else "0")
            before = last_complete_day(db) if db.exists() else None
            if rng.random() < 0.5:
                end = server.run(
                    "daily", {**plan, "day": day.isoformat()}, limit=120.0, after=rng.random() * 0.8, from_start=True
                )
                assert end.code in (0, -9), end.output
                kills += end.killed
            end = server.run("daily", {**plan, "day": day.isoformat(), "due_only": not last}, limit=120.0)
            assert end.code == 0, end.output
            outcomes = {each["name"]: each for each in json.loads(end.output.splitlines()[-1])["queries"]}
            errors = [each["error"] for each in outcomes.values() if each["error"]]
            if errors:
                refused += 1
                assert number in REFUSED
                assert last_complete_day(db) == before
            else:
                assert last_complete_day(db) == (day - timedelta(days=1)).isoformat()
            weekly += [number] if outcomes["weekly"]["due"] else []
        print(f"{kills} kills")
        assert kills > 3
        assert refused == len(REFUSED)
        assert weekly[-1] == DAYS - 1
        assert len(weekly) <= 1 + DAYS // 7 + 1

        end = server.run("daily", {**plan, "day": day.isoformat(), "db": str(whole)}, limit=120.0)
        assert end.code == 0, end.output
        assert content(db) == content(whole)

    noon = tables.clock().replace(year=day.year, month=day.month, day=day.day)
    monkeypatch.setattr(tables, "clock", lambda: noon)
    came = report(project=tmp_path / "leftoff.toml", since=f"{DAYS}d")
    assert came.totals.new == came.totals.papers == len(content(db)["paper"])
    assert came.totals.missing == 0
    assert came.totals.revised > 0
    for each in came.queries:
        for service in each.services:
            assert (service.gap, service.surplus, service.missing) == (0, 0, 0), service
            assert service.held + service.absent == service.counted
    assert sum(each.new for each in came.days) == came.totals.new
    assert len(came.days) > 5
