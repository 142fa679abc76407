"""Run a replica of NCBI's E-utilities for PubMed on 127.0.0.1: `python -m leftoff.testing.ncbi --data DIR`.

It serves real records, keeps the service's limits, bans who breaks them, and breaks its own answers on request;
docs/replica.md describes all of it.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree

from leftoff.testing.ncbi_faults import FAULTS, Faults
from leftoff.testing.ncbi_records import Library
from leftoff.testing.ncbi_service import Service
from leftoff.testing.replica_faults import listing
from leftoff.testing.replica_limits import Limits
from leftoff.testing.replica_server import Replica


def _day(text: str) -> int:
    return datetime.date.fromisoformat(text).toordinal()


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m leftoff.testing.ncbi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="directory of PubmedArticleSet files, *.xml and *.xml.gz")
    add("--port", type=int, default=0, help="0 (default): any free one")
    add("--access-log", type=Path, metavar="FILE.jsonl", help="append one JSON object a request")
    add("--fault", nargs="+", action="extend", default=[], metavar="NAME[:RATE]", help="'help' lists them")
    add("--clones", type=int, default=0, metavar="N", help="clone real records under new PMIDs up to N records in all")
    add("--clones-on", type=_day, metavar="YYYY-MM-DD", help="put every clone on this day (default: the original's)")
    add("--seed", type=int, default=0, help="of faults and of the order within a day")
    add("--today", type=_day, metavar="YYYY-MM-DD", help="the replica's calendar day (default: the real one)")
    add("--limit", type=int, default=3, help="requests a second without a key (default 3; 0: no limit)")
    add("--keyed-limit", type=int, default=10, help="requests a second with an api_key (default 10; 0: no limit)")
    add("--tolerance", type=float, default=0.03, help="seconds by which the sliding second is shortened (default 0.03)")
    add("--ban-after", type=int, default=10, metavar="N", help="ban at the Nth violation (default 10; 0: never)")
    add(
        "--webenv-life", type=float, default=8 * 3600.0, metavar="SECONDS", help="life of a stored search (default 8 h)"
    )
    add("--drip", type=float, default=1.0, metavar="SECONDS", help="pause between 8 bytes under fault drip (default 1)")
    add("--stall", type=float, default=600.0, metavar="SECONDS", help="silence under fault stall (default 600)")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer (default 0)")
    return parser


def build(options: argparse.Namespace) -> Service:
    """Return the service that `options` describe. Raises what reading the data raises."""
    library = Library(options.data, clones=options.clones, clones_on=options.clones_on, today=options.today)
    limits = Limits(
        options.limit, 0 if options.limit == 0 else options.keyed_limit, options.tolerance, options.ban_after
    )
    faults = Faults(dict(Faults.parse(text) for text in options.fault), options.seed)
    log: TextIO | None = options.access_log.open("a", encoding="utf-8", buffering=1) if options.access_log else None
    return Service(library, limits, faults, webenv_life=options.webenv_life, log=log)


def _summary(service: Service) -> str:
    library = service.library
    clones = (
        f"{library.clones} CLONES of them (PMIDs {library.clone_pmids()}; not real records)"
        if library.clones
        else "no clones"
    )
    faults = ", ".join(f"{name}:{rate:g}" for name, rate in service.faults.rates.items()) or "none"
    return f"replica of PubMed: {len(library.records)} real records, {clones}; {library.today_text()}; faults: {faults}"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. The first line on stdout names the address."""
    parser = arguments()
    options = parser.parse_args(argv)
    if "help" in options.fault:
        print(listing(FAULTS))
        return 0
    if options.data is None:
        parser.error("--data DIR is required: a directory of PubmedArticleSet files")
    try:
        service = build(options)
        replica = Replica(service, options.port, drip=options.drip, stall=options.stall, latency=options.latency)
    except (ValueError, OSError, ElementTree.ParseError) as error:
        parser.error(str(error))
    replica.run(_summary(service))
    return 0


if __name__ == "__main__":
    sys.exit(main())
