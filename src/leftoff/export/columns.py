"""Which columns there are, and what stands in them: the same for every format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from leftoff.errors import UsageError
from leftoff.export.rows import Row

_MOST: Final = 1000  # columns that are made of a result's fields
_WIDEST: Final = 1 << 63
_TYPES: Final[dict[type, str]] = {bool: "bool", int: "int", float: "float", str: "text"}


def json_text(value: Any) -> str:
    """Return a value as JSON, the way a journal writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Columns:
    """Be the columns of a table: those of every row, and where it was asked for one for each field of the results."""

    def __init__(self, fields: dict[str, str] | None = None) -> None:
        """``fields``: from a name to what a column holds: ``bool``, ``int``, ``float``, ``text`` or ``json``."""
        self.fields = fields or {}
        self.names = [*Row._fields, *(f"value.{name}" for name in self.fields)]

    @classmethod
    def of_fields(cls, every: Iterable[Row]) -> Columns:
        """Find the fields of all results that are objects, and what each of them holds.

        Raises UsageError for more than 1,000 of them: such objects are lists by another name.
        """
        fields: dict[str, str] = {}
        for row in every:
            if parts := parts_of(row.value):
                for name, part in parts.items():
                    fields[name] = _common(fields.get(name), part)
                if len(fields) > _MOST:
                    raise UsageError(f"the results have more than {_MOST} fields; leave --flatten out")
        return cls(fields)

    def values(self, row: Row) -> Iterator[Any]:
        """Yield what stands in each column: texts, numbers, None; a time for ``at``; JSON text for ``value``."""
        parts = parts_of(row.value) if self.fields else {}
        whole = None if parts else row.value
        for name, value in zip(Row._fields, row, strict=True):
            yield value if name != "value" else None if whole is None else json_text(whole)
        for name, kind in self.fields.items():
            part = parts.get(name)
            yield part if part is None or kind != "json" else json_text(part)


def parts_of(value: Any) -> dict[str, Any]:
    """Return the fields of a result that is an object; none of any other, bytes among them (docs/format.md)."""
    if not isinstance(value, dict):
        return {}
    if len(value) == 1 and (name := next(iter(value))).startswith("$"):
        return {name[1:]: value[name]} if name.startswith("$$") else {}
    return value


def _common(known: str | None, part: Any) -> str:
    """Return the type of a column that held one type and gets one part more."""
    if part is None:
        return known or "none"
    kind = _TYPES.get(type(part), "json")
    if kind == "int" and not -_WIDEST <= part < _WIDEST:
        kind = "json"
    if known in (None, "none", kind):
        return kind
    return "float" if {known, kind} == {"int", "float"} else "json"
