"""`leftoff plan`: what a list, and a command, would mean for a run."""

from __future__ import annotations

from pathlib import Path

import leftoff
from leftoff.journal.entry import Draft
from tests.cli.conftest import call


def test_the_items_of_a_list_are_told_apart(ingest: str) -> None:
    """New, done, dead and removed items are counted, the last two named, and what there is to do."""
    Path("list.txt").write_text("a\nb\nb\nnew\nnewer\n")
    ended = call("plan", ingest, "-a", "list.txt")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "ingest: 2 new, 0 failed or in hand, 1 done, 1 dead, 1 duplicate"
    assert lines[1].startswith("  to do: 2 items, about 0:00:00 at the rate measured")
    assert lines[2:] == ["  dead letters: b", "  not in the list any more: c, e, d"]


def test_json_has_all_keys(ingest: str) -> None:
    """--json prints the plan whole, each key in its list."""
    Path("list.txt").write_bytes(b"a\0b\0new")
    told = call("plan", ingest, "-0", "-a", "list.txt", "--json").json
    assert (told["new"], told["done"], told["dead"], told["removed"]) == (["new"], ["a"], ["b"], ["c", "e", "d"])
    assert (told["run"], told["work"], told["duplicates"], told["changed"]) == ("ingest", 1, 0, None)
    assert told["uncertain"] == []


def test_without_a_list_it_is_what_the_run_knows(ingest: str) -> None:
    """The run's own items need no list; new ones do, and that is said."""
    with leftoff.open(ingest) as journal:
        journal.run("ingest").own().commit([Draft("started", "half")])
    lines = call("plan", ingest).out.splitlines()
    assert lines[0] == "ingest: 1 failed or in hand, 3 done, 2 dead"
    assert lines[-1] == "  new and removed items are told with the list: -a LIST"


def test_another_command_is_told() -> None:
    """A command that is not the one the results are of has changed; the same has not."""
    assert call("each", "--journal", "p.jsonl", ":::", "a", "b", "--", "true", "{}").code == 0
    assert "changed" not in call("plan", "p.jsonl", "--", "true", "{}").out
    ended = call("plan", "p.jsonl", "--", "false", "{}")
    assert "  changed since the last results: parameter command" in ended.out.splitlines()
    ended = call("each", "--journal", "p.jsonl", ":::", "a", "--", "echo", "{}")
    assert (ended.code, ended.out) == (0, "")
    assert "2 of its items were concluded before parameter command changed; they are kept" in ended.err


def test_a_changed_command_is_refused_or_run_again() -> None:
    """--on-change refuse runs nothing, redo runs it for all."""
    call("each", "--journal", "p.jsonl", ":::", "a", "b", "--", "true", "{}")
    ended = call("each", "--journal", "p.jsonl", "--on-change", "refuse", ":::", "a", "b", "--", "echo", "{}")
    assert (ended.code, ended.out) == (1, "")
    ended = call("each", "--journal", "p.jsonl", "-k", "--on-change", "redo", ":::", "a", "b", "--", "echo", "{}")
    assert (ended.code, ended.out) == (0, "a\nb\n")


def test_what_was_cut_off_is_named_with_its_token(place: str) -> None:
    """An attempt that may have been paid for stands in the plan until the end of days."""
    with leftoff.open(place) as journal:
        run = journal.run("paid")
        run.own().commit([Draft("started", "x"), Draft("uncertain", "x", '{"attempt":1,"token":"abc"}')])
    assert "  cut off, and perhaps paid for: x, attempt 1, token abc" in call("plan", place).out.splitlines()
    (attempt,) = call("plan", place, "--json").json["uncertain"]
    assert (attempt["key"], attempt["attempt"], attempt["token"]) == ("x", 1, "abc")


def test_wrong_calls_are_refused(ingest: str, two_runs: str) -> None:
    """A list that is not there, a run that has to be chosen, an option that belongs to a list."""
    assert call("plan", ingest, "-a", "absent.txt").code == 2
    assert call("plan", ingest, "--csv").code == 2
    assert call("plan", two_runs).code == 2
    assert call("plan", "absent.jsonl").code == 1
