"""What reading PubMed's records into the database costs, beside lxml's bare loop over the same files and a peer.

``python benchmarks/papers.py [FOLDER] [--rounds N] [--batch N] [--only NAME …]``. FOLDER holds PubMed's XML, gzipped;
else the records of the examples are read, which are few. Rounds are interleaved, each in a database of its own; medians
with [min..max]. A ratio is of two measures of one round. The peer is installed with the dependency group ``peers``.

    elements   lxml's iterparse gives every element, each record is cleared behind itself
    records    the same for the ends of records alone: what nobody looks at costs least
    parse      leftoff reads the records
    leftoff    … and stores them as a sync does: batch by batch, durable, with index, provenance and journal
    peer       pubmed_parser reads them, and its dictionaries become rows of one table, batch by batch, as durable
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

import leftoff
from leftoff.papers import pubmed, record_set, tables
from leftoff.papers.fetch import Item
from leftoff.papers.keeping import keep_all
from leftoff.papers.record import Record

EXAMPLES = Path(__file__).parents[1] / "examples" / "papers" / "records"
RECORDS = (record_set.ARTICLE, record_set.BOOK)
AT = "2026-01-01T00:00:00.000000Z"


class Bench:
    """Be the files that are read, and how many records a transaction has."""

    def __init__(self, files: list[Path], batch: int) -> None:
        self.files = files
        self.batch = batch

    def elements(self, _: Path) -> int:
        """Iterate every element."""
        count = 0
        for file in self.files:
            with gzip.open(file) as stream:
                for _event, element in etree.iterparse(stream):
                    if element.tag in RECORDS:
                        count += 1
                        element.clear()
        return count

    def records(self, _: Path) -> int:
        """Iterate the records' elements, and look at nothing in them."""
        count = 0
        for file in self.files:
            with gzip.open(file) as stream:
                for _event, element in etree.iterparse(stream, tag=RECORDS):
                    count += 1
                    element.clear()
        return count

    def _parsed(self) -> Iterator[Record]:
        for file in self.files:
            with gzip.open(file) as stream:
                yield from pubmed.records(stream)

    def parse(self, _: Path) -> int:
        """Read every record, and drop it."""
        return sum(1 for _ in self._parsed())

    def leftoff(self, folder: Path) -> int:
        """Read and store every record; the records of a batch are there before it begins, as a reply has them."""
        records, count = self._parsed(), 0
        with leftoff.open(folder / "papers.db") as journal:
            run = journal.run("pubmed")
            tables.create(run.connection)
            items = (Item(str(each.identifier), each, AT) for each in _by(records, self.batch))
            keep_all(run.connection, run.batches(items, self.batch, key=lambda item: item.key, duplicates="skip"), None)
            (count,) = run.connection.execute("SELECT count(*) FROM raw").fetchone()
        return int(count)

    def peer(self, folder: Path) -> int:
        """Let pubmed_parser read every file, and store what it returns."""
        import pubmed_parser

        with sqlite3.connect(folder / "papers.db", isolation_level=None) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            for file in self.files:
                found = pubmed_parser.parse_medline_xml(str(file), year_info_only=False, author_list=True)
                while chunk := list(itertools.islice(found, self.batch)):
                    columns = ", ".join(f'"{name}"' for name in chunk[0])
                    connection.execute(f"CREATE TABLE IF NOT EXISTS paper ({columns}, PRIMARY KEY (pmid))")
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(
                        f"INSERT OR REPLACE INTO paper ({columns}) VALUES ({', '.join('?' * len(chunk[0]))})",
                        [[json.dumps(value) if isinstance(value, list) else value for value in each.values()]
                         for each in chunk],
                    )  # fmt: skip
                    connection.execute("COMMIT")
            (count,) = connection.execute("SELECT count(*) FROM paper").fetchone()
        connection.close()
        return int(count)


MEASURES = ("elements", "records", "parse", "leftoff", "peer")


def _by(records: Iterator[Record], batch: int) -> Iterator[Record]:
    while chunk := list(itertools.islice(records, batch)):
        yield from chunk


def probe(folder: Path) -> str:
    """Return how long an append and its sync take on this disk now."""
    fd = os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    times = []
    for _ in range(300):
        begin = time.perf_counter()
        os.write(fd, b"x" * 150)
        os.fdatasync(fd)
        times.append((time.perf_counter() - begin) * 1e6)
    os.close(fd)
    return f"probe: append + fdatasync {spread(times, 0)} us, load {os.getloadavg()[0]:.1f}"


def spread(values: list[float], digits: int) -> str:
    """Return the median with the least and the greatest."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def main() -> None:
    """Run the measures in turn and print their costs, and how much faster or slower one is than another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=EXAMPLES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--tmp", type=Path, help="where the databases are made")
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.xml.gz"))
    if not files:
        sys.exit(f"{options.folder} has no *.xml.gz")
    bench = Bench(files, options.batch)
    took: dict[str, list[float]] = {name: [] for name in options.only}
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=options.tmp) as root:
        print(probe(Path(root)))
        for _ in range(options.rounds):
            for name in options.only:
                with tempfile.TemporaryDirectory(dir=root) as folder:
                    begin = time.perf_counter()
                    counts[name] = getattr(bench, name)(Path(folder))
                    took[name].append(time.perf_counter() - begin)
        print(probe(Path(root)))
    for name in options.only:
        each = [seconds / counts[name] * 1e6 for seconds in took[name]]
        print(f"{name:9} {counts[name]:7,} records {spread(each, 0):>24} us each")
    for fast, slow in (("elements", "leftoff"), ("records", "leftoff"), ("elements", "parse"), ("peer", "leftoff")):
        if fast in took and slow in took:
            ratios = [a / b for a, b in zip(took[fast], took[slow], strict=True)]
            print(f"{slow} at {spread(ratios, 2)} of the speed of {fast}")


if __name__ == "__main__":
    main()
