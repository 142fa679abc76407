"""What an item may return: anything JSON can hold, dataclasses, bytes; in and out of a journal with the same type.

A value always takes the way through JSON, so that a fresh one equals a resumed one.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import traceback
from typing import Any, Final

from leftoff.errors import UnusableValue, ValueTooLarge

LARGEST: Final = 1 << 20  # bytes of JSON text
DEEPEST: Final = (
    200  # levels of lists and objects: Python reads and writes JSON by recursion, and how much is left varies
)
_LONGEST_MESSAGE: Final = 8192  # characters kept of an error's message
_LONGEST_TRACE: Final = 8192  # characters kept of a traceback: its end says what happened
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


_PLAIN: Final = (str, int, float, bool)  # what comes out of JSON as it went in


def encode(value: Any, key: str) -> str | None:
    """Return the value as JSON text, None for None. Raise `UnusableValue` or `ValueTooLarge`, naming the item."""
    if value is None:
        return None
    try:
        text = _to_json(value)
        if '"$' in text:
            text = _to_json(_escape(value))
        size = len(text) if text.isascii() else len(text.encode())
        if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")  # noqa: TRY301  # one error says what to do
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableValue(
            f"the result of item {key} cannot be kept: {error}. Return what JSON can hold, bytes or a dataclass; or"
            " return None"
            " and write the result yourself with leftoff.replacing()"
        ) from None
    if size > LARGEST:
        raise ValueTooLarge(
            f"the result of item {key} is {size} bytes of JSON, more than {LARGEST}; write it to a file with"
            " leftoff.replacing(path)"
            " and return the path"
        )
    return text


def _depth(text: str) -> int:
    """Return how deep a JSON text is nested."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        depth += (match[1] is not None) - (match[2] is not None)
        deepest = max(deepest, depth)
    return deepest


def _default(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64.b64encode(value).decode()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"a {type(value).__name__} is not JSON")


_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default).encode


def _escape(value: Any) -> Any:
    """Write one more $ in front of a user's only key that begins with one, so that it does not look like ours."""
    if isinstance(value, dict):
        if len(value) == 1 and str(name := next(iter(value))).startswith("$"):
            return {f"${name}": _escape(value[name])}
        return {name: _escape(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escape(part) for part in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _escape(_default(value))
    return value


def decode(value: Any, result_type: type[Any] | None = None) -> Any:
    """Return what was encoded: bytes as bytes, and a dataclass where ``result_type`` names one."""
    value = _revive(value)
    if result_type is not None and dataclasses.is_dataclass(result_type) and isinstance(value, dict):
        return result_type(**value)
    return value


def _revive(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1:
            name, part = next(iter(value.items()))
            if name == "$bytes" and isinstance(part, str):
                return base64.b64decode(part)
            if name.startswith("$$"):
                return {name[1:]: _revive(part)}
        return {name: _revive(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_revive(part) for part in value]
    return value


def round_trip(value: Any, text: str | None, result_type: type[Any] | None = None) -> Any:
    """Return a value, encoded as ``text``, as a later run would find it."""
    if text is None or type(value) in _PLAIN:
        return value
    return decode(json.loads(text), result_type)


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Be what an item raised, as a journal keeps it: the exception's type by name, message and traceback's end."""

    type: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


def failure_of(error: BaseException) -> Failure:
    """Describe an exception for a journal. Whatever it is, it can be described."""
    try:
        message = str(error)
    except Exception as another:  # noqa: BLE001  # an error that cannot say what it is must not end the loop
        message = f"its message could not be made: {type(another).__qualname__}"
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}… ({len(message)} characters)"
    trace = "".join(traceback.format_exception(error))
    return Failure(type(error).__qualname__, _printable(message), _printable(trace[-_LONGEST_TRACE:]))


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
