"""Start a replica in a process of its own, for tests and demos."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast


@dataclasses.dataclass(frozen=True)
class Running:
    """Hold the address of a replica that runs and the files it writes (access log, stderr); ask it about itself."""

    url: str
    access_log: Path
    errors: Path
    process: subprocess.Popen[str]

    def log(self) -> list[dict[str, Any]]:
        """Return the access log so far, oldest request first."""
        lines = self.access_log.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def ask(self, path: str = "about", **params: str) -> dict[str, Any]:
        """Return what /replica/`path` answers: about, today (date), fault (name, rate), delete (id, doi)."""
        url = f"{self.url}/replica/{path}?{urllib.parse.urlencode(params)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return cast("dict[str, Any]", json.load(answer))


@contextlib.contextmanager
def serve(module: str, data: Path, *arguments: str) -> Iterator[Running]:
    """Run `python -m MODULE` on `data` until the block ends.

    Raises RuntimeError, with what it wrote to stderr, when the replica does not come up.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.jsonl"
        errors = Path(folder) / "stderr.txt"
        command = [sys.executable, "-m", module, "--data", str(data), "--access-log", str(log)]
        with errors.open("w") as stderr:
            process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True)
        assert process.stdout is not None
        try:
            first = process.stdout.readline().split()
            if first[:2] != ["listening", "on"]:
                raise RuntimeError(f"the replica did not start: {errors.read_text()}")
            log.touch()
            yield Running(first[2], log, errors, process)
        finally:
            process.terminate()
            process.wait(timeout=60)
            process.stdout.close()
