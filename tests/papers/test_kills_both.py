"""`papers sync` of both services under SIGKILL, with their faults on: the same library as if nothing had happened."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.testing.kills import End, ForkServer, read_ledger
from leftoff.testing.ncbi_process import Running as Ncbi
from leftoff.testing.ncbi_process import serve as serve_ncbi
from leftoff.testing.replica_process import Running, serve
from tests.papers import faulty
from tests.papers.conftest import SHIPPED
from tests.papers.evidence import Traffic, content, given_in, query, traffic
from tests.papers.test_works import WORKS

PROGRAMS = Path(__file__).parent / "programs.py"
FREELY = ("--limit", "0", "--ban-after", "1")
RATE = 0.01  # of each fault; one request in six meets one
KILLS = 4  # on one database; one more could make a dead letter of a record that was in hand each time
REFUSALS = 3  # in a row: a service that gives no usable answer six times refuses, and the command is run again


@dataclass(frozen=True)
class Client:
    """Be what a client tells of itself, and what the services then demand of it, as they were recorded.

    spacing: seconds that lie between two requests to PubMed and to Crossref; most: in a second; at_once: at Crossref;
    latency: seconds of each answer, below the spacing, so that most kills meet a request that is under way.
    """

    tells: dict[str, str]
    spacing: tuple[float, float]
    most: tuple[int, int]
    at_once: int
    latency: float


KNOWN = Client({"api_key": "a-key", "email": "a@example.org"}, (0.11, 0.125), (10, 10), 3, 0.08)
NOBODY = Client({}, (0.37, 0.25), (3, 5), 1, 0.2)


@pytest.fixture(scope="module")
def server():
    with ForkServer(PROGRAMS) as server:
        yield server


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    return faulty.some_works(tmp_path_factory.mktemp("works"), WORKS, 200)


@pytest.fixture
def rng():
    """Random numbers whose seed is printed; LEFTOFF_SEED repeats it."""
    seed = int(os.environ.get("LEFTOFF_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}")
    return random.Random(seed)


def report_in(end: End) -> Any:
    """Return the report that a sync printed, behind what it told of faults; None if a service refused."""
    lines = end.output.splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None


@dataclass
class Chain:
    """One database that is killed again and again, and all that is known of it from outside.

    One chain follows the other: what the replicas log from its beginning to its end is its own.
    """

    server: ForkServer
    ncbi: Ncbi
    crossref: Running
    folder: Path
    batch: int = 20
    plan: dict[str, Any] = field(default_factory=dict)
    program: str = "run"
    kills: list[str] = field(default_factory=list)
    refusals: int = 0
    had: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.db, self.log, self.ledger = (self.folder / name for name in ("papers.db", "log.jsonl", "ledger"))
        self.before = {"pubmed": len(self.ncbi.log()), "crossref": len(self.crossref.log())}

    def sync(self, **when: Any) -> End:
        """Sync to the end or to the death, and check what holds then."""
        plan = {
            "query": "of", "source": "both", "db": str(self.db), "batch": self.batch, "log": str(self.log),
            "ledger": str(self.ledger), "ncbi_url": self.ncbi.eutils, "crossref_url": self.crossref.url, **self.plan,
        }  # fmt: skip
        end = self.server.run(self.program, plan, limit=120.0, **when)
        assert end.code in (0, -9), end.output
        self.kills += [self.place()] if end.killed else []
        self.refusals += end.code == 0 and report_in(end) is None
        self.check()
        return end

    def finish(self) -> Any:
        """Sync until the services have not refused, and return the accounts."""
        for _ in range(1 + REFUSALS):
            end = self.sync()
            assert end.code == 0, f"killed at its end: {end.output}"
            if (report := report_in(end)) is not None:
                return report
        pytest.fail("the services refuse again and again")

    def check(self) -> None:
        """Nothing stored is lost, each record has its mark and each mark its record, the log tells of nothing else.

        What came and is not stored is no more than the batch or page that was under way.
        """
        now = set(query(self.db, "SELECT source, identifier FROM raw"))
        assert self.had <= now, f"lost: {self.had - now}"
        self.had = now
        for service in ("pubmed", "crossref"):
            came = given_in(self.asked(service))
            unstored = came - {str(identifier) for source, identifier in now if source == service}
            assert len(unstored) <= self.batch, f"{len(unstored)} records of {service} came and are not stored"
        if not self.db.exists():
            return
        absent = set(query(self.db, "SELECT source, identifier FROM absent"))
        with leftoff.open(self.db) as journal:
            assert journal.verify() == []
            done = {("pubmed", int(key.removeprefix("pmid:"))) for key in journal.run("pubmed").keys("done")}
            done |= {("crossref", key.removeprefix("doi:")) for key in journal.run("crossref").keys("done")}
        assert done == now | absent
        events = query(self.db, "SELECT source, pmid, doi, what, at FROM event ORDER BY seq")
        text = self.log.read_bytes() if self.log.exists() else b""
        lines = [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]
        told = [tuple(line[name] for name in ("source", "pmid", "doi", "what", "at")) for line in lines]
        assert told == events[: len(told)], "the log tells what the database does not have"

    def asked(self, service: str) -> list[dict[str, Any]]:
        """Return this database's requests to a service, as its replica logged them."""
        return {"pubmed": self.ncbi, "crossref": self.crossref}[service].log()[self.before[service] :]

    def place(self) -> str:
        """Return which of the services was being asked when it was killed."""
        asked = dict(query(self.db, "SELECT source, max(id) FROM search GROUP BY source"))
        complete = query(self.db, "SELECT source FROM search WHERE completed_at IS NOT NULL")
        return "crossref" if "crossref" in asked or ("pubmed",) in complete else "pubmed"

    def nearest(self) -> list[float]:
        """Return how near two requests to each service started, by the clock of the limiter that spaces them."""
        starts = [line for line in read_ledger(self.ledger) if line.word.startswith("start-")]
        nearest = []
        for url in (self.ncbi.url, self.crossref.url):
            mine = sorted(float(line.key) for line in starts if url.endswith(line.word.removeprefix("start-")))
            nearest.append(min(later - earlier for earlier, later in itertools.pairwise(mine)))
        return nearest

    def judge(self, client: Client) -> dict[str, Traffic]:
        """Hold what the replicas logged against the limits and against what may come twice, and return it."""
        assert all(nearest >= least for nearest, least in zip(self.nearest(), client.spacing, strict=True))
        told = {service: traffic(self.asked(service)) for service in ("pubmed", "crossref")}
        for (service, each), most in zip(told.items(), client.most, strict=True):
            assert each.violations == 0
            assert each.most <= most
            assert (each.at_once or 0) <= client.at_once
            assert each.astray == 0
            ended = len(self.kills) + self.refusals
            assert each.twice <= each.may_come_twice(ended, self.batch), f"{service}: {each}"
            assert each.restarted - each.lost <= ended, f"{service}: {each}"
            assert each.given == sum(source == service for source, _ in self.had)
        return told


CASES = [
    pytest.param(KNOWN, 8, id="known-few"),
    pytest.param(NOBODY, 2, id="nobody-few"),
    pytest.param(KNOWN, 150, id="known-many", marks=pytest.mark.prove),
    pytest.param(NOBODY, 100, id="nobody-many", marks=pytest.mark.prove),
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("client", "wanted"), CASES)
def test_kill_at_any_instant(server, works, tmp_path, rng, counted, client, wanted):
    """Killed at random instants under the services' own limits, with every fault on, it ends as if nothing happened.

    The replicas keep the recorded limits and ban at the first violation. All is counted from their logs.
    """
    options = ("--ban-after", "1", "--latency", str(client.latency), "--seed", str(rng.randrange(1000)))
    plan = {**client.tells, "longest": faulty.LONGEST}
    kills, told = [], {"pubmed": [], "crossref": []}
    with (
        serve_ncbi(SHIPPED, *options, *faulty.ncbi_faults_at(RATE)) as ncbi,
        serve("leftoff.testing.crossref", works, *options, *faulty.crossref_faults_at(RATE)) as crossref,
    ):
        whole = Chain(server, ncbi, crossref, tmp_path / "whole", plan=plan, program="within_limits")
        assert whole.finish()["missing"] == 0
        whole.judge(client)
        lines = read_ledger(whole.ledger)
        span = lines[-1].at - lines[0].at
        for number in itertools.count():
            if len(kills) >= wanted:
                break
            assert number < wanted, f"only {len(kills)} kills came before the end"
            chain = Chain(server, ncbi, crossref, tmp_path / f"chain-{number}", plan=plan, program="within_limits")
            for _ in range(min(KILLS, wanted - len(kills))):
                chain.sync(after=rng.uniform(0, span / 2))
            kills += chain.kills
            assert chain.finish()["missing"] == 0
            assert content(chain.db) == content(whole.db)
            for service, each in chain.judge(client).items():
                told[service].append(each)
            again = chain.finish()
            assert (again["stored"], again["missing"]) == (0, 0)
        print_table(kills, told)
        for replica in (ncbi, crossref):
            faulty.calm(replica)
        listed, sent = faulty.found_at_pubmed(ncbi, "of")
        absent = {str(pmid) for (pmid,) in query(whole.db, "SELECT identifier FROM absent")}
        assert absent == listed - sent
        assert {str(name) for _, name in whole.had} == sent | faulty.found_at_crossref(crossref, "of")
        assert not any(replica.ask()["violations"] for replica in (ncbi, crossref))
    assert {*kills} == {"pubmed", "crossref"} or wanted < 100
    for service in told:
        counted("kills of a sync of both services within their limits", service, kills.count(service))


def print_table(kills: list[str], told: dict[str, list[Traffic]]) -> None:
    """Print what was counted in the access logs of all chains together."""
    for service, each in told.items():
        rows = [asdict(one) for one in each]
        sums = ("requests", "faulty", "given", "twice", "restarted", "lost", "windows", "violations")
        total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in sums}
        total |= {"nearest": round(min(row["nearest"] for row in rows), 3), "most": max(row["most"] for row in rows)}
        total["at_once"] = max((row["at_once"] or 0) for row in rows)
        print(f"{service}: kills {kills.count(service)}, databases {len(rows)},", total)


def test_kill_at_every_boundary(server, works, tmp_path):
    """Killed right before and behind each call that changes the disk while Crossref is walked, it ends the same."""
    with (
        serve_ncbi(SHIPPED, *FREELY) as ncbi,
        serve("leftoff.testing.crossref", works, *FREELY, "--polite-limit", "0") as crossref,
    ):
        plan = {"source": "crossref", "query": "effect"}
        whole = Chain(server, ncbi, crossref, tmp_path / "whole", 5, plan)
        calls = whole.sync().calls
        assert calls > 20
        found = len(whole.had)
        assert found > 5  # pages of five
        for boundary in range(2 * calls):
            chain = Chain(server, ncbi, crossref, tmp_path / f"boundary-{boundary}", 5, plan)
            assert chain.sync(boundary=boundary).killed
            report = chain.finish()
            assert report["missing"] == 0
            assert report["asked"] in (found, 0)  # 0: it was complete, and nothing is new
            assert content(chain.db) == content(whole.db)
        assert not any(entry["violation"] for entry in crossref.log())


def test_a_page_that_is_lost_is_no_work_that_is_lost(works, tmp_path):
    """Killed while it waits for a page that the service has given: the span begins again, and no cursor was kept."""
    db = tmp_path / "papers.db"
    command = [sys.executable, "-m", "leftoff.cli", "papers", "sync", "of", "--source", "crossref", "--batch", "20"]
    with serve("leftoff.testing.crossref", works, *FREELY, "--latency", "0.5") as crossref:
        command += ["--db", str(db), "--crossref-url", crossref.url, "--json"]
        had = 0
        for kill in range(2):
            before = len(crossref.log())
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while sum(entry["params"].get("cursor", "*") != "*" for entry in crossref.log()[before:]) <= kill:
                assert process.poll() is None
            process.kill()
            process.wait()
            held = len(query(db, "SELECT 1 FROM raw"))
            assert held > had
            had = held
        report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        cursors = [entry["params"]["cursor"] for entry in crossref.log() if "cursor" in entry["params"]]
        found = len({doi for entry in crossref.log() for doi in entry["served"]})
    assert cursors.count("*") == 4  # two were killed, one came to its end, and one asked what came meanwhile
    assert (report["missing"], report["asked"], len(query(db, "SELECT 1 FROM raw"))) == (0, found, found)
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(cursor.encode() in content for cursor in cursors if cursor != "*")
