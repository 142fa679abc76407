"""What a library of a million papers costs: skipping all of them, searching them, the memory of all that reads them.

``python benchmarks/papers_million.py [--papers N] [--rounds N] [--records FOLDER] [--folder DIR] [--db FILE]``. The
papers are clones of real records (`papers_clones.py`), listed and sent by a service in the same process, and stored by
the code that `papers sync` runs. What is measured runs in processes of its own, in turns with the bare cost of the same
work; figures are medians with [least..most], and the most memory that a process had. FILE is a library that an earlier
run kept, or the one to keep; without it the library is removed at the end. A million papers take 5 GB of disk, of
larger records than those of the examples up to 15.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, cast

from papers_clones import Clones, Service, word

import leftoff
from leftoff.journal.rows import CHUNK, IS_FATE
from leftoff.papers import duplicates, export, from_pubmed, report, search, tables
from leftoff.papers.asked import check
from leftoff.papers.search import RANK, SNIPPET

CHECKOUT = Path(__file__).resolve().parents[1]
RECORDS = CHECKOUT / "examples" / "papers" / "records"
QUERY = "clones"
READERS = ("search", "jsonl", "csv", "bibtex", "report", "duplicates")
QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "a word that few have": (word(19_000), {}),
    "a word that some have": (word(40), {}),
    "a word of many": ("patients", {}),
    "a word of nearly all": ("of", {}),
    "two words": ("patients treatment", {}),
    "two words, one of few": (f"{word(40)} patients", {}),
    "a phrase": ('"of the"', {}),
    "a beginning": ("patient*", {}),
    "in the title": ("title:of", {}),
    "either": ("children OR patients", {}),
    "one without the other": ("patients -children", {}),
    "a year": ("patients", {"year": 2010}),
    "years": ("patients", {"year": "2000-"}),
    "a year, few": (word(40), {"year": "2000-"}),
}
BARE_HITS = f"""
    SELECT words.rowid, rank, {SNIPPET.format(1)}, {SNIPPET.format(3)} FROM words {{}}
    WHERE words MATCH ? AND rank MATCH '{RANK.replace("words, ", "")}' {{}} ORDER BY rank LIMIT 20
"""
BARE_PAPER = "SELECT key, doi, title, year, journal, abstract FROM paper WHERE id = ?"
BARE_NAMES = "SELECT name FROM author WHERE paper_id = ? ORDER BY position"
BARE_PMIDS = "SELECT value FROM identifier WHERE paper_id = ? AND kind = 'pmid'"
BARE_STATUS = "SELECT status FROM status WHERE paper_id = ?"


def peak() -> float:
    """Return the most memory that this program had, in MB; ru_maxrss begins at what started it had."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


# -- the library ------------------------------------------------------------------------------------------------------


def bring(db: Path, service: Service, query: str = QUERY) -> Any:
    """Bring what a query finds, as `papers sync` does once it has a service."""
    with leftoff.open(db) as journal:
        run = journal.run("pubmed")
        tables.create(run.connection)
        asked = check(
            query, str(db), source="pubmed", since=None, limit=None, batch=200, issn=(), orcid=(), funder=(),
            dois=None, from_log=None,
        )  # fmt: skip
        return from_pubmed.bring(run, cast("Any", service), asked, None)


def build(db: Path, clones: Clones) -> None:
    """Make the library."""
    account = bring(db, Service(clones))
    assert (account.stored, account.missing) == (len(clones), 0), account


def write_log(db: Path, clones: Clones) -> None:
    """Write the progress log of the library, as its lines are."""
    from leftoff.papers.log import ProgressLog

    with closing(sqlite3.connect(db)) as connection, ProgressLog(log_of(db), connection):
        pass
    assert len(clones)


def log_of(db: Path) -> Path:
    """Return where the log is."""
    return db.with_suffix(".jsonl")


# -- skipping ---------------------------------------------------------------------------------------------------------


def bare_skip(db: Path, clones: Clones) -> None:
    """Read the list, and look its keys up in the journal's index, in chunks."""
    found = 0
    with closing(sqlite3.connect(db)) as connection:
        listed = connection.execute("SELECT 'pmid:' || pmid FROM listed WHERE search_id = 1 ORDER BY id")
        while rows := listed.fetchmany(CHUNK):
            sql = (
                "SELECT key FROM leftoff_entry INDEXED BY leftoff_fate WHERE run = 1"
                f" AND key IN ({', '.join('?' * len(rows))}) AND {IS_FATE.format('')}"
            )
            found += len(connection.execute(sql, [key for (key,) in rows]).fetchall())
    assert found == len(clones), found


def bare_log(db: Path, clones: Clones) -> None:
    """Read the log, and look its PMIDs up among the records, in chunks."""
    found = 0
    with closing(sqlite3.connect(db)) as connection, log_of(db).open(encoding="utf-8") as lines:
        while chunk := [json.loads(line)["pmid"] for line in islice(lines, CHUNK)]:
            sql = (
                f"SELECT identifier FROM raw WHERE source = 'pubmed' AND identifier IN ({', '.join('?' * len(chunk))})"
            )
            found += len(connection.execute(sql, chunk).fetchall())
    assert found == len(clones), found


def reopen(db: Path) -> None:
    """Leave the library as a kill right before the end of its first sync leaves it: everything listed, and stored."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM found WHERE query <> ?", (QUERY,))
        connection.execute("UPDATE search SET completed_at = NULL WHERE id = 1")
        connection.execute("DELETE FROM listed WHERE search_id <> 1")
        connection.execute(
            "INSERT OR IGNORE INTO listed (search_id, pmid, revised) SELECT 1, identifier, 0 FROM raw"
            " WHERE source = 'pubmed' ORDER BY identifier DESC"
        )


def resumed(db: Path, clones: Clones) -> None:
    """Go on with a search that was killed when all was stored."""
    skipped(clones, bring(db, Service(clones)))


def listed_anew(db: Path, clones: Clones) -> None:
    """Ask another query that finds the same papers: they are listed, and none is fetched."""
    skipped(clones, bring(db, Service(clones), f"clones at {time.time()}"))


def the_same_query(db: Path, clones: Clones) -> None:
    """Ask the same query, which finds nothing new."""
    account = bring(db, Service(clones))
    assert (account.asked, account.stored, account.missing) == (0, 0, 0), account


def from_a_log(db: Path, clones: Clones) -> None:
    """Fetch what a log has that the library lacks, which is nothing."""
    from leftoff.papers import sync

    account = sync("", db, from_log=log_of(db))
    assert (account.asked, account.missing) == (0, 0), account
    assert len(clones)


def skipped(clones: Clones, account: Any) -> None:
    """See that all was skipped."""
    assert (account.asked, account.skipped, account.stored) == (len(clones), len(clones), 0), account


# -- searching --------------------------------------------------------------------------------------------------------


def bare_search(db: Path, query: str, year: tuple[int, int] | None) -> list[tuple[float, tuple[Any, ...]]]:
    """Return the best twenty as FTS5 has them, with the columns that a search shows."""
    joined = ("JOIN paper ON paper.id = words.rowid", "AND paper.year BETWEEN ? AND ?") if year else ("", "")
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        hits = connection.execute(BARE_HITS.format(*joined), (query, *(year or ()))).fetchall()
        found = []
        for number, rank, *_ in hits:
            paper = connection.execute(BARE_PAPER, (number,)).fetchone()
            for sql in (BARE_NAMES, BARE_PMIDS, BARE_STATUS):
                connection.execute(sql, (number,)).fetchall()
            found.append((float(f"{-rank:.6g}"), paper))
        return found


def time_searches(db: Path, rounds: int) -> dict[str, tuple[int, dict[str, list[float]]]]:
    """Measure each search in turns with the bare one; both have to find the same."""
    took = {}
    for name, (typed, options) in QUERIES.items():
        from leftoff.papers.expression import expression
        from leftoff.papers.filters import _years

        said, year = str(expression(typed)), _years(str(options["year"])) if options else None
        ours, bare = [], []
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            expected = bare_search(db, said, year)
            between = time.perf_counter()
            found = search(typed, db, **options)
            ours.append(time.perf_counter() - between)
            bare.append(between - begun)
            see_same(found, expected)
        took[name] = (found.total, {"bare": bare[1:], "search": ours[1:]})  # the first ones warm the caches
    return took


def see_same(found: Any, expected: list[tuple[float, tuple[Any, ...]]]) -> None:
    """See that the hits are the same, but for which of the papers with the last score are among them."""
    assert [paper["score"] for paper in found] == [score for score, _ in expected]
    least = expected[-1][0] if expected else 0
    better = {paper[0] for score, paper in expected if score > least}
    assert {paper["key"] for paper in found if paper["score"] > least} == better


# -- what else reads all of it ----------------------------------------------------------------------------------------


def exporting(suffix: str) -> Callable[[Path, Clones], None]:
    """Return what exports the library to a file that is thrown away."""

    def measure(db: Path, clones: Clones) -> None:
        with Path(os.devnull).open("wb") as file:
            assert export(db, file, format=suffix).papers == len(clones)

    return measure


def reporting(db: Path, clones: Clones) -> None:
    """Tell what came in."""
    assert report(db).totals.papers == len(clones)


def suggesting(db: Path, clones: Clones) -> None:
    """Suggest duplicates."""
    assert len(clones)
    for _ in duplicates(db):
        pass


def searching(db: Path, clones: Clones) -> None:
    """Search for all queries, once."""
    assert len(clones)
    for typed, options in QUERIES.values():
        search(typed, db, **options)


STEPS: dict[str, Callable[[Path, Clones], None]] = {
    "build": build,
    "log": write_log,
    "bare": bare_skip,
    "bare log": bare_log,
    "resumed": resumed,
    "listed anew": listed_anew,
    "the same query": the_same_query,
    "from a log": from_a_log,
    "search": searching,
    "jsonl": exporting("jsonl"),
    "csv": exporting("csv"),
    "bibtex": exporting("bibtex"),
    "report": reporting,
    "duplicates": suggesting,
}


class Steps:
    """Run steps on a library, each in a process of its own."""

    def __init__(self, db: Path, given: argparse.Namespace) -> None:
        self.db = db
        self.memory: dict[str, float] = {}
        """The most that a step had, in MB."""
        self.told: Any = None
        self._options = [f"--papers={given.papers}", f"--records={given.records}", f"--rounds={given.rounds}"]

    def run(self, name: str) -> float:
        """Run a step; return its seconds, without the start of Python."""
        command = [sys.executable, __file__, *self._options, "--step", name, str(self.db)]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        if ran.returncode:
            sys.exit(f"{name}: {ran.stderr}")
        seconds, memory, self.told = json.loads(ran.stdout.splitlines()[-1])
        self.memory[name] = max(memory, self.memory.get(name, 0.0))
        return float(seconds)


def spread(values: list[float], digits: int = 2) -> str:
    """Return the median with the least and the greatest."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}..{max(values):.{digits}f}]"


def run_step(given: argparse.Namespace) -> None:
    """Run one step in this process."""
    name, db = given.step
    clones = Clones(given.records, given.papers)
    begun = time.perf_counter()
    told = time_searches(Path(db), given.rounds) if name == "searches" else STEPS[name](Path(db), clones)
    print(json.dumps([time.perf_counter() - begun, peak(), told]))


def measure(db: Path, given: argparse.Namespace) -> None:
    """Measure what was asked for."""
    print(json.dumps({"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, "cpus": os.cpu_count()}))
    print(f"{given.papers:,} papers, load {os.getloadavg()}")
    steps = Steps(db, given)
    if not db.exists():
        seconds = steps.run("build")
        size = db.stat().st_size / given.papers
        print(f"built in {seconds:.0f} s, {size:,.0f} bytes a paper, peak {steps.memory['build']:.0f} MB", flush=True)
    if "skip" in given.only:
        compare_skips(steps, given.rounds)
    if "search" in given.only:
        compare_searches(steps)
    if "memory" in given.only:
        for name in READERS:
            print(f"{name:16} {steps.run(name):8.1f} s   peak {steps.memory[name]:4.0f} MB", flush=True)
    print(f"load {os.getloadavg()}")


def compare_skips(steps: Steps, rounds: int) -> None:
    """Measure each way to skip everything, in turns with the bare look-ups."""
    if not log_of(steps.db).exists():
        steps.run("log")
    took: dict[str, list[float]] = {name: [] for name in ("bare", "resumed", "listed anew", "the same query")}
    took |= {"bare log": [], "from a log": []}
    for _ in range(rounds):
        reopen(steps.db)
        for name, seconds in took.items():
            seconds.append(steps.run(name))
    for name, seconds in took.items():
        bares = took["bare log" if "log" in name else "bare"]
        ratios = [one / bare for one, bare in zip(seconds, bares, strict=True)]
        print(f"{name:16} {spread(seconds):>22} s   of bare {spread(ratios):>18}   peak {steps.memory[name]:4.0f} MB")
    sys.stdout.flush()


def compare_searches(steps: Steps) -> None:
    """Measure each search in turns with the bare one."""
    steps.run("searches")
    sums = {"bare": 0.0, "search": 0.0}
    for name, (total, took) in steps.told.items():
        ratios = [ours / bare for ours, bare in zip(took["search"], took["bare"], strict=True)]
        bare, ours = (spread([1000 * each for each in took[kind]], 1) for kind in ("bare", "search"))
        print(f"{name:24} {total:9,} found   bare {bare:>24} ms   search {ours:>24} ms   of bare {spread(ratios)}")
        for kind, times in took.items():
            sums[kind] += statistics.median(times)
    print(f"all of them: {sums['search'] / sums['bare']:.2f} of bare; peak {steps.memory['searches']:.0f} MB")


def main() -> None:
    """Build, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", nargs="*", default=["skip", "search", "memory"])
    parser.add_argument("--db", type=Path)
    parser.add_argument("--step", nargs=2, metavar=("NAME", "DB"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        run_step(given)
        return
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="papers-") as folder:
        measure(given.db or Path(folder, "papers.db"), given)


if __name__ == "__main__":
    main()
