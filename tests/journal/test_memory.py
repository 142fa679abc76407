"""A journal that lives as long as its process."""

from __future__ import annotations

import pytest

from leftoff.errors import JournalClosed
from leftoff.journal.memory import MemoryStore


def test_a_memory_journal_that_was_closed_owns_nothing() -> None:
    """It promises nothing for later, and refuses later use all the same."""
    store = MemoryStore()
    store.own("r")
    store.close()
    with pytest.raises(JournalClosed):
        store.own("r")
