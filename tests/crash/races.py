"""Two processes that want the same run at the same moment, again and again (P7)."""

import os
import random
import signal
import socket
import traceback

import leftoff
import leftoff.journal.postgres  # else each fork would import these anew
import leftoff.journal.sqlite
from leftoff.testing.kills import Ledger, count, read_ledger

ITEMS = ["a", "b"]


def races(plan):
    """Run the races of a plan, and end with an error at the first that is not as it must be."""
    rng = random.Random(plan["seed"])
    for number in range(plan["races"]):
        race(plan, number, rng, kill=number % 4 == 0)
    os._exit(0)


def race(plan, number, rng, *, kill):
    """Let two processes want one run; one gets it, the other is told who has it, and gets it when that one is gone."""
    place = plan["place"] if "://" in plan["place"] else f"{number}-{plan['place']}"
    name, ledger = f"race-{number}", f"{number}.ledger"
    if rng.random() < 0.5:  # else the journal is created in the race, too
        prepare(place)
    racers = [Racer(place, name, ledger, plan["durability"]) for _ in range(2)]
    rng.shuffle(racers)
    for racer in racers:
        racer.say("go")
    answers = [racer.hear() for racer in racers]
    owners = [racer for racer, answer in zip(racers, answers, strict=True) if answer == "own"]
    assert len(owners) == 1, answers
    (owner,) = owners
    (other,) = (racer for racer in racers if racer is not owner)
    (refusal,) = (answer for answer in answers if answer != "own")
    assert f"process {owner.pid} on {socket.gethostname()} since 20" in refusal, refusal
    if kill:
        os.kill(owner.pid, signal.SIGKILL)
        os.waitpid(owner.pid, 0)  # from here on it is dead, and its hold is gone
        other.say("go")
        assert other.hear() == "own", "a dead owner's hold is not gone"
        other.say("on")
    else:
        owner.say("on")
        assert owner.hear() == "end"
        owner.leave()
        other.say("go")
    assert other.hear() == "end"
    other.leave()
    counted = count(read_ledger(ledger))
    assert counted.redone == []
    assert counted.repeats == (1 if kill else 0), counted
    with leftoff.open(place) as journal:
        assert list(journal.run(name).keys("done")) == ITEMS
        assert journal.verify() == []


def prepare(place):
    with leftoff.open(place, durability="process") as journal:
        journal.run("earlier").step("begin", lambda: 1)


class Racer:
    """Be a process that waits for the word to take the run."""

    def __init__(self, place, name, ledger, durability):
        mine, its = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            mine.close()
            try:
                contend(its.makefile("rw"), place, name, Ledger(ledger), durability)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        its.close()
        self._line = mine.makefile("rw")
        assert self.hear() == "ready"

    def say(self, word):
        print(word, file=self._line, flush=True)

    def hear(self):
        return self._line.readline().strip()

    def leave(self):
        os.waitpid(self.pid, 0)


def contend(line, place, name, ledger, durability):
    """Try to walk the run's items at each word, until it was walked."""

    def say(word):
        print(word, file=line, flush=True)

    with leftoff.open(place, durability=durability) as journal:
        say("ready")
        for _ in line:
            try:
                for key in journal.run(name).each(ITEMS, progress=False):
                    ledger.executed(key)
                    if key == ITEMS[0]:
                        say("own")
                        line.readline()
                    ledger.note("worked", key)
            except leftoff.JournalBusy as error:
                say(str(error).replace("\n", " "))
                continue
            say("end")
            return
