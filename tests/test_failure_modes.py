"""The page of failure modes names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_each_failure_mode_names_tests_that_exist() -> None:
    """Each number from 1 to 42 has one row, and each row names tests, all there, or says that the feature is not."""
    page = (ROOT / "docs" / "failure-modes.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|(.*)\|$", page, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, 43))
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for number, _, expected, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named or expected.strip().startswith("not there yet"), f"nothing holds {number}"
        assert [name for name in named if f"def {name}(" not in code] == [], f"in the row of {number}"
    assert "failure-modes.md" in (ROOT / "docs" / "promises.md").read_text("utf-8")
