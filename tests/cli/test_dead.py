from __future__ import annotations

import re
from datetime import datetime, timezone

import leftoff
from leftoff.journal.entry import Draft
from tests.cli.conftest import call


def test_each_dead_letter_is_shown_with_its_error(two_runs: str) -> None:
    """A dead letter is shown with its key, its run, its tries and its error, oldest first."""
    ended = call("dead", two_runs)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [lines[0], lines[2], lines[3], lines[5]] == [
        "b",
        "  ValueError: b is no good",
        "d",
        "  ValueError: d is no good",
    ]
    assert lines[1].startswith("  ingest, ")
    assert re.search("Z, raised 1 time, by version [0-9a-f]{12}$", lines[1])
    assert "Traceback" not in ended.out


def test_the_traceback_is_shown_when_asked_for(ingest: str) -> None:
    """-v shows where it was raised."""
    ended = call("dead", ingest, "-v")
    assert "    Traceback (most recent call last):\n" in ended.out
    assert "refuse_two" in ended.out


def test_json_has_everything(ingest: str) -> None:
    """--json prints one object a dead letter, its traceback whole and its time in UTC."""
    first, second = call("dead", ingest, "--json").json_lines
    assert (first["run"], first["key"], first["errors"], first["crashes"]) == ("ingest", "b", 1, 0)
    assert (first["error"]["type"], first["error"]["message"]) == ("ValueError", "b is no good")
    assert "refuse_two" in first["error"]["traceback"]
    age = datetime.now(timezone.utc) - datetime.fromisoformat(first["at"].replace("Z", "+00:00"))
    assert 0 <= age.total_seconds() < 600
    assert second["key"] == "d"


def test_an_item_that_ended_its_process_says_so(place: str) -> None:
    """What the process did not survive is counted apart from what raised."""
    with leftoff.open(place) as journal:
        owner = journal.run("ingest").own()
        value = '{"tries":{"errors":0,"crashes":5},"error":{"type":"ProcessEnded","message":"five times"}}'
        owner.commit([Draft("dead", "poison", value)])
    assert "the process ended under it 5 times\n  ProcessEnded: five times" in call("dead", place).out


def test_only_what_is_dead_now_is_listed(ingest: str) -> None:
    """A dead letter that was retried is none any more; one that died again is listed once, with its newest error."""
    call("retry", ingest, "b")
    with leftoff.open(ingest) as journal:
        list(journal.run("ingest").map(int, "abcde", attempts=1, progress=False))
    letters = call("dead", ingest, "--json").json_lines
    assert [letter["key"] for letter in letters] == ["d", "b"]
    assert "invalid literal" in letters[1]["error"]["message"]


def test_no_dead_letters_is_said_on_stderr(two_runs: str) -> None:
    """Nothing stands on stdout where there is nothing to list."""
    ended = call("dead", two_runs, "--run", "clean")
    assert (ended.code, ended.out, ended.err) == (0, "", "no dead letters\n")
