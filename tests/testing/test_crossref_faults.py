"""Each fault of the Crossref replica breaks the naive client, which is whole without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leftoff.testing.crossref_faults import FAULTS, Faults
from leftoff.testing.crossref_works import load
from leftoff.testing.replica_process import Running, serve
from tests.testing.naive_crossref import get, harvest

WORKS = Path(__file__).parents[2] / "examples" / "papers" / "works"
MODULE = "leftoff.testing.crossref"
FREELY = ("--limit", "0", "--polite-limit", "0", "--concurrency", "0", "--polite-concurrency", "0")
LIMITED = ("--polite-limit", "1000", "--polite-concurrency", "0")
SLOW = {"drip", "stall"}  # these need a client that is still waiting
HARMLESS = {"no-limits", "odd-limits"}  # to a client that reads no limits, or the one spelling
PATIENT = {"lost-page"}  # which breaks who asks again, and thinks a cursor were a position


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("works")
    works = [work.versions[-1] for work in list(load(WORKS).values())[:200]]
    (folder / "works.jsonl").write_text("".join(json.dumps(work) + "\n" for work in works), encoding="utf-8")
    return folder


def lost_or_wrong(replica: Running, truth: dict[str, Any], *, patient: bool) -> str:
    """Run the naive client and say how it failed; an empty text when it has exactly what there is."""
    try:
        found = harvest(replica.url, rows=20, patient=patient)
    except Exception as error:  # whatever it dies of, it dies
        return f"died: {error!r}"
    hidden = set(replica.ask()["hidden"])
    wanted = {doi: work for doi, work in truth.items() if doi not in hidden}
    lost = sorted(wanted.keys() - found.keys())
    wrong = sorted(doi for doi in wanted.keys() & found.keys() if wanted[doi] != found[doi])
    more = sorted(found.keys() - wanted.keys())
    return f"lost {lost[:3]}, stored wrongly {wrong[:3]}, what is gone {more[:3]}" if lost or wrong or more else ""


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - SLOW - HARMLESS - {"revised"}))
def test_a_fault_breaks_the_naive_client(name: str, few: Path) -> None:
    """The naive client is whole without the fault, and loses works, dies or stores what is no more with it."""
    limits = LIMITED if "limits" in name else FREELY
    with serve(MODULE, few, *limits) as replica:
        truth = harvest(replica.url, rows=20)
        assert len(truth) == 200
        assert lost_or_wrong(replica, truth, patient=False) == ""
    rate = {"refuse-after": "50", "growing": "0", "lost-page": "0.4"}.get(name, "1")
    with serve(MODULE, few, *limits, "--fault", f"{name}:{rate}") as replica:
        if rate == "0":
            replica.ask("fault", name=name, rate="1")
            truth = harvest(replica.url, rows=20)
        failure = lost_or_wrong(replica, truth, patient=name in PATIENT)
        assert failure
        assert name in {entry["fault"] for entry in replica.log()}


@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_slow_fault_outlasts_a_client_without_a_deadline(name: str, few: Path) -> None:
    """Under stall and drip a client that sets no deadline still waits when others have everything."""
    script = "from tests.testing.naive_crossref import harvest; harvest({!r})"
    with serve(MODULE, few, *FREELY, "--fault", f"{name}:1", "--drip", "0.1") as replica:
        here = Path(__file__).parents[2]
        waiting = subprocess.Popen([sys.executable, "-c", script.format(replica.url)], cwd=here)
        try:
            while not (log := replica.log()):
                pass
            assert log[0]["fault"] == name
            replica.ask("fault", name=name, rate="0")
            assert len(harvest(replica.url)) == 200
            assert waiting.poll() is None
        finally:
            waiting.kill()
            waiting.wait()


def test_limits_may_be_told_in_other_ways_or_not_at_all(few: Path) -> None:
    """As recorded: none in some answers of 2025, and two spellings."""
    for name, expected in (
        ("no-limits", {}),
        ("odd-limits", {"x-rate-limit-limit": "10", "x-ratelimit-limit": "100", "x-ratelimit-interval": "1s"}),
        ("doubled-limits", {"x-rate-limit-limit": "10, 10", "x-rate-limit-interval": "1s, 1s"}),
        ("429-bare", {}),
    ):
        with serve(MODULE, few, "--fault", f"{name}:1") as replica:
            _, headers, _ = get(f"{replica.url}/works", rows=0)
            told = {key: value for key, value in headers.items() if key.startswith("x-")}
            assert expected.items() <= told.items()
            assert expected or not told
            assert "retry-after" not in headers


def test_a_revised_work_is_found_by_its_update_and_not_by_its_creation(few: Path) -> None:
    """On a new day a share of the works is deposited again, the same ones for a seed."""
    with serve(MODULE, few, *FREELY, "--today", "2026-01-05", "--fault", "revised:0.1") as replica:
        before = harvest(replica.url)
        replica.ask("today", date="2026-01-06")
        assert harvest(replica.url, filter="from-created-date:2026-01-06") == {}
        updated = harvest(replica.url, filter="from-update-date:2026-01-06,until-update-date:2026-01-06")
        assert 5 < len(updated) < 40
        for doi, work in updated.items():
            changed = {name for name in work if work[name] != before[doi][name]}
            assert changed == {"deposited", "indexed"}


def test_a_seed_repeats_its_faults(few: Path) -> None:
    """The same seed gives the same faults to the same requests, another seed others."""

    def met(seed: str) -> list[str | None]:
        with serve(MODULE, few, *FREELY, "--fault", "500:0.3", "empty-200:0.3", "--seed", seed) as replica:
            for _ in range(20):
                lost_or_wrong(replica, {}, patient=False)
            return [entry["fault"] for entry in replica.log()][:30]

    first = met("7")
    assert met("7") == first
    assert met("8") != first
    assert {"500", "empty-200"} <= set(first)


def test_an_unknown_fault_is_refused_and_help_lists_all(capfd: pytest.CaptureFixture[str]) -> None:
    """A mistyped fault or rate ends the start with the way to the list of faults."""
    for text in ("429s", "empty-200:2", "empty-200:often"):
        with pytest.raises(ValueError, match=r"fault|rate|float"):
            Faults.parse(text)
    subprocess.run([sys.executable, "-m", MODULE, "--fault", "help"], check=True)
    shown = capfd.readouterr().out
    assert [name for name in FAULTS if f" {name} " not in shown] == []
