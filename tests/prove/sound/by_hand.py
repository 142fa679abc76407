"""Append, synced, and cut off on the next start what a kill left half-written."""

import os
import time

with open("results.csv", "ab+") as file:
    file.seek(0)
    data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    file.truncate(len(whole))
    folder = os.open(".", os.O_RDONLY)
    os.fsync(folder)
    done = {line.split(b",")[0] for line in whole.splitlines()}
    for number in range(12):
        key = f"paper-{number}"
        if key.encode() in done:
            continue
        time.sleep(0.004)  # fetch it
        file.write(f"{key},".encode())
        file.flush()
        file.write(f"{number * number}\n".encode())
        file.flush()
        os.fsync(file.fileno())
