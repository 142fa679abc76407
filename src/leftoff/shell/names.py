"""Texts that may be anything, as keys and as names of folders.

1. Two items have two keys, whatever their bytes; most items are their own key.
2. Two keys have two names, also where a file system takes A for a, or é for é; no name leads out of its folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

from leftoff.work.keys import LONGEST

_RAW: Final = "bytes:"
_LONG: Final = "long:"
_HEAD: Final = 200  # characters of a long item that its key shows
_PLAIN: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,99}(?<!\.)")
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # no names of files on Windows
_SHOWN: Final = 100  # bytes of a key that its name shows


def text_of(word: str) -> str:
    """Return an argument of our own as the same text under every locale: UTF-8, other bytes as surrogates."""
    return os.fsencode(word).decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Return the bytes of such a text, as they came."""
    return text.encode("utf-8", "surrogateescape")


def key_of(text: str) -> str:
    """Return an item's key: its text, or a text that no other item has where a journal cannot hold it.

    text: bytes decoded as ``surrogateescape`` does. A percent sign and each byte that is not UTF-8 become ``%XX``
    behind ``bytes:``; of what is too long for a key, the SHA-256 stands behind ``long:``.
    """
    if text.isascii() and len(text) <= LONGEST and not text.startswith((_RAW, _LONG)):
        return text
    if text.startswith((_RAW, _LONG)) or not _is_unicode(text):
        escaped = "".join(f"%{ord(c) & 0xFF:02X}" if _is_raw(c) else "%25" if c == "%" else c for c in text)
        text = f"{_RAW}{escaped}"
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{_LONG}{digest}:{text[:_HEAD]}"


def _is_unicode(text: str) -> bool:
    return not any(map(_is_raw, text))


def _is_raw(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def folder_name(key: str) -> str:
    """Return the name of a key's folder, at most 200 bytes: the key itself where it is a plain name in lower case.

    Of any other key, what is readable and the first half of its SHA-256.
    """
    if _PLAIN.fullmatch(key) and not _DEVICES.fullmatch(key):
        return key
    shown = "".join(c if c.isalnum() or c in "._-" else "_" for c in key).lstrip(".")
    shown = shown.encode()[:_SHOWN].decode("utf-8", "ignore")
    return f"{shown}~{hashlib.sha256(key.encode()).hexdigest()[:32]}"
