"""What the proof counted, told by its tests and printed as the table that docs/promises.md publishes."""

from __future__ import annotations

import os
import random
import shlex
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Counted = Callable[[str, str, int], None]
_NAME = "counted"


def store_of(place: str) -> str:
    """Return what people call the store of a place, or of the short name that the tests have for it."""
    kinds = {"jsonl": "JSON Lines", "db": "SQLite", "segments": "segments", "/": "segments"}
    return next((kind for end, kind in kinds.items() if place.endswith(end)), "PostgreSQL")


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Counted:
    """Tell how many times something was done to a store: what, to which, how often. It passed, so nothing was lost."""
    return lambda what, store, number: record_property(_NAME, [what, store, number])


def pytest_configure() -> None:
    """Give the whole run one seed, which repeats each of its figures."""
    os.environ.setdefault("LEFTOFF_SEED", str(random.SystemRandom().randrange(1 << 32)))


def pytest_report_header() -> str:
    """Say the seed first."""
    return f"seed: LEFTOFF_SEED={os.environ['LEFTOFF_SEED']}"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, where anything was counted."""
    totals: Counter[tuple[str, str]] = Counter()
    files: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == _NAME:
                what, store, number = value
                totals[what, store] += number
                files.setdefault(what, set()).add(report.nodeid.partition("::")[0])
    if not totals:
        return
    marks = " -m prove" if "prove" in config.getoption("markexpr") and "not" not in config.getoption("markexpr") else ""
    terminalreporter.section("what was counted, with 0 lost")
    terminalreporter.write_line("| what | in all | of which | repeated by |")
    terminalreporter.write_line("|---|---:|---|---|")
    for what in sorted(files):
        each = {store: number for (name, store), number in sorted(totals.items()) if name == what}
        shares = ", ".join(f"{store} {number:,}" for store, number in each.items())
        command = f"LEFTOFF_SEED={os.environ['LEFTOFF_SEED']} pytest{marks} {shlex.join(sorted(files[what]))}"
        terminalreporter.write_line(f"| {what} | {sum(each.values()):,} | {shares} | `{command}` |")
