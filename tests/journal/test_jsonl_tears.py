"""Where a tear in a JSON Lines journal ends and damage begins, case by case."""

from __future__ import annotations

from pathlib import Path

import pytest

from leftoff.errors import JournalDamaged
from leftoff.journal.jsonl import JsonlStore
from tests.journal.jsonl_files import no_syncs, small_journal


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_syncs(monkeypatch)
    return tmp_path / "run.jsonl"


def test_a_flipped_bit_in_a_commit_that_was_cut_short_too_is_damage(path):
    """A power failure takes the end of a commit, or sectors of it; it does not turn one letter into another."""
    ends = small_journal(path, "power")
    whole = path.read_bytes()
    begin = ends[-2]
    cut = whole.rindex(b"\n", begin, len(whole) - 1) + 1  # all of the last commit but its last line
    key = whole.index(b'"m1"', begin, cut)
    path.write_bytes(whole[:cut])
    JsonlStore(path).close()
    path.write_bytes(whole[: key + 1] + b"M" + whole[key + 2 : cut])
    with pytest.raises(JournalDamaged):
        JsonlStore(path)
