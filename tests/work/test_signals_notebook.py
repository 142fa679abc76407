"""A stop in a notebook: the cell ends, the kernel lives."""

from __future__ import annotations

import pytest

from tests.work.notebooks import errors, run, text

LOOP = """
import signal
from leftoff.work.signals import StopGuard

done = []

def loop(items, interrupted_at=None):
    with StopGuard() as guard:
        for item in items:
            guard.check()
            guard.hand = f"item {item}"
            yield item
            if item == interrupted_at:
                print("ready", flush=True)
                while guard.asked is None:
                    pass
            done.append(item)
            guard.hand = None
"""
INTERRUPTED = "for item in loop(range(5), interrupted_at=2): pass"
WAITING = """
with StopGuard() as guard:
    print("ready", flush=True)
    guard.sleep(3600.0)
"""


def test_an_interrupted_cell_ends_and_the_kernel_lives():
    """The item in hand is finished, the cell ends as an interrupted cell does, and run again it goes on."""
    handler = "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, done)"
    terminated = "with StopGuard(): print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
    outputs = run(
        LOOP, INTERRUPTED, handler, "for item in loop(range(3, 5)): pass", handler, terminated, WAITING, handler
    )
    assert errors(outputs[1]) == ["KeyboardInterrupt"]
    assert text(outputs[1], "stderr") == "finishing item 2; again to stop now\n"
    assert text(outputs[2]) == "True [0, 1, 2]\n"
    assert outputs[3] == []
    assert text(outputs[4]) == "True [0, 1, 2, 3, 4]\n"
    assert text(outputs[5]) == "True\n"
    assert errors(outputs[6]) == ["KeyboardInterrupt"]
    assert text(outputs[7]) == "True [0, 1, 2, 3, 4]\n"


@pytest.mark.parametrize("left_over", ["items = loop(range(5)); next(items)", "for item in loop(range(5)): 1 / 0"])
def test_a_loop_left_over_by_a_cell_does_not_touch_the_next(left_over):
    """A loop suspended with an item in hand neither swallows nor answers the interrupt of a later cell."""
    outputs = run(LOOP, left_over, "print('ready', flush=True)\nwhile True: pass", INTERRUPTED, "print(done)")
    assert errors(outputs[2]) == ["KeyboardInterrupt"]
    assert text(outputs[2], "stderr") == ""
    assert errors(outputs[3]) == ["KeyboardInterrupt"]
    assert text(outputs[3], "stderr") == "finishing item 2; again to stop now\n"
    assert text(outputs[4]) == "[0, 1, 2]\n"
