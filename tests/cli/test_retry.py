from __future__ import annotations

from pathlib import Path

import leftoff
from tests.cli.conftest import call, fates


def test_all_dead_letters_are_retried_without_keys(ingest: str) -> None:
    """Without keys every dead letter is worked on again by the next run, and nothing else is."""
    ended = call("retry", ingest)
    assert (ended.code, ended.out) == (0, "ingest: 2 dead letters will be worked on again by the next run\n")
    assert fates(ingest) == (["a", "c", "e"], [])
    with leftoff.open(ingest) as journal:
        assert list(journal.run("ingest").each("abcde", progress=False)) == ["b", "d"]


def test_only_named_dead_letters_are_retried(ingest: str) -> None:
    """With keys just those are given back."""
    assert call("retry", ingest, "d", "--json").json == {"run": "ingest", "retried": 1}
    assert fates(ingest) == (["a", "c", "e"], ["b"])


def test_a_key_that_is_no_dead_letter_is_refused_before_anything_is_changed(ingest: str) -> None:
    """A typing error among the keys is a usage error that names it, and the right ones are not retried either."""
    before = Path(ingest).read_bytes()
    ended = call("retry", ingest, "b", "bb", "a")
    assert ended.code == 2
    assert "these are no dead letters of run ingest" in ended.err
    assert ": bb, a; nothing was changed" in ended.err
    assert Path(ingest).read_bytes() == before


def test_a_run_without_dead_letters_is_left_alone(two_runs: str) -> None:
    """Nothing to retry is no failure, and the run is not even taken over."""
    before = Path(two_runs).read_bytes()
    ended = call("retry", two_runs, "--run", "clean")
    assert (ended.code, ended.out) == (0, "clean: no dead letters\n")
    assert Path(two_runs).read_bytes() == before


def test_with_several_runs_one_has_to_be_named(two_runs: str) -> None:
    """Which run is meant is never guessed: the usage error names them."""
    ended = call("retry", two_runs)
    assert ended.code == 2
    assert "its runs are ingest, clean; choose one with --run" in ended.err
    assert call("retry", two_runs, "--run", "ingest").code == 0


def test_a_run_of_another_name_is_not_created(ingest: str) -> None:
    """A mistyped run is a usage error, not a new empty run."""
    ended = call("retry", ingest, "--run", "ingst")
    assert ended.code == 2
    assert "holds no run ingst: its runs are ingest" in ended.err
    with leftoff.open(ingest) as journal:
        assert journal.runs() == ["ingest"]


def test_a_key_may_begin_with_a_dash(place: str) -> None:
    """Behind -- a key is a key."""
    with leftoff.open(place) as journal:
        list(journal.run("numbers").map(lambda number: 1 // 0, [-5], attempts=1, progress=False))
    assert call("retry", place, "--", "-5").code == 0
    assert fates(place, "numbers") == ([], [])
