"""Keep the place in a JSON file that is written over itself; when it cannot be read, begin again."""

import json
import time

try:
    with open("state.json") as file:
        state = json.load(file)
except (FileNotFoundError, json.JSONDecodeError):
    state = {"next": 0}

for number in range(state["next"], 12):
    time.sleep(0.004)  # fetch it
    with open("results.csv", "a") as file:
        file.write(f"paper-{number},{number * number}\n")
    with open("state.json", "w") as file:
        json.dump({"next": number + 1}, file)
