from __future__ import annotations

from pathlib import Path

import pytest

import leftoff
from tests.cli.conftest import call, fates


def test_named_items_are_forgotten_whatever_their_fate(ingest: str) -> None:
    """A done and a dead item are both repeated by the next run once they are forgotten."""
    ended = call("forget", ingest, "a", "b")
    assert (ended.code, ended.out) == (0, "ingest: 2 items forgotten; the next run works on them again\n")
    with leftoff.open(ingest) as journal:
        assert list(journal.run("ingest").each("abcde", progress=False)) == ["a", "b"]


def test_all_starts_over(ingest: str) -> None:
    """--all forgets every item, and the old entries stay."""
    assert call("forget", ingest, "--all", "--json").json == {"run": "ingest", "forgotten": 5}
    assert fates(ingest) == ([], [])
    assert len([entry for entry in call("log", ingest, "--json").json_lines if entry["kind"] == "done"]) == 3
    assert call("forget", ingest, "--all").out == "ingest: nothing to forget\n"


@pytest.mark.parametrize("words", [(), ("a", "--all")])
def test_what_to_forget_has_to_be_said_once(ingest: str, words: tuple[str, ...]) -> None:
    """Neither nothing nor both keys and --all is taken for an answer."""
    before = Path(ingest).read_bytes()
    ended = call("forget", ingest, *words)
    assert ended.code == 2
    assert "--all" in ended.err
    assert Path(ingest).read_bytes() == before


def test_an_unknown_key_is_refused_before_anything_is_changed(ingest: str) -> None:
    """A key that is neither done nor dead is a usage error that names it."""
    ended = call("forget", ingest, "a", "zz")
    assert ended.code == 2
    assert "these are no done or dead items of run ingest" in ended.err
    assert ": zz; nothing was changed" in ended.err
    assert fates(ingest) == (["a", "c", "e"], ["b", "d"])


def test_with_several_runs_one_has_to_be_named(two_runs: str) -> None:
    """Which run is meant is never guessed."""
    assert call("forget", two_runs, "--all").code == 2
    assert call("forget", two_runs, "--all", "--run", "clean").code == 0
    assert fates(two_runs) == (["a", "c", "e"], ["b", "d"])
