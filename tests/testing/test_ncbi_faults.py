"""Each fault of the replica breaks the naive client, which is whole without it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from leftoff.testing.ncbi_faults import FAULTS, Faults
from leftoff.testing.ncbi_process import Running, serve
from leftoff.testing.ncbi_records import Library
from tests.testing import naive

RECORDS = Path(__file__).parents[2] / "examples" / "papers" / "records"
FREELY = ("--limit", "0", "--today", "2026-01-05")
SLOW = {"drip", "stall"}  # these need a client that is still waiting
PAGED = {"page": 5}
HISTORY = {"history": True}


def one_a_day() -> str:
    """A query for records of different days: their order is the same in every search."""
    pmids = {record.edat: record.pmid for record in Library(RECORDS).records.values()}
    return " OR ".join(f"{pmid}[UID]" for pmid in pmids.values())


# How each fault is switched on, which habit of the client it breaks, and what else the replica is started with.
CASES: dict[str, tuple[str, dict[str, object], tuple[str, ...]]] = {name: (f"{name}:1", {}, ()) for name in FAULTS}
CASES |= {
    "refuse-after": ("refuse-after:50", {"batch": 20}, ()),
    "large": ("large:1", {"batch": 1000}, ("--clones", "700")),
    "bad-webenv": ("bad-webenv:1", HISTORY, ()),
    "webenv-expiry": ("webenv-expiry:1", HISTORY, ()),
    "shuffle": ("shuffle:1", PAGED, ()),
    "growing": ("growing:1", PAGED, ()),
    "shrinking": ("shrinking:1", PAGED, ()),
    "always-missing": ("always-missing:0.2", {}, ()),
    "doi-variants": ("doi-variants:0.5", {}, ()),
    "shared-doi": ("shared-doi:0.5", {}, ("--clones", "200")),
}
ON_REQUESTS = sorted(CASES.keys() - SLOW - {"revised"})


def lost_or_wrong(replica: Running, term: str, options: dict[str, object], truth: dict[str, naive.Paper]) -> str:
    """Run the naive client and say how it failed; an empty text when it has exactly what there is."""
    try:
        stored = naive.harvest(replica.eutils, term, **options)
    except Exception as error:  # whatever it dies of, it dies
        return f"died: {error!r}"
    hidden = {str(pmid) for pmid in replica.ask()["hidden"]}
    wanted = {pmid: paper for pmid, paper in truth.items() if pmid not in hidden}
    lost = sorted(wanted.keys() - stored.keys())
    wrong = sorted(pmid for pmid in wanted.keys() & stored.keys() if wanted[pmid] != stored[pmid])
    return f"lost {lost[:5]}, stored wrongly {wrong[:5]}" if lost or wrong else ""


@pytest.mark.parametrize("name", ON_REQUESTS)
def test_a_fault_breaks_the_naive_client(name: str) -> None:
    """The naive client is whole without the fault, and loses records, dies or stores garbage with it."""
    fault, options, arguments = CASES[name]
    term = one_a_day() if options is PAGED else "all[sb]"
    with serve(RECORDS, *FREELY, *arguments) as replica:
        truth = naive.harvest(replica.eutils, term)
        assert len(truth) >= 50
        assert lost_or_wrong(replica, term, options, truth) == ""
    with serve(RECORDS, *FREELY, *arguments, "--fault", fault) as replica:
        failure = lost_or_wrong(replica, term, options, truth)
        assert failure
        if not FAULTS[name].standing:
            assert name in {entry["fault"] for entry in replica.log()}


@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_slow_fault_outlasts_a_client_without_a_deadline(name: str) -> None:
    """Under stall and drip a client that sets no deadline still waits when others have everything."""
    script = "from tests.testing.naive import harvest; harvest({!r}, 'all[sb]', batch=20)"
    with serve(RECORDS, *FREELY, "--fault", f"{name}:1", "--drip", "0.1") as replica:
        waiting = subprocess.Popen([sys.executable, "-c", script.format(replica.eutils)], cwd=RECORDS.parents[2])
        try:
            while not (log := replica.log()):
                pass
            assert log[0]["fault"] == name
            replica.ask("fault", name=name, rate="0")
            assert len(naive.harvest(replica.eutils, "all[sb]", batch=20)) == 120
            assert waiting.poll() is None
        finally:
            waiting.kill()
            waiting.wait()


def test_a_revised_record_is_missed_by_who_asks_for_new_ones_only() -> None:
    """On a new day some records are revised: found by their modification date, not by their entry date."""
    with serve(RECORDS, *FREELY, "--fault", "revised:0.1") as replica:
        naive.harvest(replica.eutils, "all[sb]")
        replica.ask("today", date="2026-01-06")
        window = {"mindate": "2026/01/06", "maxdate": "2026/01/06"}
        assert naive.harvest(replica.eutils, "all[sb]", datetype="edat", **window) == {}
        assert naive.harvest(replica.eutils, "all[sb]", datetype="mdat", **window)


def test_a_seed_repeats_its_faults() -> None:
    """The same seed gives the same faults to the same requests, another seed others."""

    def met(seed: str) -> list[str | None]:
        faults = ("--fault", "error-200:0.3", "empty-200:0.3", "--fault", "shuffle:0.3", "--seed", seed)
        with serve(RECORDS, *FREELY, *faults) as replica:
            for _ in range(30):
                with contextlib.suppress(Exception):
                    naive.harvest(replica.eutils, "4[UID]")
            return [entry["fault"] for entry in replica.log() if entry["path"].endswith("esearch.fcgi")]

    first = met("7")
    assert met("7")[:30] == first[:30]
    assert met("8") != first
    assert {"error-200", "empty-200", "shuffle", None} == set(first)


def test_an_unknown_fault_is_refused() -> None:
    """A mistyped fault or rate ends the start with the way to the list of faults."""
    for text in ("429s", "empty-200:2", "empty-200:often"):
        with pytest.raises(ValueError, match=r"fault|rate|float"):
            Faults.parse(text)


def test_help_lists_every_fault(capfd: pytest.CaptureFixture[str]) -> None:
    """`--fault help` names every fault."""
    subprocess.run([sys.executable, "-m", "leftoff.testing.ncbi", "--fault", "help"], check=True)
    shown = capfd.readouterr().out
    assert [name for name in FAULTS if f" {name} " not in shown] == []
