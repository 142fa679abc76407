"""No library: append each result to a file and sync it; nothing is ever skipped."""

import json
import os

from loop import FOLDER, finish, items, work

out = os.open(FOLDER / "out.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
results = {}
for item in items():
    results[item] = work(item)
    os.write(out, json.dumps([item, results[item]]).encode() + b"\n")
    os.fdatasync(out)
finish(results)
