"""A map on Dask's workers: computed there, committed here; a worker's death is a crash of its item alone."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

import leftoff
from leftoff.work import retry
from tests.work import computed

pytestmark = [
    pytest.mark.filterwarnings("default"),  # they are Dask's own to decide about
    pytest.mark.timeout(600),
]


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    """Retries come at once here; that they wait is test_retry's."""
    monkeypatch.setattr(retry, "delay", lambda failures: 0.0)


@pytest.fixture
def cluster(monkeypatch):
    """Two workers, each a process with one thread, in this test's folder."""
    monkeypatch.setenv("NAP", "0.05")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        yield cluster


def executed():
    return Counter(Path(computed.LEDGER).read_text().split())


def test_dask_computes_and_the_owner_commits(cluster):
    """Values, tokens and failures are what they would be here; an executor and a function that makes one will do."""
    with Client(cluster) as client, leftoff.open("p.jsonl") as journal:
        run = journal.run("r")
        for executor in (client.get_executor(), client.get_executor):
            tokens = [o.value for o in run.map(computed.told, range(6), executor=executor, workers=2)]
            run.forget()
            assert tokens == [o.value for o in run.map(computed.told, range(6))]
            run.forget()
        outcomes = list(journal.run("s").map(computed.refuses, range(4), executor=client.get_executor, workers=2))
    assert [o.error and o.error.type for o in outcomes] == [None, "CannotTravel", "ValueError", None]
    assert executed() == {"0": 1, "1": 3, "2": 3, "3": 1}


def test_a_worker_that_dies_is_a_crash_of_its_item(cluster):
    """Dask tries it on other workers, too, before it says so; the neighbours are done."""
    with Client(cluster) as client, leftoff.open("p.jsonl") as journal:
        run = journal.run("r")
        outcomes = list(run.map(computed.kills, range(6), executor=client.get_executor, workers=2, crashes=2))
        kinds = [entry.kind for entry in journal.entries("r") if entry.key == "3"]
    assert [o.item for o in outcomes if o.error] == [3]
    assert outcomes[3].error.type == "ProcessEnded"
    assert kinds == ["started", "failed", "started", "dead"]


@pytest.mark.parametrize("kills", [4, pytest.param(250, marks=pytest.mark.prove)])
def test_an_owner_that_is_killed_repeats_what_was_in_flight(cluster, kills):
    """Killed again and again while its workers live on, it has every item done, and repeats two at most each time."""
    items = 5 * kills + 4
    for count in range(kills + 1):
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.work.dasked", cluster.scheduler_address, str(items)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )
        for line in program.stdout:
            if count < kills and line.startswith("done") and int(line.split()[1]) >= 5 * count + 4:
                break
        if count < kills:
            program.kill()
        program.communicate()
    assert program.returncode == 0
    with leftoff.open("p.jsonl") as journal:
        assert set(journal.run("r").keys("done")) == {str(n) for n in range(items)}
    begun = Counter(line.split()[1] for line in Path(computed.LEDGER).read_text().splitlines() if "begun" in line)
    assert set(begun) == {str(n) for n in range(items)}
    assert sum(begun.values()) - items <= 2 * kills, begun
