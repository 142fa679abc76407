"""Note the paper as done, then fetch it and write its line."""

import os
import time

done = set()
if os.path.exists("done.txt"):
    with open("done.txt") as file:
        done = set(file.read().split())

for number in range(12):
    key = f"paper-{number}"
    if key in done:
        continue
    with open("done.txt", "a") as file:
        file.write(f"{key}\n")
    time.sleep(0.004)  # fetch it
    with open("results.csv", "a") as file:
        file.write(f"{key},{number * number}\n")
