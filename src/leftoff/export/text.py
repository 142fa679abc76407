"""Rows as JSON Lines and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime
from typing import IO, Any

from leftoff.export.columns import Columns, parts_of
from leftoff.export.rows import Row


def write_jsonl(file: IO[bytes], every: Iterable[Row], columns: Columns) -> None:
    """Write an object a line, in ASCII; a result stands in it as it is."""
    for row in every:
        line = {name: _time(part) for name, part in row._asdict().items()}
        if columns.fields and (parts := parts_of(row.value)):
            line["value"] = None
            line |= {f"value.{name}": part for name, part in parts.items()}
        file.write(f"{json.dumps(line, separators=(',', ':'))}\n".encode())


def write_csv(file: IO[bytes], every: Iterable[Row], columns: Columns) -> None:
    """Write a line of names and a row an item (RFC 4180). What is not there is an empty cell."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    try:
        # "\\r\\n" as the end of a row: only then are both characters quoted within a cell by every Python.
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(columns.names)
        for row in every:
            writer.writerow([_cell(value) for value in columns.values(row)])
        text.flush()
    finally:
        text.detach()  # else it would close the file, before it is synced


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else _time(value)


def _time(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
