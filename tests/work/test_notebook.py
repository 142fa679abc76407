"""Loops in a notebook: a cell that is run again, a kernel that is interrupted."""

from __future__ import annotations

import pytest

import leftoff
from tests.contract.stores import on_files
from tests.work.notebooks import errors, run, text

SETUP = """
import leftoff, signal
from leftoff.work.signals import _handlers
fail = True
"""
LOOP = """
for item in leftoff.each(range(4), PLACE, durability="process", progress=False):
    if item == 2 and fail:
        raise ValueError(item)
    print(item)
"""
INTERRUPTED = """
for item in leftoff.each(range(6), PLACE, run="named", durability="process", progress=False):
    if item == 2 and not _handlers.guards[-1].asked and fail:
        print("ready", flush=True)
        while _handlers.guards[-1].asked is None:
            pass
    print(item)
"""


@on_files
def test_a_cell_is_run_again_and_a_kernel_is_interrupted(place):
    """A re-run cell goes on where its last run failed; an interrupt finishes the item, and the kernel lives."""
    again = [LOOP, "fail = False", LOOP, LOOP, "fail = True", INTERRUPTED, "fail = False", INTERRUPTED]
    cells = [cell.replace("PLACE", repr(place)) for cell in again]
    outputs = run(SETUP, *cells, "print('alive')")
    assert errors(outputs[1]) == ["ValueError"]
    assert text(outputs[1]) == "0\n1\n"
    assert errors(outputs[3]) == []
    assert text(outputs[3]) == "2\n3\n"
    assert text(outputs[4]) == ""
    assert "all 4 items were done before" in text(outputs[4], "stderr")
    assert errors(outputs[6]) == ["KeyboardInterrupt"]
    assert "finishing 2; again to stop now" in text(outputs[6], "stderr")
    assert text(outputs[6]) == "0\n1\nready\n2\n"
    assert text(outputs[8]) == "3\n4\n5\n"
    assert text(outputs[9]) == "alive\n"
    with leftoff.open(place) as journal:
        kinds = [e.kind for e in journal.entries("notebook") if e.key == "2"]
        assert kinds == ["started", "failed", "started", "done"], (
            "an exception that a cell showed is an error of its item"
        )
        assert [e.kind for e in journal.entries("named") if e.key == "2"] == ["started", "done"]


@pytest.mark.parametrize("place", ["run.jsonl"])
def test_two_cells_with_one_default_name_are_refused(place):
    """Another cell's loop is another loop: it is told to take a name."""
    first = f"import leftoff\nfor item in leftoff.each([1], {place!r}): print(item)"
    second = f"for other in leftoff.each([1, 2], {place!r}):\n    print(other)"
    outputs = run(first, second, first)
    assert text(outputs[0]) == "1\n"
    assert errors(outputs[1]) == ["RunInUse"]
    assert errors(outputs[2]) == []
