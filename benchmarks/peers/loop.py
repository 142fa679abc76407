"""What all programs here share: the items, the work on one, and what is told of it from outside.

A program gets a folder of its own. ``items.json`` in it lists the items; ``executed.txt`` gets a line, the time and the
item, by one `write` when work on an item begins; ``results.json`` appears when the program has come to its end.
"""

import json
import os
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
PAUSE = float(os.environ.get("PAUSE", "0"))  # seconds that the work on an item takes
_ledger = os.open(FOLDER / "executed.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def items():
    """Return the items."""
    return json.loads((FOLDER / "items.json").read_text())


def work(item):
    """Work on an item: its result depends on nothing else."""
    os.write(_ledger, f"{time.monotonic():.6f} {item}\n".encode())
    if PAUSE:
        time.sleep(PAUSE)
    return int(item.rpartition("-")[2]) ** 2


def finish(results):
    """Leave the results, by item."""
    temporary = FOLDER / "results.tmp"
    temporary.write_text(json.dumps(results))
    temporary.rename(FOLDER / "results.json")
