"""Scrapy's ``JOBDIR/requests.seen``: the fingerprints of what was *scheduled*.

1. A fingerprint is written when a request is scheduled, before it is sent: it says nothing of what was crawled.
2. After a kill the file ends where its buffer was last written, and what was pending is known only to pickles, which
   are never read here.
3. So it is believed only where Scrapy itself says that the crawl came to its end: it closed its queue, and nothing was
   left in it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from leftoff.adopt.found import Done, Doubt, Found, lines_of, open_source
from leftoff.errors import UsageError

SEEN: Final = "requests.seen"
_QUEUE: Final = "requests.queue"
_FEED: Final = "adopt what it has scraped instead, such as --from items.jsonl --key url"
_HEX: Final = re.compile(rb"[0-9a-f]{2,128}")


def requests_seen(path: str, *, trust_seen: bool = False) -> Iterator[Found]:
    """Yield the fingerprints, as hexadecimal digits, that a crawl which came to its end has seen.

    path: Scrapy's JOBDIR, or the file in it; trust_seen: the user knows that a page that was requested counts as done,
    also where it could not be fetched. Raises UsageError where that was not said, or the crawl did not end.
    """
    seen = Path(path, SEEN) if Path(path).is_dir() else Path(path)
    if not seen.is_file():
        raise UsageError(f"there is no {seen} to adopt from; nothing was changed")
    _refuse_unfinished(seen.parent / _QUEUE, str(seen))
    if not trust_seen:
        raise UsageError(
            f"{seen} names what was requested, also where that failed. If that shall count as done, say --trust-seen;"
            f" else {_FEED}"
        )
    return _read(str(seen))


def _refuse_unfinished(queue: Path, seen: str) -> None:
    """Raise UsageError unless Scrapy closed the queue, with nothing left in it."""
    try:
        pending = json.loads((queue / "active.json").read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"the crawl of {seen} was killed (it never closed {queue}): what was requested was mostly not fetched, and"
            f" adopting it would lose that; {_FEED}"
        ) from None
    except ValueError:
        raise UsageError(f"{queue / 'active.json'} is damaged; {_FEED}") from None
    if pending:
        raise UsageError(
            f"the crawl of {seen} was stopped before its end, and names what is still to be fetched, too. Let Scrapy"
            f" end it (the same command again), or {_FEED}"
        )


def _read(seen: str) -> Iterator[Found]:
    with open_source(seen) as file:
        begin = file.read(2)
        end = os.fstat(file.fileno()).st_size
        # Scrapy 2.13 and older write a line of digits each, later ones two bytes of length and the fingerprint.
        yield from _lines(file, end, seen) if not begin or begin.isalnum() else _records(file, end, seen)


def _lines(file: IO[bytes], end: int, seen: str) -> Iterator[Found]:
    for line in lines_of(file, end):
        if line.ended and _HEX.fullmatch(line.data.removesuffix(b"\r")):
            yield Done(line.data.removesuffix(b"\r").decode())
        else:
            yield Doubt(f"{seen}, line {line.number}", "this is no fingerprint, or a torn one")


def _records(file: IO[bytes], end: int, seen: str) -> Iterator[Found]:
    file.seek(at := 0)
    while at < end:
        size = int.from_bytes(file.read(2), "big")
        fingerprint = file.read(size)
        if not size or len(fingerprint) < size or (at := at + 2 + size) > end:
            yield Doubt(f"{seen}, byte {file.tell()}", "the record is torn")
            return
        yield Done(fingerprint.hex())
