"""The programs that are killed: an adoption, and the loop that goes on from it."""

from pathlib import Path

import leftoff
from leftoff.adopt import adopt, keys_of_lines, take_over
from leftoff.testing.kills import Ledger


def take(place, source, ledger):
    """Adopt a list of keys in commits of 40, and say how many there were."""
    take_over._CHUNK = 40
    note = Ledger(ledger)
    note.note("began", "")
    adopted = adopt(place, keys_of_lines(source), run="ingest", progress=False)
    print(adopted.adopted, adopted.known, flush=True)


def work(place, items, ledger):
    """Do the rest of a list with `leftoff.map`, a line in the ledger for each item that is begun."""

    def append(item):
        with Path(ledger).open("a", encoding="utf-8") as file:
            file.write(f"{item}\n")

    for _ in leftoff.map(append, items, place, run="each", workers=2, progress=False):
        pass
