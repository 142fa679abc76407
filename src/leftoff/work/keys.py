"""What makes an item the same item next time: its key, a text."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

from leftoff.errors import UnusableKey

T = TypeVar("T")
LONGEST: Final = 4096  # characters

# Whose next item is at hand: pulling from these never waits, so `done` of one item and `started` of the next may be
# one commit.
_AT_HAND: Final[tuple[type, ...]] = (
    list,
    tuple,
    range,
    set,
    frozenset,
    dict,
    str,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)


def is_at_hand(items: Iterable[Any]) -> bool:
    """Return whether the next item can be had without waiting for anybody."""
    return type(items) in _AT_HAND


def own_key(item: Any) -> str:
    """Return the key of an item that is its own key: a text as it is, an integer in decimal, a path as text."""
    if type(item) is str:
        if item.isascii() and 0 < len(item) <= LONGEST and "\0" not in item:
            return item  # most are: a call less an item
        return check_key(item)
    if isinstance(item, bool):
        raise UnusableKey(f"{item!r} is a bool, which cannot be a key; say what identifies it: key=…")
    if isinstance(item, str):
        return check_key(str.__str__(item))  # its text: an enumeration's member would say its name
    if hasattr(type(item), "__index__"):
        with suppress(TypeError, ValueError):  # an array cannot do what it has; Python writes out no very long number
            return str(operator.index(item))
    if isinstance(item, os.PathLike):
        path = os.fspath(item)
        if isinstance(path, str):
            return check_key(path)
    raise UnusableKey(
        f"an item of type {type(item).__name__} cannot be its own key ({_shorten(item)}); say what identifies it:"
        ' key=function or key="field"'
    )


def check_key(key: str) -> str:
    """Return the key, or raise `UnusableKey` for one that a journal cannot hold."""
    if not key:
        raise UnusableKey("an empty text cannot be a key; leave such items out, or give key=…")
    if len(key) > LONGEST:
        raise UnusableKey(
            f"the key {_shorten(key)} has {len(key)} characters, more than {LONGEST}; give a shorter one with key=…"
        )
    if "\0" in key:
        raise UnusableKey(f"the key {_shorten(key)} holds a NUL character; give another with key=…")
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            raise UnusableKey(
                f"the key {_shorten(key)} is not valid Unicode (a lone surrogate); give another with key=…"
            ) from None
    return key


def key_function(key: Callable[[T], Any] | str | None) -> Callable[[T], str]:
    """Return the function from an item to its key.

    key: None for an item that is its own key, a function, or the name of a field of the items.
    """
    if key is None:
        return own_key
    if isinstance(key, str):
        return _field_key(key)
    if not callable(key):
        raise UnusableKey(f"key={key!r} is neither a function nor the name of a field")
    function = key
    return lambda item: own_key(function(item))


def _field_key(name: str) -> Callable[[Any], str]:
    def field(item: Any) -> str:
        try:
            value = item[name] if hasattr(item, "keys") else getattr(item, name)
        except (KeyError, IndexError, AttributeError):
            raise UnusableKey(f"the item {_shorten(item)} has no field {name!r}, which key={name!r} asks for") from None
        return own_key(value)

    return field


def _shorten(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # an item that cannot be shown must not hide what is wrong with it
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}…"
