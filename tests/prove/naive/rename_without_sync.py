"""Write beside the file and rename, as one should, and forget that the bytes may come after the name."""

import json
import os
import time

results = {}
if os.path.exists("results.json"):
    with open("results.json") as file:
        results = json.load(file)

for number in range(12):
    key = f"paper-{number}"
    if key not in results:
        time.sleep(0.004)  # fetch it
        results[key] = number * number
        with open("results.json.new", "w") as file:
            json.dump(results, file)
        os.rename("results.json.new", "results.json")
