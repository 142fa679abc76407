"""Keep all results in a pickle that is written anew, over itself, after each paper."""

import os
import pickle
import time

results = {}
if os.path.exists("results.pickle"):
    with open("results.pickle", "rb") as file:
        results = pickle.load(file)

for number in range(12):
    key = f"paper-{number}"
    if key not in results:
        time.sleep(0.004)  # fetch it
        results[key] = number * number
        with open("results.pickle", "wb") as file:
            pickle.dump(results, file)
