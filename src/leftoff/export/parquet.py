"""Rows as a Parquet file, by pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

from leftoff.errors import MissingExtra
from leftoff.export.columns import Columns
from leftoff.export.rows import Row

try:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter
except ImportError as error:
    raise MissingExtra("a Parquet file needs pyarrow: pip install 'leftoff[parquet]'") from error

_ROWS: Final = 20_000  # a row group, which is held in memory, has at most so many rows,
_CHARACTERS: Final = 1 << 26  # and ends behind so many characters of text: a result has up to 1 MiB
_OWN: Final = {"at": pa.timestamp("ms", tz="UTC"), "errors": pa.int64(), "crashes": pa.int64()}
_FIELDS: Final = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}


def write_parquet(file: IO[bytes], every: Iterable[Row], columns: Columns) -> None:
    """Write a Parquet file; ``value``, and a field that holds more than one type, is JSON text."""
    schema = pa.schema(
        [
            *((name, _OWN.get(name, pa.string())) for name in Row._fields),
            *((f"value.{name}", _FIELDS.get(kind, pa.string())) for name, kind in columns.fields.items()),
        ]
    )
    with ParquetWriter(file, schema) as writer:
        for group in _groups(columns.values(row) for row in every):
            arrays = [
                pa.array(cells, field.type) for cells, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _groups(every: Iterable[Iterator[Any]]) -> Iterator[list[list[Any]]]:
    group, characters = [], 0
    for row in every:
        cells = list(row)
        group.append(cells)
        characters += sum(len(cell) for cell in cells if isinstance(cell, str))
        if len(group) == _ROWS or characters >= _CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
