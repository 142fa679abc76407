"""What a worker of a map may not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import leftoff


@pytest.mark.parametrize("suffix", [".db", ".jsonl"])
@pytest.mark.parametrize("what", ["step", "cursor", "forget"])
def test_a_worker_writes_nothing_to_the_run(tmp_path: Path, suffix: str, what: str) -> None:
    """A step, a moved cursor and a forgotten key are refused in a worker's thread, as the item's error."""
    with leftoff.open(tmp_path / f"progress{suffix}") as journal:
        run = journal.run("r")
        uses: dict[str, Any] = {
            "step": lambda: run.step("s", int),
            "cursor": lambda: run.cursor("c").advance(1),
            "forget": lambda: run.forget(["a"]),
        }
        (outcome,) = run.map(lambda _: uses[what](), ["a"], workers=2, attempts=1)
    assert outcome.error is not None
    assert outcome.error.type == "WrongThread"
