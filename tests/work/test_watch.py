from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import leftoff
from leftoff.work.watch import Pace, Watch, watch
from tests.contract.stores import FILES


@pytest.fixture(params=[*FILES, "work/", "postgresql:///"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_rate_is_that_of_what_was_watched() -> None:
    """Items that were done before the first look are no part of it, nor is what was longer ago than five minutes."""
    watching = Watch(total=20)
    assert watching.pace("r", 4, None, 1000.0) == Pace(None, 0.0, 16)
    assert watching.pace("r", 4, None, 1010.0) == Pace(0.0, 10.0, 16)
    assert watching.pace("r", 4, None, 1010.0).time_left is None
    assert watching.pace("other", 4, None, 1010.0).rate is None
    pace = watching.pace("r", 10, None, 1020.0)
    assert pace == Pace(0.3, 20.0, 10)
    assert pace.time_left == pytest.approx(10 / 0.3)
    assert watching.pace("r", 12, None, 1400.0) == Pace(2 / 380, 380.0, 8)  # one look from before, to measure from
    assert watching.pace("r", 25, None, 1410.0).left == 0


def test_what_is_taken_back_begins_a_new_measurement() -> None:
    """After a forget there are fewer done than before: that is no negative rate."""
    watching = Watch()
    watching.pace("r", 4, None, 0.0)
    assert watching.pace("r", 2, None, 1.0) == Pace(None, 0.0, None)
    assert watching.pace("r", 4, None, 2.0) == Pace(2.0, 1.0, None)


def test_what_is_missing_is_known_after_a_whole_walk() -> None:
    """Where an input was walked to its end, that is believed rather than the number that somebody gave."""
    assert Watch(total=20).pace("r", 4, 0, 0.0).left == 0


def test_a_watch_sees_new_runs_and_ends_with_the_journal(place: str) -> None:
    """Each look is at what the journal holds by then; a deleted journal is an error, not a silence.

    A tenth of the time at most goes into looking.
    """

    def write(run: str, *items: str) -> None:
        with leftoff.open(place) as journal:
            for item in journal.run(run).each([*items, "rest"], progress=False):
                if item == "rest":
                    break

    waited: list[float] = []
    write("ingest", "a")
    with leftoff.open(place, create=False) as journal:
        looks = watch(journal, pause=waited.append, clock=iter(range(100)).__next__)
        seen, paces = next(looks)
        assert ([one.report.done for one in seen.runs], paces) == ([1], {"ingest": Pace(None, 0, None)})
        write("ingest", "a", "b", "c")
        write("other", "x", "y")
        seen, paces = next(looks)
        assert [one.report.run for one in seen.runs] == ["ingest", "other"]
        assert paces == {"ingest": Pace(1.0, 2, None), "other": Pace(None, 0, None)}
        assert waited == [9.0]
        if "://" in place:
            return
        shutil.rmtree(place) if place.endswith("/") else Path(place).unlink()
        with pytest.raises(leftoff.JournalError):
            next(looks)
