"""Write long rows through one buffered file, and go on behind the last key in it."""

import csv
import os
import time

done = set()
if os.path.exists("abstracts.csv"):
    with open("abstracts.csv", newline="") as file:
        done = {row[0] for row in csv.reader(file)}

with open("abstracts.csv", "a", newline="") as file:
    writer = csv.writer(file)
    for number in range(12):
        key = f"paper-{number}"
        if key not in done:
            time.sleep(0.004)  # fetch it
            writer.writerow([key, "abstract " * 600])
