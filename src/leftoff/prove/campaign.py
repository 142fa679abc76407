"""The whole proof: two uninterrupted runs, then journeys until a fault is found or there were kills enough."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from leftoff.errors import UsageError
from leftoff.prove import trace
from leftoff.prove.changes import changes, outside
from leftoff.prove.compare import Difference, Reference, Rules
from leftoff.prove.folder import changed, refuse_odd_folder, stamps
from leftoff.prove.instants import Plan
from leftoff.prove.journeys import STDOUT, Program
from leftoff.prove.power import not_durable
from leftoff.prove.proof import Failure, Proof
from leftoff.work.progress import Progress
from leftoff.work.signals import StopGuard

_CLEAN: Final = "clean"
_AGAIN: Final = "again"
_KILLED: Final = "killed"
_PAUSE: Final = 1.0  # seconds; what is shorter may be the machine's


def prove(
    command: Sequence[str],
    *,
    folder: str | os.PathLike[str] = ".",
    compare: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: Sequence[str] = (),
    any_order: bool = False,
    repeats: int = 0,
    ledger: str | None = None,
    workers: int = 1,
    kills: int = 40,
    kills_per_run: int = 2,
    seed: int | None = None,
    only: int | None = None,
    strace: bool = True,
    power: bool = True,
    limit: float = 600.0,
    keep: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Proof:
    """Kill a program again and again, start it again, and compare what it leaves with a run that nobody interrupted.

    command: the program and its arguments, started in a fresh copy of ``folder`` each time; compare: patterns of
    the files to compare, none for all that it changes; exclude: patterns of files to leave out; ignore: COLUMN,
    TABLE.COLUMN or TABLE.* of SQLite to leave out, ``step`` or ``cursor`` of a journal; any_order: lines may come
    in another order; repeats: how many repeated lines or rows a kill may cost; ledger: a file of the program's with
    one line for each begin of work on an item, ``"-"`` for its standard output; workers: how many lines of it a
    kill may repeat; kills: how many in all; kills_per_run: so many in one journey at most; seed: chooses the
    instants, and makes the same again; only: the number of the one journey to make; strace: aim kills between two
    calls where strace is there; power: look for missing syncs, which takes strace; limit: seconds after which an
    uninterrupted run counts as endless; keep: a new folder for the copies, else a temporary one that stays only if
    a fault was found; progress: show how far it is.

    Raises UsageError for a program that cannot be judged: one that is not there, fails or does not end without a kill,
    changes nothing, changes ``folder`` itself, or leaves something else in its second run.
    """
    ledger = ledger if ledger in (None, STDOUT) else os.path.normpath(ledger)
    _check(
        command, limit, ledger, kills=kills, kills_per_run=kills_per_run, repeats=repeats, workers=workers, only=only
    )
    folder = Path(folder).resolve()
    refuse_odd_folder(folder)
    scratch = _scratch(folder, keep)
    campaign = _Campaign(
        Program(command, folder, scratch, ledger, limit),
        Rules(compare, (*exclude, *([] if ledger in (None, STDOUT) else [ledger])), ignore, any_order),
        Proof(random.SystemRandom().randrange(10**6) if seed is None else seed, repeats, workers),
    )
    journeys = range(only, only + 1) if only else range(1, 2 * kills + 1)
    try:
        with StopGuard():
            campaign.prepare(strace=strace, power=power)
            campaign.go(journeys, kills, kills_per_run, progress=progress)
    finally:
        if keep is None and campaign.proof.failure is None:
            shutil.rmtree(scratch, ignore_errors=True)
    return campaign.proof


def _check(command: Sequence[str], limit: float, ledger: str | None, **counts: int | None) -> None:
    if not command:
        raise UsageError("there is no command to prove: leftoff prove -- python my_script.py")
    if isinstance(command, str):
        raise UsageError(f"command={command!r}: write a list of the program and its arguments")
    for name, value in counts.items():
        least = 0 if name == "repeats" else 1
        if value is not None and value < least:
            raise UsageError(f"{name}={value}: at least {least}")
    if not limit > 0:
        raise UsageError(f"limit={limit}: seconds, more than 0")
    if ledger is not None and (Path(ledger).is_absolute() or ".." in Path(ledger).parts):
        raise UsageError(f"ledger={ledger!r}: name a file inside the working folder, or each run adds to the same one")


def _scratch(folder: Path, keep: str | os.PathLike[str] | None) -> Path:
    """Return an empty folder for the copies, outside of the one that is copied."""
    scratch = Path(tempfile.gettempdir() if keep is None else keep).resolve()
    if scratch == folder or folder in scratch.parents:
        raise UsageError(f"{scratch} lies inside {folder}, which is copied into it: name another with --keep")
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="leftoff-prove-", dir=scratch))
    if scratch.exists() and (not scratch.is_dir() or any(scratch.iterdir())):
        raise UsageError(f"{scratch} is there already and not empty; name a new folder to keep the copies in")
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    return scratch


class _Campaign:
    """Be one proof under way."""

    def __init__(self, program: Program, rules: Rules, proof: Proof) -> None:
        self.program, self.rules, self.proof = program, rules, proof

    def prepare(self, *, strace: bool, power: bool) -> None:
        """Run the program twice uninterrupted, and learn from it what there is to compare and when to kill."""
        before = stamps(self.program.folder)
        self.clean = self.program.clean(_CLEAN)
        self._refuse_shared(before)
        place = self.program.place(_CLEAN)
        self.reference = Reference(place, self.clean.files, self.rules)
        if not len(self.reference):
            what = "no file fits --compare" if self.rules.compare else "the program changed no file of its folder"
            raise UsageError(f"there is nothing to compare: {what} ({self.program.folder}); name files with --compare")
        self._warn_of_pause()
        self.begun = self.program.begun(_CLEAN)
        if self.program.ledger is not None and not self.begun:
            raise UsageError(f"the ledger {self.program.ledger} is empty after an uninterrupted run")
        self.proof.compared, self.proof.records = list(self.reference.kinds), len(self.reference)
        self.proof.strace = trace.available() if strace else "strace was not to be used"
        self._second_run(power=power)

    def _refuse_shared(self, before: dict[str, tuple[int, int, int]]) -> None:
        if touched := changed(before, stamps(self.program.folder)):
            raise UsageError(
                f"{self.program.folder / touched[0]} changed while the program ran in a copy of that folder: it has to"
                " name its files relative to the folder it is started in, or every run would see those of the others,"
                " and nothing else may write there meanwhile"
            )

    def _second_run(self, *, power: bool) -> None:
        """Run it once more, traced if that can be, and refuse a program whose two runs differ."""
        path = self.program.scratch / "trace"
        traced = self.proof.strace is None
        again = self.program.clean(_AGAIN, traced=path if traced else None)
        place = self.program.place(_AGAIN)
        found = self.reference.compare(place)
        if found.is_fault(0):
            raise UsageError(
                "two uninterrupted runs left different things, so nothing can be said about a killed one:"
                f" {'; '.join(found.examples[:3])}. Leave the file out with --exclude, a column with --ignore, or say"
                " --any-order"
            )
        made = []
        if traced:
            calls = trace.read(path, place)
            made = changes(calls, str(place), again.stamps)
            self._warn(outside(calls, str(place)))
            if power:
                self.proof.not_durable = not_durable(made, self.reference.files)
            path.unlink()
        shutil.rmtree(place)
        self.plan = Plan(self.proof.seed, self.clean.seconds, self.clean.seen, made)

    def _warn_of_pause(self) -> None:
        """Say what a kill may cost where a result that is right hides it."""
        instants = [0.0, *self.clean.seen, self.clean.seconds]
        pause = max(late - early for early, late in pairwise(instants))
        if self.program.ledger is None and pause >= max(_PAUSE, self.clean.seconds / 2):
            self.proof.warnings.append(
                f"it changed nothing for {pause:.1f} s of {self.clean.seconds:.1f} s: unless that is its start or"
                " one item, a kill there costs more than the item in hand; --ledger finds out"
            )

    def _warn(self, paths: Sequence[str]) -> None:
        own = f"{self.program.scratch}{os.sep}"
        foreign = [path for path in paths if not path.startswith(own)]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            self.proof.warnings.append(
                f"the program wrote {foreign[0]}{more}, outside its folder: that is neither reset between journeys nor"
                " compared"
            )

    def go(self, journeys: range, kills: int, kills_per_run: int, *, progress: bool) -> None:
        """Make journeys until a fault is found or there were kills enough."""
        bar = Progress("prove", kills, enabled=progress)
        for number in journeys:
            if self.proof.kills >= kills or self.proof.failure is not None:
                break
            if (now := time.time()) >= bar.due:
                bar.show(now, self.proof.kills)
            self._journey(number, min(kills_per_run, kills - self.proof.kills))
        bar.close(self.proof.kills)

    def _journey(self, number: int, kills: int) -> None:
        journey = self.program.journey(_KILLED, self.plan.journey(number, kills), self.clean.seconds)
        hit = len(journey.kills)
        place = self.program.place(_KILLED)
        found = Difference() if journey.wrong else self.reference.compare(place)
        self.proof.count(found, hit)
        what = [journey.wrong] if journey.wrong else list(found.examples)
        if not hit:
            what.append("no kill came before it ended: it does this by itself, once in a while")
        wrong = bool(journey.wrong) or found.is_fault(self.proof.repeats * hit)
        if self.program.ledger is not None and not journey.wrong:
            again = sum((self.program.begun(_KILLED) - self.begun).values())
            self.proof.begun_again = (self.proof.begun_again or 0) + again
            if again > self.proof.workers * hit:
                wrong = True
                what.append(f"{hit} kills made work begin again {again} times: they cost more than the item in hand")
        if wrong:
            where = [kill.where for kill in journey.kills]
            clean = str(self.program.place(_CLEAN))
            self.proof.failure = Failure(number, where, what, clean, str(place))
