"""huey on SQLite: a task an item, executed here; results are in its store."""

import json

from huey import SqliteHuey
from loop import FOLDER, finish, items, work

huey = SqliteHuey("work", filename=str(FOLDER / "huey.db"))


@huey.task()
def task(item):
    """Work on an item."""
    return work(item)


filled = FOLDER / "filled.json"
if not filled.exists():
    ids = {item: task(item).id for item in items()}
    filled.write_text(json.dumps(ids))
while (waiting := huey.dequeue()) is not None:
    huey.execute(waiting)
ids = json.loads(filled.read_text())
finish({item: huey.result(name, preserve=True) for item, name in ids.items()})
