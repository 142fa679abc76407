"""Scripts of the user's, taken apart where SQLite says that a statement ends."""

from __future__ import annotations

import pytest

from leftoff.journal.script import statements

_TRIGGER = "CREATE TRIGGER t AFTER INSERT ON p BEGIN SELECT 1; SELECT 2; END;"


@pytest.mark.parametrize(
    ("script", "parts"),
    [
        ("SELECT 1;SELECT 'a;b';", ["SELECT 1;", "SELECT 'a;b';"]),
        (f"{_TRIGGER} SELECT 3;", [_TRIGGER, " SELECT 3;"]),
        ("SELECT 1; SELECT 2", ["SELECT 1;", " SELECT 2;"]),
        ("SELECT 1;\n-- the end", ["SELECT 1;", "\n-- the end"]),
        ("SELECT 'a;", ["SELECT 'a;"]),
        ("CREATE TRIGGER t AFTER INSERT ON p BEGIN SELECT 1;", ["CREATE TRIGGER t AFTER INSERT ON p BEGIN SELECT 1;"]),
    ],
)
def test_a_script_is_taken_apart_at_the_ends_of_its_statements(script: str, parts: list[str]) -> None:
    """Not at each semicolon, and nothing is lost: what does not end is left for SQLite to complain of."""
    assert [part for part in statements(script) if part.strip(" \n;")] == parts
