from __future__ import annotations

import pytest

from leftoff.prove.changes import Change
from leftoff.prove.power import not_durable


def did(text: str) -> list[Change]:
    """Read changes from words such as ``make a, write a, sync a, sync .``; an exclamation mark: synced at once."""
    found = []
    for step in text.split(", "):
        kind, file, *target = step.split()
        found.append(Change(kind, file.rstrip("!"), "".join(target), file.endswith("!"), kind, 1))
    return found


LOST = {
    "make a, write a": "was written and never synced: a power failure loses it",
    "write a, sync a, write a": "was written again after its last sync: a power failure loses that",
    "make a, write a, sync a": "was made, and its folder not synced since: a power failure may lose the name",
    "make b, write b, rename b a": "was renamed into place and never synced: a power failure may leave it empty",
    "make b, write b, rename b a, sync a": "was renamed into place before it was synced: a power failure may leave it",
    "make b, write b, sync b, sync ., rename b a": "was renamed, and its folder not synced since",
}

KEPT = (
    "make a, write a, sync a, sync .",
    "make a, write a, sync .",
    "make b, write b, sync b, rename b a, sync .",
    "make a, write a!, sync .",
    "make a, write a, sync *",
    "write b",
    "write a, unlink a",
)


@pytest.mark.parametrize("text", LOST)
def test_what_a_power_failure_takes_is_told(text: str) -> None:
    """Bytes without a sync, names without one of their folder, and a rename that overtakes its bytes are found."""
    found = not_durable(did(text), ["a"])
    assert any(sentence.startswith(f"a {LOST[text]}") for sentence in found), found


@pytest.mark.parametrize("text", [KEPT[0], *KEPT[2:]])
def test_what_survives_a_power_failure_is_not_accused(text: str) -> None:
    """A file that was synced, with its folder, or that is not looked at, is not named."""
    assert not_durable(did(text), ["a"]) == []


def test_a_sync_of_the_folder_is_none_of_the_file() -> None:
    """Syncing the folder keeps the name, and nothing of what is in the file."""
    assert not_durable(did(KEPT[1]), ["a"]) == ["a was written and never synced: a power failure loses it"]


def test_files_that_are_alike_are_told_once() -> None:
    """A thousand files of one sort are one sentence; the log that SQLite left is its database's."""
    steps = ", ".join(f"make out/{n}, write out/{n}" for n in range(1000))
    assert not_durable(did(steps), [f"out/{n}" for n in range(1000)]) == [
        "out/0 (and 999 more like it) was written and never synced: a power failure loses it"
    ]
    assert not_durable(did("write a.db, sync a.db, write a.db-wal"), ["a.db"])[0].startswith("a.db-wal was written")


def test_a_folder_on_the_way_has_a_name_too() -> None:
    """A file in a new folder is lost with the folder, whose own name takes a sync of the one above it."""
    inside = "make out, make out/a, write out/a, sync out/a, sync out"
    assert not_durable(did(inside), ["out/a"]) == [
        "out was made, and its folder not synced since: a power failure may lose the name"
    ]
    assert not_durable(did(f"{inside}, sync ."), ["out/a"]) == []
