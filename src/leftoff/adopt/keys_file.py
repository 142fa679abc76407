"""A file of keys that are done: JSON Lines, CSV, or one key a line.

A last line without an end is torn: what stands there may be the beginning of a longer key. Only JSON tells by itself
that it is whole.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from leftoff.adopt.found import Done, Doubt, Found, Line, NotDone, last_words, lines_of, open_source
from leftoff.errors import UsageError

_TORN: Final = "the last line has no end: it is torn"
_USUAL: Final = "key"  # the field that holds the key where nobody says which
_NAMED: Final = 12  # so many fields are named in an error

Where = tuple[str, str] | None
"""A field and what it says of an item that is done."""


def keys_of_lines(path: str, *, in_hand: int = 0) -> Iterator[Found]:
    """Yield each line of a file as a key; empty lines are left out.

    in_hand: so many of the last keys are doubted.
    """

    def read(lines: Iterator[Line]) -> Iterator[Found]:
        for line in lines:
            if doubt := _doubt(path, line):
                yield doubt
            elif text := _text(line).removesuffix("\r"):
                yield Done(text)

    return _twice(path, read, in_hand)


def keys_of_jsonl(
    path: str, *, key: str | None = None, value: str | None = None, where: Where = None, in_hand: int = 0
) -> Iterator[Found]:
    """Yield the key of each line of a JSON Lines file: the line's own text or integer, or one field of it.

    key: the field (default: the one called "key").

    value: the field that holds the item's result; where: ``("status", "ok")`` for lines that say of an item whether it
    is done, of which the last word counts; in_hand: so many of the last keys are doubted. Raises UsageError where the
    first line has no such field.
    """

    def read(lines: Iterator[Line]) -> Iterator[Found]:
        first = True
        for line in lines:
            try:
                row = json.loads(_text(line)) if line.data.strip() else None
            except (ValueError, RecursionError):
                yield Doubt(_at(path, line), "the line is torn, or no JSON" if line.ended else _TORN)
                continue
            if row is None:
                continue
            if not line.ended and not isinstance(row, (dict, str)):
                yield Doubt(_at(path, line), _TORN)
                continue
            name = _USUAL if key is None and isinstance(row, dict) else key
            if first:
                _check_first(path, row, (name, value, where and where[0]))
                first = False
            yield _found(path, line.number, row, name, value, where)

    return _twice(path, read, in_hand)


def keys_of_csv(
    path: str, *, key: str | None = None, value: str | None = None, where: Where = None, in_hand: int = 0
) -> Iterator[Found]:
    """Yield the key of each row of a CSV file whose first line names the columns (tabs between them in a ``.tsv``).

    The arguments are those of `keys_of_jsonl`; without ``key`` it is the only column, or the one called "key".
    """

    def read(lines: Iterator[Line]) -> Iterator[Found]:
        torn: list[Line] = []
        rows = csv.reader(_cells(lines, torn), delimiter="\t" if path.endswith(".tsv") else ",", strict=True)
        columns = next(rows, [])
        usual = columns[0] if len(columns) == 1 else _USUAL if _USUAL in columns else None
        name = usual if key is None else key
        if name is None or {name, value, where and where[0]} - {*columns, None}:
            raise UsageError(f"{path} has the columns {_some(columns)}: say which holds the key with --key COLUMN")
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield Doubt(f"{path}, row {rows.line_num}", f"the row is torn, or no CSV: {error}")
                continue
            if row is None:
                break
            if len(row) != len(columns):
                if row:
                    yield Doubt(f"{path}, row {rows.line_num}", f"{len(row)} cells in place of {len(columns)}")
                continue
            yield _found(path, rows.line_num, dict(zip(columns, row, strict=True)), name, value, where)
        for line in torn:
            yield Doubt(_at(path, line), _TORN)

    return _twice(path, read, in_hand)


def _twice(path: str, read: Callable[[Iterator[Line]], Iterator[Found]], in_hand: int) -> Iterator[Found]:
    with open_source(path) as file:
        _refuse_journal(path, file)
        end = os.fstat(file.fileno()).st_size
        yield from last_words(lambda: read(lines_of(file, end)), in_hand)


def _refuse_journal(path: str, file: IO[bytes]) -> None:
    if file.readline(200).startswith(b'{"leftoff":"'):
        raise UsageError(f"{path} is a journal of leftoff itself; go on with it, or take it along with leftoff copy")


def _cells(lines: Iterator[Line], torn: list[Line]) -> Iterator[str]:
    """Yield the lines for a reader of CSV, but for a torn last one, which is put into ``torn``."""
    for line in lines:
        if line.ended:
            yield f"{_text(line)}\n"
        else:
            torn.append(line)


def _text(line: Line) -> str:
    data = line.data.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.data
    return data.decode("utf-8", "surrogateescape")


def _at(path: str, line: Line) -> str:
    return f"{path}, line {line.number}"


def _doubt(path: str, line: Line) -> Doubt | None:
    if not line.ended:
        return Doubt(_at(path, line), _TORN)
    return Doubt(_at(path, line), "it holds zero bytes") if b"\0" in line.data else None


def _check_first(path: str, row: Any, names: tuple[str | None, ...]) -> None:
    """Raise UsageError where the fields that were asked for are not there, or none was."""
    wanted = [name for name in names if name is not None]
    if isinstance(row, dict):
        if set(wanted) - row.keys():
            raise UsageError(f"{path} has the fields {_some(list(row))}: say which holds the key with --key FIELD")
    elif wanted:
        raise UsageError(f"{path} has no fields: its first line is {json.dumps(row)[:60]}")


def _found(path: str, number: int, row: Any, key: str | None, value: str | None, where: Where) -> Found:
    at = f"{path}, line {number}"
    if isinstance(row, dict):
        if key is None or key not in row:
            return Doubt(at, f"it has no field {key!r}")
        found = row[key]
    else:
        found = row if key is None else None
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        return Doubt(at, f"{json.dumps(found)[:60]} cannot be a key; a text or an integer can")
    if where is not None and not _says(row.get(where[0]), where[1]):
        return NotDone(str(found), f"{where[0]} is {json.dumps(row.get(where[0]))[:60]}")
    return Done(str(found), row.get(value) if value is not None else None)


def _says(given: Any, wanted: str) -> bool:
    """Return whether a field says what was written on a command line: a text is itself, all else as JSON has it."""
    return (given if isinstance(given, str) else json.dumps(given)) == wanted


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
