"""The program whose power is cut while it works: one loop over items that it has always had.

    cut.py FOLDER SUFFIX DURABILITY SEED ITEMS

With the suffix ``naive`` it is what many write themselves: a line appended for each item, and never synced.
"""

import random
import sys
from pathlib import Path

import leftoff
from leftoff.testing.power import tell
from tests.crash import recorded


def main(folder, suffix, durability, seed, items):
    """Go on where the last program was cut off."""
    keys = [f"item-{number}" for number in range(int(items))]
    tell("started", seed)
    if suffix == "naive":
        naive(Path(folder, "work.txt"), keys)
        return
    rng = random.Random(int(seed))
    plan = recorded.Plan(f"{folder}/{recorded.PLACES[suffix]}", durability, int(seed), 0, rng)
    plan.items, plan.seconds = keys, 0.001
    with leftoff.open(plan.place, durability=durability) as journal:
        loop = rng.choice((recorded.each, recorded.batches, recorded.in_map))
        loop(journal.run(recorded.RUN), plan)
        if durability == "power":
            recorded.replace(folder, 0)


def naive(path, keys):
    done = set(path.read_text().splitlines()) if path.exists() else set()
    for key in keys:
        if key not in done:
            tell("executed", key)
            with path.open("a") as file:
                file.write(f"{key}\n")
            tell("acknowledged", key)


if __name__ == "__main__":
    main(*sys.argv[1:])
