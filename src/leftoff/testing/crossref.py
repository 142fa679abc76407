"""Run a replica of Crossref's REST API on 127.0.0.1: `python -m leftoff.testing.crossref --data DIR`.

It serves real works under /works, keeps the service's limits, bans who breaks them, and breaks its own answers on
request; docs/replica.md describes all of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from leftoff.testing import replica_main
from leftoff.testing.crossref_faults import FAULTS, Faults
from leftoff.testing.crossref_limits import Pool, Pools
from leftoff.testing.crossref_service import Service
from leftoff.testing.crossref_works import Library


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m leftoff.testing.crossref",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="directory of files with one work a line, *.jsonl and *.jsonl.gz")
    add("--clones", type=int, default=0, metavar="N", help="clone real works under new DOIs up to N works in all")
    add("--seed", type=int, default=0, help="of faults and of the service's own order")
    add("--limit", type=int, default=5, help="requests a second in the public pool (default 5; 0: no limit)")
    add("--polite-limit", type=int, default=10, help="requests a second with a mailto (default 10; 0: no limit)")
    add("--concurrency", type=int, default=1, help="requests at a time in the public pool (default 1; 0: no limit)")
    add("--polite-concurrency", type=int, default=3, help="requests at a time with a mailto (default 3; 0: no limit)")
    add("--cursor-life", type=float, default=300.0, metavar="SECONDS", help="of one that nobody uses (default 300)")
    replica_main.add_common(parser)
    return parser


def build(options: argparse.Namespace) -> Service:
    """Return the service that `options` describe. Raises what reading the data raises."""
    library = Library(options.data, clones=options.clones, today=options.today)
    pools = Pools(
        Pool("public", options.limit, options.concurrency),
        Pool("polite", options.polite_limit, options.polite_concurrency),
        options.tolerance,
        options.ban_after,
    )
    faults = Faults(dict(Faults.parse(text) for text in options.fault), options.seed)
    return Service(library, pools, faults, cursor_life=options.cursor_life, log=replica_main.access_log(options))


def _summary(service: Service) -> str:
    library = service.library
    clones = f"{library.clones} CLONES of them (not real works)" if library.clones else "no clones"
    faults = ", ".join(f"{name}:{rate:g}" for name, rate in service.faults.rates.items()) or "none"
    return f"replica of Crossref: {len(library.works)} real works, {clones}; {library.today_text()}; faults: {faults}"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. The first line on stdout names the address."""
    return replica_main.main(arguments(), argv, FAULTS, build, _summary)


if __name__ == "__main__":
    sys.exit(main())
