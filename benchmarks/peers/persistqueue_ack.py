"""persist-queue: a queue with acknowledgements; results are appended to a file, for the queue keeps none."""

import json

import persistqueue
from loop import FOLDER, finish, items, work

queue = persistqueue.SQLiteAckQueue(FOLDER / "queue", auto_commit=True)
queue.resume_unack_tasks()
filled = FOLDER / "filled"
if not filled.exists():
    for item in items():
        queue.put(item)
    filled.touch()
while queue.size:
    item = queue.get()
    with (FOLDER / "out.jsonl").open("a") as out:
        out.write(json.dumps([item, work(item)]) + "\n")
    queue.ack(item)
lines = (FOLDER / "out.jsonl").read_text().splitlines()
finish(dict(json.loads(line) for line in lines))
