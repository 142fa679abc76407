"""Go on behind as many papers as the output has lines."""

import os
import time

lines = 0
if os.path.exists("results.csv"):
    with open("results.csv") as file:
        lines = sum(1 for _ in file)

with open("results.csv", "a") as file:
    for number in range(lines, 12):
        file.write(f"paper-{number},")
        file.flush()  # so that one sees in the file what is being fetched
        time.sleep(0.004)  # fetch it
        file.write(f"{number * number}\n")
        file.flush()
