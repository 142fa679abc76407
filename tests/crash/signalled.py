"""A loop that is signalled at instants across its commits, in steps shorter than any of its calls."""

import os
import signal
import sys

import leftoff
import leftoff.journal.sqlite  # else each fork would import it anew
from leftoff.testing.kills import Ledger, count, read_ledger

ITEMS = ["a", "b", "c"]
GAP = 20e-6  # seconds between a signal and a second one


def sweep(plan):
    """Signal a process in a loop at each step; print how they ended, and end with an error where one is not sound."""
    codes = []
    for step in range(plan["steps"]):
        place, ledger = f"{step}-{plan['place']}", f"{step}.ledger"
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            walk(place, ledger, plan, step * plan["seconds"])
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        check(place, ledger, plan["signals"], codes[-1])
    print({code: codes.count(code) for code in sorted(set(codes))}, flush=True)
    os._exit(0)


def walk(place, path, plan, after):
    """Walk the items; from the first on, the signals are on their way."""
    ledger, left, code = Ledger(path), plan["signals"], 0

    def on_timer(_number, frame):
        nonlocal left
        left -= 1
        if left == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)

    signal.signal(signal.SIGALRM, on_timer)
    try:
        with leftoff.open(place, durability=plan["durability"]) as journal:
            for key in journal.run("work").each(ITEMS, progress=False):
                ledger.executed(key)
                if key == ITEMS[0]:
                    signal.setitimer(signal.ITIMER_REAL, after or 1e-6, GAP if left > 1 else 0)
    except leftoff.Stopped as stop:
        code = stop.code
    except KeyboardInterrupt:  # behind the loop, where Ctrl-C is Python's own again
        code = 2
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        os._exit(code)


def check(place, path, signals, code):
    """Hold the journal against the ledger, and walk what is left."""
    assert code in (0, 2, 130), code
    executed = list(count(read_ledger(path)).executed)
    with leftoff.open(place) as journal:
        assert journal.verify() == []
        run = journal.run("work")
        done = list(run.keys("done"))
        assert done == executed[: len(done)], (done, executed)
        in_hand = len(executed) - len(done)
        assert in_hand <= (signals > 1), (code, done, executed)  # the second one stops in the middle of an item
        again = list(run.each(ITEMS, progress=False))
        assert done + again == ITEMS, "what was done is skipped, and nothing else"
