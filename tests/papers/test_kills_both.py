"""`papers sync` of both services under SIGKILL, with their faults on: the same library as if nothing had happened."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import leftoff
from leftoff.testing.crossref_works import load
from leftoff.testing.kills import ForkServer, read_ledger
from leftoff.testing.ncbi_process import serve as serve_ncbi
from leftoff.testing.replica_process import serve
from tests.papers.conftest import SHIPPED
from tests.papers.evidence import content, query
from tests.papers.test_works import WORKS

PROGRAMS = Path(__file__).parent / "programs.py"
FREELY = ("--limit", "0", "--ban-after", "1")
NCBI_FAULTS = ["429-bare:0.03", "error-200:0.03", "empty-200:0.03", "truncated:0.03", "reset:0.03", "shortfall:0.05"]
CROSSREF_FAULTS = [
    f"{name}:0.02" for name in (
        "429", "429-bare", "empty-200", "html-200", "500", "502", "503", "504", "lost-page", "cursor-expiry",
        "short-page", "no-limits", "doubled-limits", "odd-limits", "flip", "truncated", "short-length", "reset",
    )
]  # fmt: skip
KILLS = 4  # on one database; one more could make a dead letter of a record that was in hand each time
TIMES = [pytest.param(1, id="few"), pytest.param(17, id="many", marks=pytest.mark.prove)]


@pytest.fixture(scope="module")
def server():
    with ForkServer(PROGRAMS) as server:
        yield server


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    """A folder with some real works: enough for some pages of a small size."""
    folder = tmp_path_factory.mktemp("works")
    lines = [json.dumps(work.versions[-1]) for work in list(load(WORKS).values())[:300]]
    (folder / "works.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def rng():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


@dataclass
class Chain:
    """One database that is killed again and again, and all that is known of it from outside.

    Its name is its API key and its address, by which its requests are told from others'.
    """

    server: ForkServer
    ncbi: Any
    crossref: Any
    folder: Path
    batch: int = 20
    plan: dict[str, Any] = field(default_factory=dict)
    had: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.db, self.log, self.ledger = (self.folder / name for name in ("papers.db", "log.jsonl", "ledger"))

    def sync(self, **when):
        """Sync to the end or to the death, and check what holds then."""
        plan = {
            "query": "of", "source": "both", "db": str(self.db), "batch": self.batch, "log": str(self.log),
            "ledger": str(self.ledger), "ncbi_url": self.ncbi.eutils, "crossref_url": self.crossref.url,
            "api_key": self.folder.name, "email": f"{self.folder.name}@example.org", **self.plan,
        }  # fmt: skip
        end = self.server.run("run", plan, limit=120.0, **when)
        assert end.code in (0, -9), end.output
        self.check()
        return end

    def finish(self):
        end = self.sync()
        assert end.code == 0, f"killed at its end: {end.output}"
        return json.loads(end.output.splitlines()[-1])

    def check(self):
        """Nothing stored is lost, each record has its mark and each mark its record, the log tells of nothing else."""
        now = set(query(self.db, "SELECT source, identifier FROM raw"))
        assert self.had <= now, f"lost: {self.had - now}"
        self.had = now
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

    def asked(self, *, cursors=False):
        """Return the parameters of this database's requests to Crossref, or how repeated cursors fared."""
        mine = [e for e in self.crossref.log() if e["params"].get("mailto") == f"{self.folder.name}@example.org"]
        if not cursors:
            return [entry["params"] for entry in mine]
        # A page that came moves the cursor on: the same cursor is right then. After a loss it must not come again.
        last: dict[str, bool] = {}
        wrong = []
        for entry in mine:
            cursor = entry["params"].get("cursor", "*")
            if cursor != "*":
                if last.get(cursor) is False:
                    same = [each for each in mine if each["params"].get("cursor") == cursor]
                    wrong.append([(each["fault"], each["status"], len(each["served"])) for each in same])
                last[cursor] = bool(entry["served"]) and entry["fault"] in (None, *HARMLESS)
        return wrong


HARMLESS = ("no-limits", "doubled-limits", "odd-limits", "short-page")


@pytest.mark.parametrize("times", TIMES)
def test_kill_at_any_instant(server, works, tmp_path, rng, times):
    """Killed at instants all over its span, with every fault on, it ends as if nothing had happened."""
    faults = ["--seed", str(rng.randrange(1000)), "--fault"]
    with (
        serve_ncbi(SHIPPED, *FREELY, *faults, *NCBI_FAULTS) as ncbi,
        serve("leftoff.testing.crossref", works, *FREELY, "--polite-limit", "0", *faults, *CROSSREF_FAULTS) as crossref,
    ):
        whole = Chain(server, ncbi, crossref, tmp_path / "whole")
        report = whole.finish()
        assert report["missing"] == 0
        lines = read_ledger(whole.ledger)
        span, kills = lines[-1].at - lines[0].at, 0
        chains = 3 * times
        for number in range(chains):
            chain = Chain(server, ncbi, crossref, tmp_path / f"chain-{number}")
            places = [(kill + (number + 0.5) / chains) / KILLS for kill in range(KILLS)]
            for before, place in itertools.pairwise([0, *places]):
                kills += chain.sync(after=(place - before) * span).killed
            last = chain.finish()
            assert last["missing"] == 0
            assert content(chain.db) == content(whole.db)
            assert chain.asked(cursors=True) == []
            requests = len(chain.asked())
            again = chain.finish()
            assert (again["stored"], again["missing"]) == (0, 0)
            assert all(params.get("cursor", "*") == "*" for params in chain.asked()[requests:])
        print(f"{kills} kills over {span:.2f} s")
        assert kills > chains
        assert not any(entry["violation"] for replica in (ncbi, crossref) for entry in replica.log())


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
