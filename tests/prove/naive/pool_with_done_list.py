"""Let a pool fetch and append, and note as done what comes back, in order."""

import multiprocessing
import os
import time


def fetch(key):
    time.sleep(0.004)
    with open("results.csv", "a") as file:
        file.write(f"{key},{len(key)}\n")
    return key


if __name__ == "__main__":
    done = set()
    if os.path.exists("done.txt"):
        with open("done.txt") as file:
            done = set(file.read().split())
    todo = [f"paper-{number}" for number in range(12) if f"paper-{number}" not in done]
    with multiprocessing.get_context("fork").Pool(2) as pool, open("done.txt", "a") as file:
        for key in pool.imap(fetch, todo):
            file.write(f"{key}\n")
            file.flush()
