"""A program that works on Dask's workers until something ends it: the scheduler's address, and how many items."""

import sys

from distributed import Client

import leftoff
from tests.work.computed import slow


def main():
    with Client(sys.argv[1]) as client:
        items = range(int(sys.argv[2]))
        for outcome in leftoff.map(
            slow, items, "p.jsonl", run="r", executor=client.get_executor, workers=2, progress=False
        ):
            print("done", outcome.key, flush=True)


if __name__ == "__main__":
    main()
