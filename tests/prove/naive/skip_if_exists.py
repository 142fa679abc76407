"""One file a paper, skipped where it is there, whole or half."""

import os
import time

os.makedirs("papers", exist_ok=True)
for number in range(10):
    name = f"papers/{number}.txt"
    if os.path.exists(name):
        continue
    with open(name, "w") as file:
        file.write("title\n")
        file.flush()
        time.sleep(0.004)  # fetch the rest
        file.write("abstract\n")
