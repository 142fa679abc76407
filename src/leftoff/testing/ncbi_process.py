"""Start the replica of PubMed in a process of its own, for tests and the demo."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from leftoff.testing import replica_process


class Running(replica_process.Running):
    """Be a replica of PubMed that runs."""

    @property
    def eutils(self) -> str:
        """Return the prefix to which `/esearch.fcgi` is appended."""
        return f"{self.url}/entrez/eutils"


@contextlib.contextmanager
def serve(data: Path, *arguments: str) -> Iterator[Running]:
    """Run `python -m leftoff.testing.ncbi` on `data` until the block ends; see `replica_process.serve`."""
    with replica_process.serve("leftoff.testing.ncbi", data, *arguments) as running:
        yield Running(running.url, running.access_log, running.errors, running.process)
