"""What the tests of papers stand on: real PubMed records, and a replica of the service that serves them."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from leftoff.papers import pubmed, tables, works
from leftoff.papers.record import Record
from leftoff.papers.store import store_record

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = CHECKOUT.parent / "shared" / "papers-data" / "pubmed"
SHIPPED = CHECKOUT / "examples" / "papers" / "records"


WORKS = CHECKOUT.parent / "shared" / "papers-data" / "crossref"
SHIPPED_WORKS = CHECKOUT / "examples" / "papers" / "works"


def real_works() -> list[dict[str, Any]]:
    """Return real works of Crossref, where they are at hand in all their versions, the oldest first.

    Works that were derived from records of PubMed, and so share their DOIs, are among them.
    """
    found = []
    for path in sorted((WORKS if WORKS.is_dir() else SHIPPED_WORKS).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    return found


def record_of(work: dict[str, Any]) -> Record:
    """Return the record of a work."""
    return works.record(works.work({name: value for name, value in work.items() if name != "_derived_from_pmid"}))


@dataclass(frozen=True)
class RealRecords:
    """Be a folder of real records, and what is known about it: how many there are, and how many of them have a DOI."""

    folder: Path
    total: int | None
    with_doi: int | None

    def files(self) -> Iterator[bytes]:
        """Iterate the sets of the folder, without the later versions of records that another set holds."""
        for path in sorted([*self.folder.glob("*.xml"), *self.folder.glob("*.xml.gz")]):
            if not path.name.startswith(("zz-", "delete")):
                data = path.read_bytes()
                yield gzip.decompress(data) if path.suffix == ".gz" else data

    def records(self) -> Iterator[Record]:
        """Iterate the records of all sets."""
        for data in self.files():
            yield from pubmed.records(data)


@pytest.fixture(scope="session")
def real() -> RealRecords:
    """Real records: all of them where they are at hand, with their counted truths; else those of the examples."""
    return RealRecords(SHARED, 955, 702) if SHARED.is_dir() else RealRecords(SHIPPED, None, None)


@pytest.fixture(scope="session")
def every_record(real: RealRecords) -> list[Record]:
    """Every real record, parsed once."""
    return list(real.records())


@pytest.fixture
def papers() -> Iterator[sqlite3.Connection]:
    """An empty database of papers, in memory."""
    connection = sqlite3.connect(":memory:")
    tables.create(connection)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def _stored(every_record: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with every real record of PubMed."""
    path = tmp_path_factory.mktemp("stored") / "papers.db"
    connection = sqlite3.connect(path)
    tables.create(connection)
    for record in every_record:
        store_record(connection, record, "2026-01-02T03:04:05Z")
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def papers_file(_stored: Path, tmp_path: Path) -> Path:
    """A database file of the test's own with every real record of PubMed."""
    return Path(shutil.copy(_stored, tmp_path / "papers.db"))


@pytest.fixture
def replica(real: RealRecords, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start replicas of the service with the options of a test; each call returns what ``--ncbi-url`` takes."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> str:
        command = [sys.executable, "-m", "leftoff.testing.ncbi", "--data", str(real.folder), "--ban-after", "1"]
        log = ["--access-log", str(tmp_path / "access.jsonl")]
        process = subprocess.Popen(
            [*command, *log, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().split()[-1] + "/entrez/eutils"

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=20)
        if process.stdout is not None:
            process.stdout.close()
