"""DBOS Transact on SQLite: one workflow, a step an item, as its tutorial has it."""

from dbos import DBOS, SetWorkflowID
from loop import FOLDER, finish, items, work

DBOS(config={"name": "peers", "system_database_url": f"sqlite:///{FOLDER}/dbos.db", "log_level": "ERROR"})


@DBOS.step()
def step(item):
    """Work on an item."""
    return work(item)


@DBOS.workflow()
def loop():
    """Work on all items."""
    return [step(item) for item in items()]


DBOS.launch()
with SetWorkflowID("work"):
    handle = DBOS.start_workflow(loop)
finish(dict(zip(items(), handle.get_result(), strict=False)))
DBOS.destroy()
