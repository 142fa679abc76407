"""diskcache: look into the cache, else work and set; synchronous=FULL, eviction off."""

import diskcache
from loop import FOLDER, finish, items, work

cache = diskcache.Cache(FOLDER / "cache", sqlite_synchronous=2, eviction_policy="none")
for item in items():
    if item not in cache:
        cache[item] = work(item)
finish({item: cache[item] for item in items()})
