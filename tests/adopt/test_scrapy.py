"""Against what the real Scrapy left (`tests/data/scrapy`): 12 requests, to the end, stopped by Ctrl-C, and killed.

Recorded with Scrapy 2.19 and 2.12, one spider over http://127.0.0.1:8765/0 to /11; only the pickles are left out.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from leftoff.adopt import requests_seen
from leftoff.errors import UsageError
from tests.adopt.conftest import sorted_out

RECORDED = Path(__file__).parents[1] / "data" / "scrapy"
FIRST = "12450d4c09b916ad146e41a2a6bd81f8de4c4417"  # what Scrapy's own `fingerprint` says of …/0


@pytest.mark.parametrize("name", ["ended", "ended-2.12"])
def test_a_crawl_that_ended_is_adopted(name: str) -> None:
    """Both formats give the fingerprints of all 12 requests, named by the directory or the file."""
    for path in (RECORDED / name, RECORDED / name / "requests.seen"):
        done, failed, doubts = sorted_out(requests_seen(str(path), trust_seen=True))
        assert (done[0], len(set(done)), failed, doubts) == (FIRST, 12, [], [])
        assert all(re.fullmatch("[0-9a-f]{40}", key) for key in done)


@pytest.mark.parametrize("name", ["killed", "killed-2.12", "stopped"])
@pytest.mark.parametrize("trust_seen", [False, True])
def test_a_crawl_that_did_not_end_is_not_believed(name: str, trust_seen: bool) -> None:
    """requests.seen names what was scheduled: of a crawl that did not end it is refused, whatever is said."""
    with pytest.raises(UsageError, match=r"adopt what it has scraped instead"):
        requests_seen(str(RECORDED / name), trust_seen=trust_seen)


def test_consent_is_asked_for() -> None:
    """Also at a crawl's end a page that could not be fetched stands in it: that this counts as done has to be said."""
    with pytest.raises(UsageError, match=r"also where that failed.*--trust-seen"):
        requests_seen(str(RECORDED / "ended"))


@pytest.mark.parametrize("name", ["ended", "ended-2.12"])
def test_a_torn_fingerprint_is_doubted(name: str, tmp_path: Path) -> None:
    """Cut at each byte: the whole ones before the cut are keys, and never a shorter one."""
    shutil.copytree(RECORDED / name, tmp_path / "job")
    seen = tmp_path / "job" / "requests.seen"
    data = seen.read_bytes()
    whole = sorted_out(requests_seen(str(seen), trust_seen=True))[0]
    size = len(data) // 12
    for at in range(len(data)):
        seen.write_bytes(data[:at])
        done, _, doubts = sorted_out(requests_seen(str(seen), trust_seen=True))
        assert (done, len(doubts)) == (whole[: at // size], int(at % size > 0)), at


def test_a_damaged_queue_is_not_believed(tmp_path: Path) -> None:
    """What the queue says must be readable."""
    shutil.copytree(RECORDED / "ended", tmp_path / "job")
    (tmp_path / "job" / "requests.queue" / "active.json").write_text("{")
    with pytest.raises(UsageError, match="is damaged"):
        requests_seen(str(tmp_path / "job"), trust_seen=True)
