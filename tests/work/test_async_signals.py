"""Ctrl-C and SIGTERM in an asynchronous program: what is in hand is finished, and where nothing is it ends at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

import leftoff

STOPS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
CAUSES = {130: "Ctrl-C", 75: "SIGTERM"}


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.work.awaiting", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    )


def wait_for(program, text):
    for line in program.stdout:
        if line.startswith(text):
            return
    raise AssertionError(program.communicate())


def ended(program, code):
    _, err = program.communicate(timeout=60)
    assert program.returncode == code, err
    assert "Traceback" not in err
    assert f"r: stopped by {CAUSES[code]}; everything finished is kept: run the same again to go on\n" in err
    return err


def fates():
    with leftoff.open("p.jsonl") as journal:
        return set(journal.run("r").keys("done")), journal.run("r").store.open_items("r")


@STOPS
@pytest.mark.parametrize("loop", ["aeach", "amap", "rated"])
def test_with_nothing_in_hand_a_signal_ends_it_at_once(loop, number, code):
    """Waiting for the input, or for the rate: the three items, or the one that may start, are done."""
    program = start(loop, "feed", "0")
    wait_for(program, "waiting")
    if loop == "amap":
        wait_for(program, "done 2")
    while loop == "rated" and fates()[0] != {"0"}:  # the first item's body has to come back
        time.sleep(0.01)
    program.send_signal(number)
    err = ended(program, code)
    assert loop == "rated" or "finishing" not in err  # the first item's commit may just be coming back
    assert fates() == ({"0"} if loop == "rated" else {"0", "1", "2"}, {})


@STOPS
@pytest.mark.parametrize(("loop", "hand"), [("aeach", "0"), ("amap", "2 items")])
def test_what_is_in_hand_is_finished(loop, hand, number, code):
    """One item, or the two in flight; then no other is begun."""
    program = start(loop, "list", "1.0")
    wait_for(program, "begun 1" if loop == "amap" else "begun 0")
    program.send_signal(number)
    assert f"finishing {hand}; again to stop now" in ended(program, code)
    assert fates() == ({"0", "1"} if loop == "amap" else {"0"}, {})


@pytest.mark.parametrize("loop", ["aeach", "amap"])
def test_a_second_ctrl_c_stops_now(loop):
    """Items that would have taken an hour are given back."""
    program = start(loop, "list", "3600")
    wait_for(program, "begun 1" if loop == "amap" else "begun 0")
    program.send_signal(signal.SIGINT)
    assert "finishing" in program.stderr.readline()
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=60)
    assert program.returncode == 130
    assert fates() == (set(), {})
