"""Append a line a paper, and skip what has a line: nothing tells the disk to keep it."""

import os
import time

done = set()
if os.path.exists("results.csv"):
    with open("results.csv") as file:
        done = {line.split(",")[0] for line in file}

for number in range(12):
    key = f"paper-{number}"
    if key in done:
        continue
    time.sleep(0.004)  # fetch it
    with open("results.csv", "a") as file:
        file.write(f"{key},{number * number}\n")
