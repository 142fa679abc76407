"""One file a paper, each replaced whole and durably, in a loop of leftoff's."""

import time
from pathlib import Path

import leftoff

Path("papers").mkdir(exist_ok=True)
for number in leftoff.each(range(10), "progress.jsonl", progress=False):
    time.sleep(0.004)  # fetch it
    with leftoff.replacing(f"papers/{number}.txt") as file:
        file.write(f"paper {number}\n{number * number} citations\n")
