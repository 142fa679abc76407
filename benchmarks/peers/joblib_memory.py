"""joblib.Memory: the function's results are cached on disk."""

from joblib import Memory
from loop import FOLDER, finish, items, work


def remembered(item):
    """Work on an item."""
    return work(item)


remembered = Memory(FOLDER / "cache", verbose=0).cache(remembered)
finish({item: remembered(item) for item in items()})
