"""Hold the results in memory and write them at the end: a kill costs all of them. The lines printed are the ledger."""

import json
import os
import time

results = {}
if os.path.exists("results.json"):
    with open("results.json") as file:
        results = json.load(file)

for number in range(30):
    key = f"paper-{number}"
    if key in results:
        continue
    print("fetching", key)
    time.sleep(0.004)  # fetch it
    results[key] = number * number
    if len(results) % 100 == 0 or number == 29:
        with open("results.json.new", "w") as file:
            json.dump(results, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace("results.json.new", "results.json")
