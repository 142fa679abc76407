from __future__ import annotations

from pathlib import Path

import leftoff
from tests.cli.conftest import call, fates


def test_a_compaction_is_told_in_one_line(ingest: str) -> None:
    """How many entries went, and the size before and after; every fate stays, and doing it again is harmless."""
    before = fates(ingest)
    ended = call("compact", ingest)
    assert ended.code == 0
    assert ended.out.startswith(f"{ingest}: ")
    assert "entries left out, " in ended.out
    assert fates(ingest) == before
    assert call("compact", ingest, "--keep").out.endswith(f"the original is {ingest}.before-1\n")
    assert call("verify", ingest).code == 0


def test_a_compaction_is_told_to_programs(ingest: str) -> None:
    """One JSON object has the entries and the bytes before and after."""
    said = call("compact", ingest, "--json").json
    assert (said["journal"], said["aside"]) == (ingest, None)
    assert said["after"] < said["before"]
    assert said["bytes_after"] >= Path(ingest).stat().st_size > 0


def test_a_journal_in_use_is_not_compacted(ingest: str) -> None:
    """While somebody works on a run the exit code is 5; --vacuum is for SQLite, and no journal is exit code 1."""
    with leftoff.open(ingest) as journal:
        for _ in journal.run("ingest").each(["z"], progress=False):
            assert call("compact", ingest).code == 5
    assert call("compact", ingest, "--vacuum").code == (2 if ingest.endswith(".jsonl") else 0)
    assert call("compact", "none.jsonl").code == 1
