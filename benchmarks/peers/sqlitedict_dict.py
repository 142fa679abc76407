"""sqlitedict: look into the dictionary, else work, set and commit."""

from loop import FOLDER, finish, items, work
from sqlitedict import SqliteDict

with SqliteDict(FOLDER / "results.sqlite") as known:
    for item in items():
        if item not in known:
            known[item] = work(item)
            known.commit()
    finish({item: known[item] for item in items()})
