"""The switch that sends a signal before a numbered line."""

import random
import signal
from pathlib import Path

import pytest

from leftoff.testing.kills import ForkServer, choose
from tests.testing import lined

FILE = lined.__file__


@pytest.fixture(scope="module")
def forks():
    with ForkServer(Path(FILE)) as forks:
        yield forks


@pytest.mark.parametrize("function", ["straight", "in_a_thread"])
def test_it_dies_right_before_a_line(forks, tmp_path, function):
    """What stands above the line has happened, the line itself has not; so too in another thread."""
    out, record = tmp_path / "out", tmp_path / "record"
    end = forks.run(function, str(out), record=record, inside=[FILE])
    places = record.read_text().splitlines()
    assert (end.code, end.lines) == (0, len(places))
    assert all(place.startswith(f"{FILE}:") for place in places)
    begins = [number for number, place in enumerate(places) if place in straight_lines()]
    assert len(begins) == 3
    for number, text in zip(begins, [None, "one", "two"], strict=True):
        out.unlink(missing_ok=True)
        end = forks.run(function, str(out), line=number, inside=[FILE])
        assert end.killed
        assert (out.read_text() if out.exists() else None) == text


def straight_lines():
    begin = lined.straight.__code__.co_firstlineno
    return [f"{FILE}:{begin + offset}" for offset in (1, 2, 3)]


def test_a_line_that_runs_again_has_a_number_for_each_time(forks, tmp_path):
    """A loop's body is counted as often as it runs, and lines of other files never are."""
    record = tmp_path / "record"
    forks.run("again", str(tmp_path / "out"), record=record, inside=[FILE])
    places = record.read_text().splitlines()
    writes = [
        number for number, place in enumerate(places) if place.endswith(f":{lined.again.__code__.co_firstlineno + 3}")
    ]
    assert len(writes) == 3
    (tmp_path / "out").unlink()
    assert forks.run("again", str(tmp_path / "out"), line=writes[2], inside=[FILE]).killed
    assert (tmp_path / "out").read_text() == "01"
    assert forks.run("again", str(tmp_path / "out"), record=tmp_path / "none", inside=["/nowhere"]).lines == 0


def test_another_signal_may_be_sent(forks, tmp_path):
    """Before the line it gets the signal that was asked for."""
    end = forks.run("straight", str(tmp_path / "out"), line=1, sent=signal.SIGTERM, inside=[FILE])
    assert end.code == -signal.SIGTERM


def test_every_place_is_chosen_before_any_twice():
    """As far as the count goes, each line is among the chosen, then each that runs twice a second time."""
    rng = random.Random(7)
    places = ["a"] * 50 + ["b", "c", "b"]
    assert {places[number] for number in choose(places, 3, rng)} == {"a", "b", "c"}
    assert sorted(places[number] for number in choose(places, 5, rng)) == ["a", "a", "b", "b", "c"]
    assert choose(places, 99, rng) == list(range(53))
