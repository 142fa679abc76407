"""Whoever looks at a journal while another process writes it sees a whole one, of some instant."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import leftoff
from tests.contract.stores import PLACES

WRITE = "import sys; from tests.work.copied import go_on; go_on(*sys.argv[1:])"


@pytest.mark.parametrize("place", [place for place in PLACES if place != "memory:"])
def test_a_live_journal_is_never_called_damaged(tmp_path: Path, place: str) -> None:
    """Opened, counted and verified again and again under a busy writer, it is sound and only ever grows."""
    journal_path, told = place if "://" in place else f"{tmp_path}/{place}", tmp_path / "told"
    with subprocess.Popen([sys.executable, "-c", WRITE, str(journal_path), str(told)]) as writer:
        try:
            wait_for(told)
            seen = 0
            for look in range(60):
                with leftoff.open(journal_path, create=False) as journal:
                    done, _ = journal.store.counts("live")
                    assert done >= seen
                    seen = done
                    if look % 10 == 0:
                        assert journal.verify() == []
        finally:
            writer.kill()
    assert seen > 1


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline, "the writer never began"
        time.sleep(0.005)
