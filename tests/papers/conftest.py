"""What the tests of papers stand on: real PubMed records, and a replica of the service that serves them."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from leftoff.papers import pubmed, tables
from leftoff.papers.record import Record

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = CHECKOUT.parent / "shared" / "papers-data" / "pubmed"
SHIPPED = CHECKOUT / "examples" / "papers" / "records"


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
