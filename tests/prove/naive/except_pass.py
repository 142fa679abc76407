"""Whatever goes wrong, go on: a paper whose result cannot be parsed is no paper."""

import json
import os
import time

os.makedirs("papers", exist_ok=True)
for number in range(10):
    name = f"papers/{number}.json"
    if not os.path.exists(name):
        with open(name, "w") as file:
            time.sleep(0.004)  # fetch it
            json.dump({"paper": number, "citations": number * number}, file)

with open("summary.csv", "w") as summary:
    for number in range(10):
        try:
            with open(f"papers/{number}.json") as file:
                summary.write(f"{number},{json.load(file)['citations']}\n")
        except Exception:
            pass
