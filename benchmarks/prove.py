"""What `leftoff prove` costs a kill, and how many kills it takes to find what is wrong with a naive script.

``python benchmarks/prove.py [--rounds N] [--kills N]``. Kills aimed by strace stand beside kills by the clock, which is
what a loop of ``sleep`` and ``kill -9`` does, interleaved. Every figure is the median over rounds, with [min..max].
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from leftoff.prove import Proof, prove

SCRIPTS = Path(__file__).parents[1] / "tests" / "prove"
NEEDS_SYNCS = ("append_without_sync", "rename_without_sync")  # no kill shows what is wrong with these
OPTIONS = {"write_every_hundred": {"ledger": "-"}, "pool_with_done_list": {"any_order": True}}


def proof_of(path: Path, seed: int, kills: int, *, strace: bool) -> Proof:
    """Prove a script in an empty folder."""
    options = OPTIONS.get(path.stem, {})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "work")
        folder.mkdir()
        (folder / "script.py").write_text(path.read_text("utf-8"), "utf-8")
        return prove(
            [sys.executable, "script.py"], folder=folder, keep=Path(place, "kept"), kills=kills, seed=seed,
            strace=strace, power=False, progress=False, **options,
        )  # fmt: skip


def figure(numbers: list[float], unit: str = "") -> str:
    """Return a median with its spread."""
    return f"{statistics.median(numbers):,.3g}{unit} [{min(numbers):,.3g}..{max(numbers):,.3g}]"


def cost(rounds: int) -> None:
    """Print what a kill costs, in uninterrupted runs of the program."""
    path = SCRIPTS / "sound" / "by_hand.py"
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            subprocess.run([sys.executable, path], cwd=folder, check=True)
            raw = time.monotonic() - begun
        for strace, found in ratios.items():
            begun = time.monotonic()
            proof = proof_of(path, number, 20, strace=strace)
            found.append((time.monotonic() - begun) / proof.kills / raw)
    for strace, found in ratios.items():
        print(f"a kill {'aimed by strace' if strace else 'by the clock   '}  {figure(found)} runs of the program")


def kills_needed(rounds: int, most: int) -> None:
    """Print after how many kills each script was found out."""
    for path in sorted((SCRIPTS / "naive").glob("*.py")):
        if path.stem in NEEDS_SYNCS:
            continue
        words = []
        for strace in (True, False):
            proofs = [proof_of(path, number, most, strace=strace) for number in range(rounds)]
            found = [float(proof.kills) for proof in proofs if proof.failure is not None]
            words.append(f"{len(found)} of {rounds} found{f', after {figure(found)} kills' if found else ''}")
        print(f"{path.stem:22} strace: {words[0]:42} clock: {words[1]}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=40, help="so many at most, for each script and round")
    arguments = parser.parse_args()
    cost(arguments.rounds)
    kills_needed(arguments.rounds, arguments.kills)
