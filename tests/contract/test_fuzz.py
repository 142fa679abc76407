"""Damage of every kind to journals of every kind in files (P8): refused, or read as what was written.

The journals are those of `tests/data`, so that a seed and a number are all it takes to repeat a case.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from leftoff.testing.damage import command, load, survey
from tests.figures import Counted

DATA = Path(__file__).parent.parent / "data" / "format-1"
SAMPLES = {  # the journal, the one whose parts are brought in, how many damaged copies
    "power.jsonl": ("process.jsonl", 7000),
    "process.jsonl": ("power.jsonl", 7000),
    "segments": ("power.jsonl", 2000),
    "closed.db": ("killed.db", 2000),
    "killed.db": ("closed.db", 2000),
}
ALWAYS_REFUSED = {"power.jsonl": "one bit", "process.jsonl": "one bit", "closed.db": "rows"}
"""Damage that no tear looks like, in a place where nothing is without meaning."""


def check(name: str, times: int, counted: Counted) -> None:
    """Refused, same, or torn as docs/format.md has it; never a crash, a hang, or another answer."""
    other, count = SAMPLES[name]
    seed = int(os.environ.get("LEFTOFF_SEED", random.randrange(1 << 32)))
    quick = Path("/dev/shm")
    found = survey(
        load(DATA / name),
        seed=seed,
        cases=range(count * times),
        other=load(DATA / other),
        folder=quick if quick.is_dir() else None,
    )
    print(found.table())
    for failure in found.failures[:5]:
        print(*failure, command(DATA / name, DATA / other, failure, seed), sep="\n")
    assert found.failures == []
    assert found.cases == count * times
    kind = ALWAYS_REFUSED.get(name)
    assert [verdict for (damage, verdict) in found.counts if damage == kind] == (["refused"] if kind else [])
    assert found.of("refused") > found.cases / 3
    assert found.of("torn") > 0 or name == "closed.db"
    counted("damaged journals", name, found.cases)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SAMPLES)
def test_no_damage_is_believed(name: str, counted: Counted) -> None:
    """Of thousands of damaged copies of a journal none is read as anything but what was written, or crashes."""
    check(name, 1, counted)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SAMPLES)
def test_no_damage_is_believed_at_length(name: str, counted: Counted) -> None:
    """The same, ten times as many."""
    check(name, 10, counted)
