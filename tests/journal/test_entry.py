"""What entries say, to the letter: docs/format.md has these texts."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

import pytest

from leftoff.journal.entry import (
    Draft,
    Entry,
    Tries,
    check_value,
    created,
    fold_open,
    moved_to,
    open_mark,
    to_datetime,
)


@pytest.mark.parametrize(
    ("tries", "text"),
    [
        (Tries(), None),
        (Tries(begun=True), None),
        (Tries(2), '{"errors":2}'),
        (Tries(0, 3), '{"crashes":3}'),
        (Tries(1, 3, True), '{"errors":1,"crashes":3}'),
    ],
)
def test_tries_are_written_without_their_zeros(tries, text):
    """A first try, the usual one, has no value at all."""
    assert tries.to_json() == text


def test_tries_are_read_whatever_is_left_out():
    """Zeros are left out, a first try has nothing, and whether it was begun is the reader's to say."""
    assert Tries.from_value({"errors": 1, "crashes": 3}, begun=True) == Tries(1, 3, True)
    assert Tries.from_value({"errors": 1}, begun=False) == Tries(1, 0, False)
    assert Tries.from_value({"crashes": 2}, begun=False) == Tries(0, 2, False)
    assert Tries.from_value(None, begun=True) == Tries(0, 0, True)


def test_a_crash_is_counted_and_settled():
    """One more crash, the errors as they were, and nothing left for the next owner to count again."""
    assert Tries(2, 1, True).after_crash() == Tries(2, 2, False)


def test_an_open_mark_holds_every_item_whole():
    """Keys stand as they are, each with its numbers and whether it was begun."""
    mark = open_mark({"é": Tries(1, 2, True), "b": Tries()})
    text = '{"é":{"errors":1,"crashes":2,"begun":1},"b":{"errors":0,"crashes":0,"begun":0}}'
    assert mark == Draft("open", "", text)


def test_a_run_begins_with_its_id_and_program():
    """Each run has an id of its own, and the program is None where any may go on with it."""
    kind, key, text = created("ü.py")
    assert (kind, key) == ("created", "")
    assert text is not None
    assert text.startswith('{"id":"')
    assert text.endswith('","program":"ü.py","parent":null}')
    assert created(None) != created(None)
    assert re.fullmatch(r"[0-9a-f]{16}", json.loads(text)["id"])
    assert created(None, "ab12") == Draft("created", "", '{"id":"ab12","program":null,"parent":null}')


@pytest.mark.parametrize(
    ("kind", "value", "left"),
    [
        ("started", {"errors": 1}, Tries(1, 0, True)),
        ("failed", {"tries": {"errors": 2}}, Tries(2, 0, False)),
        ("failed", {"tries": {"crashes": 2}}, Tries(0, 2, False)),
        ("released", {"tries": {"errors": 1}}, Tries(1, 0, False)),
        ("released", {"tries": {}}, None),
        ("released", None, None),
        ("done", None, None),
        ("dead", {"tries": {"errors": 3}}, None),
        ("forgotten", None, None),
        ("retried", None, None),
        ("step", [1], Tries(5, 5, True)),
        ("open", {"k": {"errors": 4, "crashes": 1, "begun": 1}}, Tries(4, 1, True)),
        ("open", {"k": {"errors": 4}}, Tries(4, 0, False)),
        ("open", {"other": {"errors": 1}}, None),
    ],
)
def test_each_kind_of_entry_leaves_an_item_open_or_not(kind: str, value: Any, left: Tries | None) -> None:
    """The table of what has no conclusion follows the entries one by one, also where an item is not in it yet."""
    for before in ({"k": Tries(5, 5, True)}, {}):
        table = dict(before)
        fold_open(table, kind, "k", value)
        assert table.get("k") == (left if before or kind != "step" else None)


_OWNER = {"host": "h", "pid": 1, "start": "2026", "durability": "power"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [("created", {"id": "ab"}), ("owner", _OWNER), ("owner", {**_OWNER, "moved": 7}), ("done", None), ("step", ["id"])],
)
def test_an_entry_may_say_more_than_is_relied_on(kind: str, value: Any) -> None:
    """A later release may add to it, and what users write is theirs."""
    check_value(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "missing"),
    [
        ("created", None, "id"),
        ("created", ["id"], "id"),
        ("created", {}, "id"),
        ("created", {"id": 7}, "id"),
        ("owner", "me", "host, pid, start, durability"),
        ("owner", {**_OWNER, "pid": True}, "host, pid, start, durability"),
        *(("owner", {**_OWNER, name: None}, "host, pid, start, durability") for name in _OWNER),
    ],
)
def test_an_entry_without_what_is_relied_on_is_refused(kind: str, value: Any, missing: str) -> None:
    """No release writes such a one, and the next owner would stumble over it."""
    with pytest.raises(TypeError) as refused:
        check_value(kind, value)
    assert str(refused.value) == f"an entry {kind!r} without {missing}"


def _owner(value: Any) -> Entry:
    return Entry(1, "r", "owner", "", value, to_datetime(0), 1)


def test_a_move_is_told_by_the_newest_owner():
    """Whatever else stands there is no move."""
    assert moved_to(_owner({"moved": "/there.db"})) == "/there.db"
    assert moved_to(_owner({"host": "h"})) is None
    assert moved_to(_owner({"moved": 7})) is None
    assert moved_to(_owner(["moved"])) is None
    assert moved_to(None) is None


def test_times_are_utc():
    """Whatever the machine's zone."""
    assert to_datetime(0) == datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert to_datetime(0).tzinfo is timezone.utc
