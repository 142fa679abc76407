"""The items of words, lists and CSV files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leftoff.errors import DuplicateKey, UsageError
from leftoff.shell.inputs import from_file, from_words


def texts(source) -> list[str]:
    return [item.text for item in source.items]


def listed(data: bytes, **more):
    Path("list").write_bytes(data)
    return from_file("list", **more)


def test_words_are_items_in_their_order() -> None:
    """Words are taken as they are, numbered; empty ones are skipped and counted."""
    source = from_words(["-x", "", "a b", "", "*"])
    assert [(item.text, item.number, item.key) for item in source.items] == [
        ("-x", 0, "-x"),
        ("a b", 1, "a b"),
        ("*", 2, "*"),
    ]
    assert source.empty == 2


@pytest.mark.parametrize(
    ("data", "items", "empty"),
    [
        (b"a\nb\n", ["a", "b"], 0),
        (b"a\n\n b \nc", ["a", " b ", "c"], 1),
        (b"a\r\nb\r\n", ["a\r", "b\r"], 0),
        (b"caf\xe9\n\xc3\xa9\n", ["caf\udce9", "é"], 0),
        (b"", [], 0),
        (b"\n\n", [], 2),
    ],
)
def test_each_line_is_an_item(data: bytes, items: list[str], empty: int) -> None:
    """Only the line's end is taken off; the last line needs none; bytes that are no UTF-8 stay what they are."""
    source = listed(data)
    assert (texts(source), source.empty) == (items, empty)


def test_items_that_end_with_nul() -> None:
    """With NULs between them items may hold anything else."""
    assert texts(listed(b"a\nb\0-c\0\0d", null=True)) == ["a\nb", "-c", "d"]


def test_a_list_without_nul_mode_that_holds_one_is_refused() -> None:
    """A NUL in a line is no item's: the list was meant for -0."""
    with pytest.raises(UsageError, match="item 2 holds a NUL, which no argument can; if NULs end the items: -0"):
        listed(b"x\na\0b\0")


def test_records_have_columns() -> None:
    """A record is its text as it stands, quotes and newlines included; its fields are named by the first line."""
    source = listed(b'\xef\xbb\xbfid,first name\r\n1,"a ""b"", c"\r\n\r\n2,"two\nlines"\r\n', csv=True)
    assert source.columns == ("id", "first name")
    assert [(item.text, item.columns) for item in source.items] == [
        ('1,"a ""b"", c"', {"id": "1", "first name": 'a "b", c'}),
        ('2,"two\nlines"', {"id": "2", "first name": "two\nlines"}),
    ]
    assert source.empty == 1


def test_a_column_may_be_the_key() -> None:
    """--key names the column that identifies a record, which may be repeated as it is."""
    source = listed(b"id,name\n1,a\n2,b\n1,a\n", csv=True, key="id")
    assert [item.key for item in source.items] == ["1", "2", "1"]


def test_two_records_with_one_key_are_refused_before_any_is_worked_on() -> None:
    """One of the two would be skipped silently."""
    with pytest.raises(DuplicateKey, match="--key id: list, line 4: another record has the key 1: '1,b'"):
        listed(b"id,name\n1,a\n2,b\n1,b\n", csv=True, key="id")


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (b"", {}, "list has no first line with the names of its columns"),
        (b"a,a\n", {}, "its first line has to name each column, once: a, a"),
        (b"a,\n", {}, "its first line has to name each column, once: a, "),
        (b"a,b\n1\n", {}, "list, line 2: 1 fields for 2 columns: '1'"),
        (b'a\n"x\n', {}, "this is no CSV: unexpected end of data"),
        (b"a\n1\n", {"key": "b"}, "--key b: list has no such column; its columns are a"),
        (b"a,b\n,1\n", {"key": "a"}, "list, line 2: its a is empty, and cannot be its key: ',1'"),
        (b"a\nx\0y\n", {}, "list, line 2"),
        (b"a\n", {"null": True}, "-0 and --csv"),
    ],
)
def test_what_is_no_such_csv_is_refused(data: bytes, more: dict, message: str) -> None:
    """A CSV that does not hold what is asked of it is told by its line, before any record is worked on."""
    with pytest.raises(UsageError) as refused:
        listed(data, csv=True, **more)
    assert message in str(refused.value)


def test_a_column_needs_a_csv() -> None:
    """--key without --csv names nothing."""
    with pytest.raises(UsageError, match="--key x: only the records of a --csv have columns"):
        listed(b"a\n", key="x")


def test_a_list_that_is_not_there_is_refused() -> None:
    """The error says which list cannot be read, and why."""
    with pytest.raises(UsageError, match="the list nowhere cannot be read: No such file or directory"):
        from_file("nowhere")


def test_a_pipe_is_read_as_it_comes() -> None:
    """An item of a pipe is there as soon as its end is, before the pipe is closed."""
    reader, writer = os.pipe()
    for null, end in ((False, b"\n"), (True, b"\0")):
        source = from_file(f"/dev/fd/{reader}", null=null)
        assert not isinstance(source.items, list)
        os.write(writer, b"first" + end)
        assert next(source.items).text == "first"
        source.items.close()
    os.close(writer)
    os.close(reader)
