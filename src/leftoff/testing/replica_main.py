"""The command line that all replicas have in common."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO, TypeVar
from xml.etree import ElementTree

from leftoff.testing.replica_faults import Fault, listing
from leftoff.testing.replica_server import Replica, Service

S = TypeVar("S", bound=Service)


def day(text: str) -> int:
    """Return a day, as it is written on the command line, as an ordinal."""
    return datetime.date.fromisoformat(text).toordinal()


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that every replica has."""
    add = parser.add_argument
    add("--port", type=int, default=0, help="0 (default): any free one")
    add("--access-log", type=Path, metavar="FILE.jsonl", help="append one JSON object a request")
    add("--fault", nargs="+", action="extend", default=[], metavar="NAME[:RATE]", help="'help' lists them")
    add("--today", type=day, metavar="YYYY-MM-DD", help="the replica's calendar day (default: the real one)")
    add("--tolerance", type=float, default=0.03, help="seconds by which the sliding second is shortened (default 0.03)")
    add("--ban-after", type=int, default=10, metavar="N", help="ban at the Nth violation (default 10; 0: never)")
    add("--drip", type=float, default=1.0, metavar="SECONDS", help="pause between 8 bytes under fault drip (default 1)")
    add("--stall", type=float, default=600.0, metavar="SECONDS", help="silence under fault stall (default 600)")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer (default 0)")


def access_log(options: argparse.Namespace) -> TextIO | None:
    """Open the access log that is asked for, to append to it."""
    file: Path | None = options.access_log
    return None if file is None else file.open("a", encoding="utf-8", buffering=1)


def main(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    faults: Mapping[str, Fault],
    build: Callable[[argparse.Namespace], S],
    summary: Callable[[S], str],
) -> int:
    """Serve what the options describe until SIGTERM or Ctrl-C. The first line on stdout names the address."""
    options = parser.parse_args(argv)
    if "help" in options.fault:
        print(listing(faults))
        return 0
    if options.data is None:
        parser.error("--data DIR is required: it holds the records to be served")
    try:
        service = build(options)
        replica = Replica(service, options.port, drip=options.drip, stall=options.stall, latency=options.latency)
    except (ValueError, OSError, ElementTree.ParseError) as error:
        parser.error(str(error))
    replica.run(summary(service))
    return 0
