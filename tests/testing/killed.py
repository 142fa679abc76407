"""Programs that the fixture `kill_and_resume` kills: a sound one, and naive ones with the faults that are usual."""

import json
import time
from pathlib import Path

import leftoff
from leftoff.testing.kills import Ledger

WORK = 0.01  # seconds: so that nearly all kills fall into the work


def sound(count):
    with leftoff.open("work.db") as journal:
        run = journal.run("work")
        for key in run.each(range(count), progress=False):
            run.connection.execute("CREATE TABLE IF NOT EXISTS made (key INTEGER)")
            run.connection.execute("INSERT INTO made VALUES (?)", (key,))
            time.sleep(WORK)


def begins_anew():
    ledger = Ledger("ledger")
    for key in range(10):
        ledger.executed(key)
        time.sleep(WORK)
        ledger.acknowledged(key)


def marks_first():
    mark, out = Path("mark"), Path("out")
    begun = int(mark.read_text()) if mark.exists() else 0
    for key in range(begun, 10):
        mark.write_text(str(key + 1))
        time.sleep(WORK)
        with out.open("a") as file:
            file.write(f"{key}\n")


def marks_last():
    mark, out = Path("mark"), Path("out")
    begun = int(mark.read_text()) if mark.exists() else 0
    for key in range(begun, 10):
        with out.open("a") as file:
            file.write(f"{key}\n")
        time.sleep(WORK)
        mark.write_text(str(key + 1))


def reads_ahead():
    for key in list(leftoff.each(range(10), "work.jsonl", run="work", progress=False)):
        time.sleep(WORK)
        Path(f"{key}.txt").write_text("made")


def saves_halfway():
    place = Path("state.json")
    state = json.loads(place.read_text()) if place.exists() else []
    for key in range(len(state), 10):
        state.append(key)
        text = json.dumps(state)
        with place.open("w") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            time.sleep(WORK)
            file.write(text[len(text) // 2 :])


def works_by_twos():
    for batch in leftoff.batches(range(10), "work.jsonl", size=2, run="work", progress=False):
        time.sleep(WORK * len(batch))


def fails():
    raise ValueError("as it always does")


def nothing():
    pass
