"""Entries that every store writes in the same words, and addresses as they are shown."""

from __future__ import annotations

import pytest

from leftoff.journal.entry import Draft
from leftoff.journal.store import compacted, redacted, repaired


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("//me:secret@host/db", "//me@host/db"),
        ("//me:a:b@c@host:5432/db?sslmode=require", "//me@host:5432/db?sslmode=require"),
        ("//me:pw@host:5432/db?sslmode=require&password=pw", "//me@host:5432/db?sslmode=require"),
        ("//host:5432/db", "//host:5432/db"),
        ("///db?password=secret", "///db"),
        ("///db?user=me&password=secret", "///db?user=me"),
        ("///db?password=secret&user=me", "///db?user=me"),
        ("///db?user=me&sslpassword=secret&port=1", "///db?user=me&port=1"),
        ("///X", "///X"),
        ("///db?port=1&", "///db?port=1"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """Wherever they stand in it; what remains still leads to the same place."""
    assert redacted(f"postgresql:{url}") == f"postgresql:{shown}"


def test_a_path_is_shown_as_it_is() -> None:
    """It has no password, whatever it looks like."""
    assert redacted("a:b@c/run.jsonl") == "a:b@c/run.jsonl"


def test_what_replaced_an_original_names_it() -> None:
    """A repair by what its original is called, a compaction by its id, last number and sum (docs/format.md)."""
    assert repaired("é.damaged-1") == Draft("repaired", "", '{"aside":"é.damaged-1"}')
    assert compacted("a1b2", 7, 0xBEEF) == Draft("compacted", "", '{"id":"a1b2","seq":7,"sum":"0000beef"}')
