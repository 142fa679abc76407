"""The page of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_each_promise_names_tests_that_exist() -> None:
    """Every promise from P1 to P12 has a row, and every test and file that the page names is there."""
    page = (ROOT / "docs" / "promises.md").read_text("utf-8")
    assert [int(number) for number in re.findall(r"^\| \*\*P(\d+)\*\*", page, re.MULTILINE)] == list(range(1, 13))
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert named
    assert {name for name in named if f"def {name}(" not in code} == set()
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/[\w/.]+)`", page))
