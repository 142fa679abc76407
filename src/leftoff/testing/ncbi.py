"""Run a replica of NCBI's E-utilities for PubMed on 127.0.0.1: `python -m leftoff.testing.ncbi --data DIR`.

It serves real records, keeps the service's limits, bans who breaks them, and breaks its own answers on request;
docs/replica.md describes all of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from leftoff.testing import replica_main
from leftoff.testing.ncbi_faults import FAULTS, Faults
from leftoff.testing.ncbi_records import Library
from leftoff.testing.ncbi_service import Service
from leftoff.testing.replica_limits import Limits


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m leftoff.testing.ncbi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="directory of PubmedArticleSet files, *.xml and *.xml.gz")
    add("--clones", type=int, default=0, metavar="N", help="clone real records under new PMIDs up to N records in all")
    add(
        "--clones-on",
        type=replica_main.day,
        metavar="YYYY-MM-DD",
        help="put every clone on this day (default: the original's)",
    )
    add("--seed", type=int, default=0, help="of faults and of the order within a day")
    add("--limit", type=int, default=3, help="requests a second without a key (default 3; 0: no limit)")
    add("--keyed-limit", type=int, default=10, help="requests a second with an api_key (default 10; 0: no limit)")
    add(
        "--webenv-life", type=float, default=8 * 3600.0, metavar="SECONDS", help="life of a stored search (default 8 h)"
    )
    replica_main.add_common(parser)
    return parser


def build(options: argparse.Namespace) -> Service:
    """Return the service that `options` describe. Raises what reading the data raises."""
    library = Library(options.data, clones=options.clones, clones_on=options.clones_on, today=options.today)
    limits = Limits(
        options.limit, 0 if options.limit == 0 else options.keyed_limit, options.tolerance, options.ban_after
    )
    faults = Faults(dict(Faults.parse(text) for text in options.fault), options.seed)
    return Service(library, limits, faults, webenv_life=options.webenv_life, log=replica_main.access_log(options))


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
    return replica_main.main(arguments(), argv, FAULTS, build, _summary)


if __name__ == "__main__":
    sys.exit(main())
