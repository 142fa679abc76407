"""`papers sync` under SIGKILL: nothing is lost, at most a batch a kill is fetched twice, the result is the same."""

import itertools
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import leftoff
from leftoff.testing.kills import ForkServer, read_ledger
from leftoff.testing.ncbi_process import serve
from tests.papers.conftest import SHIPPED
from tests.papers.evidence import content, held, query

PROGRAMS = Path(__file__).parent / "programs.py"
ALL = "all[sb]"
LOGGED = "SELECT pmid FROM event ORDER BY seq"
GROWTH = 8.0  # MB: a window's list of 9,999 PMIDs, and what the allocator leaves; 9,000 records are 45
KILLS = 5  # on one database; one more could make a dead letter of a record that was in hand each time
FAULTS = ["429-bare:0.03", "error-200:0.03", "empty-200:0.03", "truncated:0.03", "reset:0.03", "shortfall:0.05"]
TIMES = [pytest.param(1, id="few"), pytest.param(8, id="many", marks=pytest.mark.prove)]


@pytest.fixture(scope="module")
def server():
    with ForkServer(PROGRAMS) as server:
        yield server


@pytest.fixture
def rng():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


@dataclass
class Chain:
    """One database that is killed again and again, and all that is known of it from outside.

    Its name is its API key, by which its requests are told from others'.
    """

    server: object
    replica: object
    folder: Path
    batch: int
    plan: dict = field(default_factory=dict)
    kills: int = 0
    had: set = field(default_factory=set)

    def __post_init__(self):
        self.folder.mkdir()
        self.db, self.log, self.ledger = (self.folder / name for name in ("papers.db", "log.jsonl", "ledger"))

    def sync(self, *, after=None, boundary=None, limit=120.0, **more):
        """Sync to the end or to the death, and check what holds then."""
        plan = {
            "query": ALL, "db": str(self.db), "batch": self.batch, "log": str(self.log), "ledger": str(self.ledger),
            "ncbi_url": self.replica.eutils, "api_key": self.folder.name, **self.plan, **more,
        }  # fmt: skip
        end = self.server.run("run", plan, after=after, boundary=boundary, limit=limit)
        assert end.code in (0, -9), end.output
        self.kills += end.killed
        self.check()
        return end

    def finish(self, **more):
        """Sync to the end, and return the accounts."""
        end = self.sync(**more)
        assert end.code == 0, f"killed at its end: {end.output}"
        return json.loads(end.output.splitlines()[-1])

    def requests(self, tool="efetch"):
        key = self.folder.name
        return [line for line in self.replica.log() if tool in line["path"] and line["params"].get("api_key") == key]

    def served(self):
        return Counter(pmid for line in self.requests() for pmid in line["served"])

    def check(self):
        """Nothing stored is lost, no mark is without its row nor row without its mark, little was fetched twice."""
        now = held(self.db)
        assert self.had <= now, f"lost: {self.had - now}"
        self.had = now
        absent = {str(pmid) for (pmid,) in query(self.db, "SELECT identifier FROM absent")}
        assert self.done() == now | absent
        twice = sum(count - 1 for count in self.served().values())
        assert twice <= self.kills * self.batch, f"{twice} fetched twice after {self.kills} kills of {self.batch}"
        events = query(self.db, "SELECT pmid, what, at FROM event ORDER BY seq")
        lines = [(line["pmid"], line["what"], line["at"]) for line in self.lines()]
        assert lines == events[: len(lines)], "the log tells what the database does not have"

    def done(self):
        if not self.db.exists():
            return set()
        with leftoff.open(self.db) as journal:
            assert journal.verify() == []
            return {key.removeprefix("pmid:") for key in journal.run("pubmed").keys("done")}

    def is_begun(self):
        return query(self.db, "SELECT count(*) FROM search") not in ([], [(0,)])

    def is_complete(self):
        return self.is_begun() and query(self.db, "SELECT count(*) FROM search WHERE completed_at IS NULL") == [(0,)]

    def lines(self):
        """Return the whole lines of the log; none but the last may be torn."""
        text = self.log.read_bytes() if self.log.exists() else b""
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def tear_log(self, most):
        """Leave the log as an append that was cut short would have."""
        if self.log.exists():
            whole = self.log.read_bytes()
            self.log.write_bytes(whole[: max(0, len(whole) - most)])


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize(
    ("batch", "faults", "plan"),
    [(97, [], {}), (31, FAULTS, {}), (97, [], {"quick": False})],
    ids=["large", "small-faulty", "mannered"],
)
def test_kill_at_any_instant(server, real, tmp_path, rng, batch, faults, plan, times):
    """Killed at instants all over its span, the log torn each time, a sync ends as if nothing had happened."""
    chains = (1 if plan else 4) * times
    options = ["--fault", *faults, "--seed", str(rng.randrange(1000))] if faults else []
    with serve(real.folder, "--ban-after", "1", *([] if plan else ["--limit", "0"]), *options) as replica:
        whole = Chain(server, replica, tmp_path / "whole", batch, plan)
        whole.finish()
        span, inside, wanted = read_span(whole), 0, 0.8 * chains * KILLS
        for number in itertools.count():
            if number >= chains and inside >= wanted:
                break
            assert number < 4 * chains, f"only {inside} kills fell between the first and the last commit"
            chain = Chain(server, replica, tmp_path / f"chain-{number}", batch, plan)
            # Together the chains' instants lie evenly over the span; each kill's is counted from the one before.
            places = [(kill + (number % chains + 0.5) / chains) / KILLS for kill in range(KILLS)]
            for before, place in itertools.pairwise([0, *places]):
                if chain.sync(after=(place - before) * span).killed:
                    inside += chain.is_begun() and not chain.is_complete()
                chain.tear_log(rng.randint(0, 200))
                if chain.is_complete():
                    span *= 0.9  # measured while the machine was busier than now: the sync is over sooner
                    break
            last = chain.finish()
            assert (last["missing"], last["absent"]) == (0, 0)
            assert content(chain.db) == content(whole.db)
            assert set(chain.served()) == set(whole.served()) == chain.had
            assert [line["pmid"] for line in chain.lines()] == [pmid for (pmid,) in query(chain.db, LOGGED)]
            fetches = len(chain.requests())
            chain.finish()
            assert len(chain.requests()) == fetches, "a run after the end fetched something"
        print(f"{inside} kills over {span:.2f} s, between its first and last commit")
        assert not any(line["violation"] for line in replica.log())


def read_span(chain):
    """Return the seconds from the program's first line to its last request."""
    lines = read_ledger(chain.ledger)
    return lines[-1].at - lines[0].at


def test_kill_at_every_boundary(server, tmp_path):
    """Killed right before and behind each call that changes the disk, it ends the same."""
    batch = 60
    with serve(SHIPPED, "--limit", "0") as replica:
        whole = Chain(server, replica, tmp_path / "whole", batch)
        calls = whole.sync().calls
        assert calls > 20
        for boundary in range(2 * calls):
            chain = Chain(server, replica, tmp_path / f"boundary-{boundary}", batch)
            assert chain.sync(boundary=boundary).killed
            assert chain.finish()["missing"] == 0
            assert content(chain.db) == content(whole.db)


def test_from_log_fetches_exactly_what_the_log_has_and_the_database_lacks(server, real, tmp_path):
    """Also when it is killed: each record that the log has and the database lacks comes, and no other."""
    with serve(real.folder, "--limit", "0") as replica:
        whole = Chain(server, replica, tmp_path / "whole", 50)
        whole.finish(limit=400 if real.total else 100)
        other = Chain(server, replica, tmp_path / "other", 17)
        other.finish(limit=60, log=None)
        lacking, before = whole.had - other.had, other.served()
        more = {"query": "", "from_log": str(whole.log), "log": None}
        span = read_span(whole) * len(lacking) / len(whole.had)
        searches = len(other.requests("esearch"))
        for part in (0.4, 0.3):
            assert other.sync(after=part * span, **more).killed
        other.finish(**more)
        fetched = other.served() - before
        assert set(fetched) == lacking
        assert len(other.requests("esearch")) == searches
        assert other.finish(**more)["asked"] == 0
        assert other.had == whole.had | set(before)


@pytest.mark.parametrize(("key", "interval", "batch"), [("two", 0.11, 100), (None, 0.37, 200)], ids=["key", "no-key"])
def test_two_syncs_at_once_keep_the_spacing_together(real, tmp_path, key, interval, batch):
    """Two processes with two databases start no two requests nearer than the interval, and none is a violation."""
    with serve(real.folder, "--ban-after", "1") as replica, ForkServer(PROGRAMS) as one, ForkServer(PROGRAMS) as other:
        plan = {"query": ALL, "batch": batch, "ncbi_url": replica.eutils, "api_key": key, "quick": False}
        with ThreadPoolExecutor() as pool:
            ends = pool.map(
                lambda pair: pair[0].run("run", {**plan, "db": str(tmp_path / pair[1]), "ledger": str(tmp_path / "l")}),
                [(one, "one.db"), (other, "other.db")],
            )
            assert [end.code for end in ends] == [0, 0]
        starts = sorted(float(line.key) for line in read_ledger(tmp_path / "l") if line.word.startswith("start"))
        assert len(starts) == len(replica.log()) > 8
        assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= interval
        assert not any(line["violation"] for line in replica.log())
    assert content(tmp_path / "one.db") == content(tmp_path / "other.db")


@pytest.mark.parametrize(("few", "many"), [(3_000, 12_000), pytest.param(3_000, 60_000, marks=pytest.mark.prove)])
def test_memory_does_not_grow_with_the_number_of_papers(server, tmp_path, few, many):
    """Many papers take no more memory than few: no more than one window's list of PMIDs and one batch are held."""
    peaks = []
    for count in (few, many):
        # All on one day, where their order is random: else the clones of one large record would come together.
        with serve(SHIPPED, "--limit", "0", "--clones", str(count), "--clones-on", "2020-05-05") as replica:
            plan = {"query": ALL, "db": str(tmp_path / f"{count}.db"), "ncbi_url": replica.eutils, "api_key": "k"}
            end = server.run("run", {**plan, "ledger": str(tmp_path / f"{count}.ledger")}, limit=600)
        accounts = json.loads(end.output.splitlines()[-1])
        assert accounts["stored"] == count
        peaks.append(accounts["peak"] / 1000)
    print(f"peak: {peaks[0]:.1f} MB for {few:,} papers, {peaks[1]:.1f} MB for {many:,}")
    assert peaks[1] < peaks[0] + GROWTH
