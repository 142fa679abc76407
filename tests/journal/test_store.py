"""Entries that every store writes in the same words, and addresses as they are shown."""

from __future__ import annotations

import pytest

from leftoff.journal.entry import Draft
from leftoff.journal.store import compacted, redacted, repaired


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me@host/db"),
        ("postgresql://me:a:b@host:5432/db?sslmode=require", "postgresql://me@host:5432/db?sslmode=require"),
        ("postgresql:///db?password=secret", "postgresql:///db"),
        ("postgresql:///db?user=me&password=secret", "postgresql:///db?user=me"),
        ("postgresql:///db?password=secret&user=me", "postgresql:///db?user=me"),
        ("postgresql:///db?user=me&sslpassword=secret&port=1", "postgresql:///db?user=me&port=1"),
        ("postgresql:///X", "postgresql:///X"),
        ("postgresql:///db?port=1&", "postgresql:///db?port=1"),
        ("run.jsonl", "run.jsonl"),
    ],
)
def test_an_address_is_shown_without_its_passwords(url: str, shown: str) -> None:
    """Wherever they stand in it; the rest stays as it was given."""
    assert redacted(url) == shown


def test_what_replaced_an_original_names_it() -> None:
    """A repair by what its original is called, a compaction by its id, last number and sum (docs/format.md)."""
    assert repaired("é.damaged-1") == Draft("repaired", "", '{"aside":"é.damaged-1"}')
    assert compacted("a1b2", 7, 0xBEEF) == Draft("compacted", "", '{"id":"a1b2","seq":7,"sum":"0000beef"}')
