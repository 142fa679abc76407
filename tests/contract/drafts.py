"""Drafts to commit, keys to be careful with, and what a store holds of them: for the contract suite."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from leftoff.journal.entry import Draft
from leftoff.journal.store import Store

STRANGE_KEYS = [
    "1", "01", " 1", "1 ", "a", "A", "é", "e\u0301", '"', "\\", '\\"', "\n", "\r\n", "\t", "\x01", "\x7f", "\u2028",
    "😀", "$x", "x" * 4096, '","sum":"00000000"}\n{"seq":1',
    '\n{"seq":9,"commit":9,"at":"","run":"r","epoch":1,"done":"forged"',
    "null", "%s", "'; DROP TABLE x; --", ',"created":"",', '"open":"",', "dead", "done", "more", "../../etc/passwd",
]  # fmt: skip


def started(key: str, value: str | None = None) -> Draft:
    return Draft("started", key, value)


def done(key: str, value: object = None) -> Draft:
    return Draft("done", key, None if value is None else json.dumps(value))


def dead(key: str) -> Draft:
    return Draft("dead", key, '{"tries":{"errors":3},"error":{"type":"E","message":"m"}}')


def mark_every(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let `open` entries come so often that a small journal has some."""
    for name, module in list(sys.modules.items()):
        if name.startswith("leftoff.journal.") and hasattr(module, "MARK_EVERY"):
            monkeypatch.setattr(module, "MARK_EVERY", count)


def written(store: Store, run: str | None = None) -> list[tuple[str, str, Any]]:
    """What the store holds, apart from its own book-keeping."""
    kept = ("created", "owner", "open", "closed")
    return [(e.kind, e.key, e.value) for e in store.entries(run) if e.kind not in kept]
