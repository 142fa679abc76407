"""Print long rows into one buffered file, and skip the papers that are in it."""

import csv
import os
import time

done = set()
if os.path.exists("abstracts.csv"):
    with open("abstracts.csv") as file:
        done = {row[0] for row in csv.reader(file) if row}

with open("abstracts.csv", "a") as file:
    for number in range(12):
        key = f"paper-{number}"
        if key not in done:
            time.sleep(0.004)  # fetch it
            print(key, "abstract " * 600, sep=",", file=file)
