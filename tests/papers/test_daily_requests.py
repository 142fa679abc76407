"""How many requests a daily run takes, held against the fewest that could tell what is new."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from leftoff.papers import SyncReport, crossref, entrez, sync, tables
from leftoff.testing.crossref_works import stamp
from leftoff.testing.ncbi_process import Running as Ncbi
from leftoff.testing.ncbi_process import serve as serve_ncbi
from leftoff.testing.ncbi_records import clone_template, load
from leftoff.testing.replica_process import Running, serve
from tests.papers.conftest import SHIPPED, real_works
from tests.papers.evidence import query
from tests.papers.test_kills_both import FREELY

START = date(2026, 3, 1)
DAYS = 6  # from the first sync on
HELD, NEW = 2_000, 100  # of each service: on each day one in twenty is new
FIRST_PMID = 30_000_000
LEAST = 1.10  # of the fewest requests


def day(number: int) -> date:
    return START + timedelta(days=number)


def entering(number: int) -> date | None:
    """Return the day on which the made record of this number enters; None for those that were there before."""
    return None if number < HELD else day(1 + (number - HELD) // NEW)


def made_records() -> Iterator[bytes]:
    """Make records of PubMed from real ones: new PMIDs, and from `HELD` on a day of their own for both their dates."""
    real = [version.raw for record in load(SHIPPED)[0].values() for version in record.versions[:1]]
    real = [raw for raw in real if all(each in raw for each in (b"<DateRevised>", b'"entrez"', b" of "))]
    for number in range(HELD + DAYS * NEW):
        article = ElementTree.fromstring(
            str(FIRST_PMID + number).encode().join(clone_template(real[number % len(real)]))
        )
        if (on := entering(number)) is not None:
            entered = article.findall("PubmedData/History/PubMedPubDate[@PubStatus='entrez']")
            for dates in [*entered, *article.findall("MedlineCitation/DateRevised")]:
                for name, value in (("Year", on.year), ("Month", on.month), ("Day", on.day)):
                    dates.find(name).text = str(value)
        yield ElementTree.tostring(article)


def made_works() -> Iterator[dict[str, Any]]:
    """Make works of Crossref from real ones in the same way."""
    real = [work for work in real_works() if " of " in (work.get("title") or [""])[0] and _is_old(work)]
    for number in range(HELD + DAYS * NEW):
        work = {**real[number % len(real)], "DOI": f"10.55555/leftoff-made.{number}"}
        if (on := entering(number)) is not None:
            moment = int(datetime(on.year, on.month, on.day, 6, tzinfo=timezone.utc).timestamp()) + number % NEW
            work |= {name: stamp(moment) for name in ("created", "deposited", "indexed")}
        yield work


def _is_old(work: dict[str, Any]) -> bool:
    return all(name in work and work[name]["date-parts"][0][0] < START.year for name in ("created", "deposited"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made records of both services."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "made.xml").write_bytes(b"<PubmedArticleSet>" + b"\n".join(made_records()) + b"</PubmedArticleSet>")
    (folder / "made.jsonl").write_text("\n".join(map(json.dumps, made_works())) + "\n", encoding="utf-8")
    return folder


@dataclass
class Library:
    """One database, asked for once a day of replicas on which a twentieth more is found each day."""

    db: Path
    ncbi: Ncbi
    crossref: Running
    batch: int

    def sync(self, number: int, patch: pytest.MonkeyPatch) -> tuple[SyncReport, int, int]:
        """Let it be noon of a day, sync, and return the report and the requests to PubMed and Crossref, as logged."""
        for replica in (self.ncbi, self.crossref):
            replica.ask("today", date=day(number).isoformat())
        noon = datetime(*day(number).timetuple()[:3], 12, tzinfo=timezone.utc)
        patch.setattr(tables, "clock", lambda: noon)
        before = len(self.ncbi.log()), len(self.crossref.log())
        report = sync(
            "of", self.db, source="both", batch=self.batch, api_key="k", email="a@example.org",
            ncbi_url=self.ncbi.eutils, crossref_url=self.crossref.url,
        )  # fmt: skip
        return report, len(self.ncbi.log()) - before[0], len(self.crossref.log()) - before[1]

    def fetched_on(self, first: int) -> int:
        """Return on how many days behind this one records were fetched that PubMed dates on it or later."""
        sql = (
            "SELECT count(DISTINCT substr(fetched_at, 1, 10)) FROM raw WHERE source = 'pubmed'"
            f" AND identifier >= {FIRST_PMID + HELD + NEW * max(0, first - 1)}"
            f" AND substr(fetched_at, 1, 10) > '{day(first)}'"
        )
        return int(query(self.db, sql)[0][0])


@pytest.fixture(scope="module")
def replicas(data):
    options = (*FREELY, "--today", day(0).isoformat())
    with (
        serve_ncbi(data, *options) as ncbi,
        serve("leftoff.testing.crossref", data, *options, "--polite-limit", "0") as replica,
    ):
        yield ncbi, replica


@pytest.fixture(scope="module")
def first_day(replicas, tmp_path_factory):
    """A database that holds what was there on the first day."""
    library = Library(tmp_path_factory.mktemp("first") / "papers.db", *replicas, 200)
    with pytest.MonkeyPatch.context() as patch:
        be_quick(patch)
        report, _, _ = library.sync(0, patch)
    assert (report.stored, report.missing) == (2 * HELD, 0)
    return library.db


@pytest.fixture(params=[200, 4])
def library(request, replicas, first_day, tmp_path, monkeypatch):
    """A library of its own on its first day; batches of 4 make of it one that is 50 times as large."""
    be_quick(monkeypatch)
    return Library(Path(shutil.copy(first_day, tmp_path / "papers.db")), *replicas, request.param)


def be_quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(entrez, "SPACING_WITH_KEY", 1e-4)
    patch.setattr(crossref, "SPACING_POLITE", 1e-4)


def test_a_day_takes_hardly_more_requests_than_it_must(library, monkeypatch):
    """Everything up to yesterday is held and a twentieth is new: no request is sent that does not tell something.

    Of PubMed no fewer than these: the list of what was added since; that of what was revised since, which is another
    date; the count over all days, because what is added late is dated by its publication and in no list; the records,
    `batch` in a request. Of Crossref: the count over all days; the pages of what was deposited since, of which
    the first tells how many works there are.

    Who asked for nothing but new records, and believed that nothing was revised or came late, would save the list of
    revisions and the two counts: within a tenth, too, as soon as what is new is more than some batches.
    """
    report, pubmed, crossref = library.sync(1, monkeypatch)
    assert (report.stored, report.missing) == (2 * NEW, 0)
    batches = math.ceil(NEW / library.batch)
    print(f"{pubmed} requests to PubMed, {crossref} to Crossref, for {batches} batches and as many pages")
    assert 3 + batches <= pubmed <= LEAST * (3 + batches)
    assert 1 + batches <= crossref <= LEAST * (1 + batches)
    if batches > 20:
        assert pubmed + crossref <= LEAST * (1 + batches + batches)


def test_day_after_day_it_takes_what_the_overlap_takes(library, monkeypatch):
    """Where each day brings something, the last days, which are looked at again, cost what they have to, and no more.

    PubMed's dates are days. So what it dates on the day on which it was fetched is fetched once more the next day; and
    whether a record of the overlap was revised before it was fetched or since, tells a list from that day on, one for
    each day on which some were fetched. Crossref's pages are those of all works that were deposited in the overlap.
    """
    batch = library.batch
    for number in range(1, DAYS):
        first = number - 4  # two days before yesterday's last complete day
        days = library.fetched_on(first)
        report, pubmed, crossref = library.sync(number, monkeypatch)
        again = NEW if number > 1 else 0
        overlap = NEW * min(number, number - first + 1)
        print(f"day {number}: {pubmed} requests to PubMed, {days} of them for days, {crossref} to Crossref")
        assert (report.stored, report.missing) == (2 * NEW + again, 0)
        least = 3 + days + math.ceil((NEW + again) / batch) + 1 + math.ceil(overlap / batch)
        assert least <= pubmed + crossref <= LEAST * least
    assert days == 3
