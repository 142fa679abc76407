"""The page of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "promises.md"


def test_each_promise_is_held_by_tests_that_exist() -> None:
    """Every promise has a row, every row names tests, and each test and file that is named is there."""
    sources = {path: path.read_text("utf-8") for path in TESTS.rglob("test_*.py")}
    existing = {name for source in sources.values() for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)}
    page = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| \*\*(P\d+)\*\* \|(.*)\|$", page, re.MULTILINE)
    assert [promise for promise, _ in rows] == [f"P{n}" for n in range(1, 13)]
    assert [promise for promise, row in rows if not re.search(r"`test_\w+`", row)] == []
    named = set(re.findall(r"`(test_\w+)`", page))
    assert named - existing == set()
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", page))
    assert {name for name in files if not (TESTS.parent / name).exists()} == set()
