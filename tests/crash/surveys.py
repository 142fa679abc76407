"""Recordings of `recorded.py` by the dozen, and what is judged about each: done here, in processes of their own."""

import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from leftoff.testing.power import Findings, Judge, record, record_each, survey
from leftoff.testing.power_disk import MODES
from tests.crash import judges, recorded

ROOT = str(Path(recorded.__file__).parents[2])
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
JUDGES = {"power": judges.judge, "process": judges.judge_process}


class Task(NamedTuple):
    """Some workloads of one store, and how many disks of each are to be judged."""

    suffix: str
    durability: str
    seeds: tuple[int, ...]
    images: int
    modes: tuple[str, ...] = MODES
    judge: Judge | None = None
    lying: bool = False


def command(suffix, durability, places, without=""):
    """Return what runs `recorded.py` in some folders, each with its seed."""
    pairs = [text for folder, seed in places.items() for text in (str(folder), str(seed))]
    return [sys.executable, recorded.__file__, suffix, durability, without, *pairs]


def recording_of(folder, suffix, durability, seed, without="", **options):
    """Record one workload."""
    folder.mkdir()
    return record(command(suffix, durability, {folder: seed}, without), folder, environment=ENVIRONMENT, **options)


def judge_workloads(task):
    """Record a task's workloads, one after the other in one program, and return what is found about their disks."""
    judge = task.judge or JUDGES[task.durability]
    findings = Findings()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is recorded there is the same, without the wait
    with tempfile.TemporaryDirectory(prefix="leftoff-recorded-", dir=memory) as place:
        places = {Path(place, str(seed)): seed for seed in task.seeds}
        for folder in places:
            folder.mkdir()
        recordings = record_each(command(task.suffix, task.durability, places), list(places), environment=ENVIRONMENT)
        for recording, seed in zip(recordings, task.seeds, strict=True):
            asked = recording.lying() if task.lying else recording
            found = survey(asked, judge, images=task.images, seed=seed, modes=task.modes)
            wrong = tuple(bad._replace(what=f"{bad.what} [workload {seed}]") for bad in found.wrong)
            findings += Findings(found.seen, wrong)
    return findings
