"""Asynchronous programs that are stopped by signals: they work on three items, and say so, until something waits."""

import asyncio
import sys

import leftoff


async def feed():
    for n in range(3):
        yield n
    print("waiting", flush=True)
    await asyncio.Event().wait()


async def work(n):
    print("begun", n, flush=True)
    await asyncio.sleep(float(sys.argv[3]))
    print("ended", n, flush=True)


async def main():
    loop, items = sys.argv[1], {"feed": feed, "list": lambda: [0, 1, 2]}[sys.argv[2]]()
    if loop == "amap":
        async for outcome in leftoff.amap(work, items, "p.jsonl", run="r", concurrency=2, progress=False):
            print("done", outcome.key, flush=True)
    else:
        options = {"rate": "1/h"} if loop == "rated" else {}
        async for n in leftoff.aeach(items, "p.jsonl", run="r", progress=False, **options):
            await work(n)
            if loop == "rated":
                print("waiting", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
