"""Keep the number of the next paper in a file."""

import os
import time

start = 0
if os.path.exists("counter.txt"):
    with open("counter.txt") as file:
        start = int(file.read())

for number in range(start, 12):
    with open("counter.txt", "w") as file:
        file.write(str(number + 1))
    time.sleep(0.004)  # fetch it
    with open("results.csv", "a") as file:
        file.write(f"paper-{number},{number * number}\n")
