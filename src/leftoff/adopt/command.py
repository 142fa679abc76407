"""Read an item back out of a command that GNU parallel made of a template.

1. The item is what stands where the template has ``{}``, as one word that a shell would read: parallel quotes it.
2. Every other replacement string must say of that item what parallel would have made of it.
3. A command that does not fit as a whole says nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Final

from leftoff.errors import UsageError

_PIECE: Final = re.compile(r"""'([^']*)'|"([^"$`\\]*)"|\\(.)|([\w\-.+/:,@%]+)""", re.DOTALL)
_WORD: Final = r"""(?:'[^']*'|"[^"$`\\]*"|\\.|[\w\-.+/:,@%])+"""
_KNOWN: Final = re.compile(r"\{(?:\}|(?://|/\.|[./#%])\})")
_UNKNOWN: Final = re.compile(r"\{(?:[-+]?\d+(?://|/\.|[./])?|=.*?=|\+/|\?|choose_k|slot|host|sshlogin|agrp|hgrp)\}")


def without_extension(item: str) -> str:
    """Return what parallel puts for ``{.}``."""
    stem, dot, extension = item.rpartition(".")
    return stem if dot and "/" not in extension else item


_MADE: Final[dict[str, Callable[[str], str]]] = {
    "{}": lambda item: item,
    "{.}": without_extension,
    "{/}": posixpath.basename,
    "{//}": lambda item: posixpath.dirname(item) or ".",
    "{/.}": lambda item: without_extension(posixpath.basename(item)),
}


def unquote(word: str) -> str | None:
    """Return what a shell would make of one word; None for what is not one plain word."""
    made, at = [], 0
    while at < len(word):
        match = _PIECE.match(word, at)
        if match is None:
            return None
        made.append(match[match.lastindex or 0])
        at = match.end()
    return "".join(made) if word else None


class Template:
    """Be a command as parallel was given it."""

    def __init__(self, text: str) -> None:
        """Take a template. Raise UsageError for one that says more than can be read back."""
        self.text = text.strip()
        if not self.text:
            raise UsageError("the command is empty; give the one that parallel was given, such as 'gzip -9 {}'")
        if unknown := _UNKNOWN.search(self.text):
            raise UsageError(f"{unknown[0]} of the command cannot be read back; give the list instead: --items LIST")
        if not _KNOWN.search(self.text):
            self.text += " {}"  # as parallel does
        self.is_whole = self.text == "{}"  # each item was a command of its own, which is not quoted
        self.names = _KNOWN.findall(self.text)
        if "{}" not in self.names and not set(self.names) & _MADE.keys():
            raise UsageError(f"the command {self.text} says nothing of the item, so its log cannot tell what is done")
        self._pattern = re.compile(self._regex(), re.DOTALL)

    @property
    def needs_items(self) -> bool:
        """Whether the item itself is not part of the command."""
        return "{}" not in self.names

    def _regex(self) -> str:
        literals = _KNOWN.split(self.text)
        parts, seen = [re.escape(literals[0])], set[str]()
        for name, literal in zip(self.names, literals[1:], strict=True):
            group = f"n{list(_MADE).index(name)}" if name in _MADE else ""
            parts.append(r"\d+" if not group else f"(?P={group})" if name in seen else f"(?P<{group}>{_WORD})")
            parts.append(re.escape(literal))
            seen.add(name)
        return "".join(parts)

    def item_of(self, command: str, item: str | None = None) -> str | None:
        """Return the item of a command, None where the command does not fit; ``item`` is the one it should be."""
        if self.is_whole:
            return command if item in (None, command) else None
        match = self._pattern.fullmatch(command)
        if match is None:
            return None
        said = {name: unquote(match[f"n{number}"]) for number, name in enumerate(_MADE) if name in self.names}
        found = said.get("{}") if item is None else item
        if found is None or any(text != _MADE[name](found) for name, text in said.items()):
            return None
        return found


def may_be_of(item: str, command: str) -> bool:
    """Return whether a command may have been made of an item: the item, or what is left of its path, stands in it."""
    bare = command.translate(_NO_QUOTES)
    return any(make(item).translate(_NO_QUOTES) in bare for make in _MADE.values() if make is not _MADE["{//}"])


_NO_QUOTES: Final = dict.fromkeys(map(ord, "'\"\\"))
