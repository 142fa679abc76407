"""A clock that jumps decides nothing: order is that of the entries, and the time is for people.

One of the files of the contract suite: every test runs on every store that gives its promise (docs/promises.md).
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.contract.drafts import done, started
from tests.contract.stores import Kind, which

JUMPS = [0.0, -86_400.0, 3_600.0, -3_600.0, 10 * 365 * 86_400.0, -1.0, -20 * 365 * 86_400.0]  # seconds


@which("P1")
def test_p1_a_clock_that_jumps_reorders_and_loses_nothing(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set back a day, an hour or twenty years, on again or over years, within an owner and between two.

    Failure mode 22: clock backwards, jump, DST.
    """
    now = time.time
    keys = []
    for owner_number, _ in enumerate(JUMPS):
        store = kind.open(tmp_path)
        owner = store.own("r")
        for number, jump in enumerate(JUMPS):
            monkeypatch.setattr(time, "time", lambda jump=jump: now() + jump)
            keys.append(f"{owner_number}.{number}")
            owner.commit([started(keys[-1])])
            owner.commit([done(keys[-1])])
        store.close()
    monkeypatch.setattr(time, "time", now)
    store = kind.open(tmp_path)
    assert list(store.keys("r", "done")) == keys
    assert [entry.key for entry in store.entries("r") if entry.kind == "done"] == keys
    assert store.own("r").epoch == len(JUMPS) + 1
    assert store.open_items("r") == {}
    assert list(store.verify()) == []
    store.close()
